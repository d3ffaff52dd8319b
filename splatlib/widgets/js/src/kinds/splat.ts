/** `view_splat`: turn it, walk in it, stand in its cameras, crop it, measure it, take pictures of it. */
import { Controls } from "../gl/controls";
import { LineLayer } from "../gl/lines";
import type { Pose, Vec3 } from "../math";
import { blobsOf, infoOf, tell } from "../model";
import { SplatView, type SplatData } from "../splat/view";
import { button, choice, count, download, make, press, select, toggle } from "../ui/elements";
import type { Shell } from "../ui/shell";
import { CropTool } from "../ui/crop";
import { MeasureTool } from "../ui/measure";

export interface SplatInfo extends SplatData {
  title: string;
  total: number;
  note: string;
  cameras: { name: string; pose: Pose }[];
  box: { center: Vec3; size: Vec3; rotation: number[] };
  units: string;
}

const GROUNDS: [number, number, number][] = [[0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 1]];

export async function splat(shell: Shell): Promise<void> {
  const info = infoOf<SplatInfo>(shell.model);
  const [bytes, poster] = blobsOf(shell.model);
  if (info.note) shell.note(info.note);
  const about = make("span", "facts", facts(info));
  shell.top.append(make("span", "title", info.title), about);
  const view = new SplatView(info, poster, shell);
  shell.onDispose(() => view.dispose());
  shell.stage.append(view.viewport.element);
  const overlay = new LineLayer(true);
  const controls = new Controls(view.viewport, info.target, info.up);
  view.viewport.element.setAttribute("aria-label", `${info.title}: drag to turn, arrow keys turn, plus and minus zoom`);
  const crop = addTools(shell, view, controls, overlay, info);
  if (info.packed.count === 0) {
    view.viewport.element.replaceChildren(make("div", "chip nw", "This splat holds no Gaussians: there is nothing to draw."));
    return;
  }
  await view.load(bytes);
  view.viewport.addLayer(overlay);
  crop.start();
  // Python shows other Gaussians in the same view, a training's newest for instance
  shell.listen("change:blobs", shell.guarded(async () => {
    const now = infoOf<SplatInfo>(shell.model);
    await view.reload(blobsOf(shell.model)[0], now.packed);
    about.textContent = facts(now);
    shell.note(now.note || undefined);
  }));
}

function facts(info: SplatInfo): string {
  const shown = info.packed.count === info.total ? "" : `${count(info.packed.count)} of `;
  return `${shown}${count(info.total)} Gaussians · SH degree ${info.packed.sh_degree}`;
}

function addTools(shell: Shell, view: SplatView, controls: Controls, overlay: LineLayer, info: SplatInfo): CropTool {
  const { viewport } = view;
  const crop = new CropTool(shell, view, info);
  const measure = new MeasureTool(shell, view, info);
  crop.onLines = measure.onLines = () => {
    overlay.set([...crop.lines, ...measure.lines]);
    viewport.requestDraw();
  };
  const mode = choice("How to move", [["orbit", "Orbit"], ["fly", "Fly"]], "orbit", (value) => (controls.mode = value));
  const first = viewport.pose;
  const reset = () => controls.flyTo(first, info.target);
  let ground = GROUNDS.findIndex((g) => g.every((value, k) => Math.abs(value - info.background[k]) < 0.01));
  const nextGround = () => {
    ground = (ground + 1) % GROUNDS.length;
    viewport.background = GROUNDS[ground];
    viewport.requestDraw();
  };
  const shot = async () => {
    const blob = await viewport.screenshot();
    download(blob, "splat.png");
    tell(shell.model, "screenshot", new DataView(await blob.arrayBuffer()));
  };
  const cropButton = toggle("Crop box", false, (isOn) => crop.show(isOn), "crop");
  const measureButton = toggle("Measure a distance", false, (isOn) => measure.show(isOn), "measure");
  shell.top.append(make("span", "grow"), mode.element, ...cameraPicker(controls, info));
  shell.top.append(button("Back to the first view (R)", reset, "reset"));
  if (info.packed.sh_degree > 0) {
    shell.top.append(
      toggle("Colours that change with the view (spherical harmonics)", true, (isOn) => view.setShDegree(isOn ? info.packed.sh_degree : 0), "shine"),
    );
  }
  shell.top.append(
    cropButton,
    measureButton,
    button("Change the background", nextGround, "ground"),
    button("Save a picture", shell.guarded(shot), "camera"),
    button("Full screen", () => fullScreen(shell), "full"),
  );
  shell.bottom.append(hint());
  viewport.element.addEventListener("keydown", (event) => {
    if (event.target !== viewport.element || event.ctrlKey || event.metaKey) return;
    const act: Record<string, () => void> = {
      KeyR: reset,
      KeyF: () => mode.set((controls.mode = controls.mode === "orbit" ? "fly" : "orbit")),
      Escape: () => {
        for (const [made, tool] of [[cropButton, crop], [measureButton, measure]] as const) {
          press(made, false);
          tool.show(false);
        }
      },
    };
    if (!act[event.code]) return;
    event.stopPropagation();
    act[event.code]();
  });
  viewport.element.addEventListener("dblclick", shell.guarded(async (event: MouseEvent) => {
    const rect = viewport.element.getBoundingClientRect();
    const at = await view.pointAt(event.clientX - rect.left, event.clientY - rect.top);
    if (at) controls.aim(at);
  }));
  return crop;
}

function hint(): HTMLElement {
  const made = make("span", "hint");
  made.append("Drag to turn, right-drag or two fingers to shift, wheel or pinch to zoom, double-click to aim. Keys: ");
  for (const [key, text] of [["W A S D Q E", " move, "], ["←→↑↓", " turn, "], ["+ −", " zoom, "], ["F", " fly, "], ["R", " reset"]]) {
    made.append(make("kbd", "", key), text);
  }
  return made;
}

function cameraPicker(controls: Controls, info: SplatInfo): HTMLElement[] {
  if (!info.cameras.length) return [];
  const names = ["Cameras …", ...info.cameras.map((camera) => camera.name)];
  const go = (index: number) => {
    if (index > 0) controls.flyTo(info.cameras[index - 1].pose);
  };
  const list = select("Stand where a picture was taken", names, go);
  const step = (by: number) => () => {
    const total = info.cameras.length;
    list.selectedIndex = ((list.selectedIndex - 1 + by + total) % total) + 1;
    go(list.selectedIndex);
  };
  return [button("The camera before", step(-1), "previous"), list, button("The next camera", step(1), "next")];
}

function fullScreen(shell: Shell): void {
  if (shell.frame.ownerDocument.fullscreenElement) void shell.frame.ownerDocument.exitFullscreen();
  else void shell.frame.requestFullscreen();
}
