/**
 * The `_esm` of every widget: fetches the runtime from the one hidden model that holds it and starts it, once per page.
 *
 * anywidget stores `_esm` with each widget; so it has to be small.
 */
import type { Model, Place } from "./model";

interface Runtime {
  render(place: Place): () => void;
}
type Managed = Model & { widget_manager: { get_model(id: string): Promise<Model> } };

async function load(model: Managed): Promise<Runtime> {
  const reference = String(model.get("_runtime")).replace("IPY_MODEL_", "");
  const shared = await model.widget_manager.get_model(reference);
  const digest = shared.get("digest") as string;
  const loaded = ((globalThis as Record<string, unknown>).__splatlib ??= {}) as Record<string, Promise<Runtime>>;
  return (loaded[digest] ??= start(shared.get("code") as DataView<ArrayBuffer>));
}

async function start(code: DataView<ArrayBuffer>): Promise<Runtime> {
  const stream = new Blob([code]).stream().pipeThrough(new DecompressionStream("gzip"));
  const text = await new Response(stream).text();
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    return (await import(url)) as Runtime;
  } catch {
    // A content security policy without blob: may still allow data:
    return (await import(`data:text/javascript;charset=utf-8,${encodeURIComponent(text)}`)) as Runtime;
  } finally {
    URL.revokeObjectURL(url);
  }
}

export default {
  async render({ model, el }: { model: Managed; el: HTMLElement }): Promise<(() => void) | undefined> {
    try {
      return (await load(model)).render({ model, el });
    } catch (error) {
      const told = document.createElement("div");
      told.style.cssText = "padding:8px 12px;border-left:3px solid #d63a3a;font:13px system-ui,sans-serif";
      told.textContent = `splatlib cannot show this view: ${error instanceof Error ? error.message : String(error)}. Run the cell again; if the picture stays away, see the browser's console and the server's content security policy (it must allow blob: for scripts).`;
      el.append(told);
      return undefined;
    }
  },
};
