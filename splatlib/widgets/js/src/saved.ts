/**
 * Widgets in a page on disk: no Jupyter, no kernel, no network.
 *
 * The page holds a JSON script `splatlib-widgets` = { models: { id: { state, buffers: [{ path, data }] } } }, buffers in
 * base64, and a place `<div data-splatlib-model="id">` for each view.
 */
import { render } from "./render";
import { SavedModel, type SavedState } from "./savedmodel";

/** Start every view of a saved page; does nothing elsewhere. */
export function startSavedPage(): void {
  const holder = globalThis.document?.getElementById("splatlib-widgets");
  if (!holder) return;
  const { models } = JSON.parse(holder.textContent ?? "{}") as { models: Record<string, SavedState> };
  for (const place of document.querySelectorAll<HTMLElement>("[data-splatlib-model]")) {
    const saved = models[place.dataset.splatlibModel ?? ""];
    if (!saved) continue; // its still picture stays
    place.replaceChildren();
    render({ model: new SavedModel(saved), el: place });
  }
}
