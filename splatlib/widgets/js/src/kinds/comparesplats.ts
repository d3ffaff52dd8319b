/** Two splats side by side; moving one moves the other. */
import { Controls } from "../gl/controls";
import { blobsOf } from "../model";
import { SplatView, type SplatData } from "../splat/view";
import { button, choice, count, make } from "../ui/elements";
import type { Shell } from "../ui/shell";

export interface SplatsInfo {
  of: "splats";
  title: string;
  note: string;
  splats: (SplatData & { label: string })[];
}

export async function compareSplats(shell: Shell, info: SplatsInfo): Promise<void> {
  const blobs = blobsOf(shell.model);
  shell.stage.classList.add("split");
  const views = info.splats.map((data) => new SplatView(data, undefined, shell));
  const controls = views.map((view, k) => {
    const { label, packed, target, up } = info.splats[k];
    const cell = make("div");
    cell.style.cssText = "position:relative;min-width:0;height:100%";
    cell.append(view.viewport.element, make("div", "chip nw", `${label} · ${count(packed.count)} Gaussians`));
    view.viewport.element.setAttribute("aria-label", label);
    shell.stage.append(cell);
    shell.onDispose(() => view.dispose());
    return new Controls(view.viewport, target, up);
  });
  controls.forEach((own, k) => {
    own.onMove = (pose, target) => {
      controls.forEach((other, at) => {
        if (at === k) return;
        other.target = target;
        views[at].viewport.move(pose);
      });
    };
  });
  const mode = choice("How to move", [["orbit", "Orbit"], ["fly", "Fly"]], "orbit", (value) => {
    for (const own of controls) own.mode = value;
  });
  const first = views[0].viewport.pose;
  shell.top.append(
    make("span", "title", info.title),
    make("span", "grow"),
    mode.element,
    button("Back to the first view", () => controls[0].flyTo(first, info.splats[0].target), "reset"),
    button("Full screen", () => void (document.fullscreenElement ? document.exitFullscreen() : shell.frame.requestFullscreen()), "full"),
  );
  shell.bottom.append(make("span", "hint", "The cameras are linked: what you do on one side happens on both."));
  await Promise.all(views.map((view, k) => view.load(blobs[k])));
}
