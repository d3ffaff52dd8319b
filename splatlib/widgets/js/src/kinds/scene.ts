/** `view_scene`: the sparse points, every camera with its picture, and which cameras saw the same things. */
import { Controls } from "../gl/controls";
import { LineLayer } from "../gl/lines";
import { PictureLayer } from "../gl/pictures";
import { PointLayer } from "../gl/points";
import { Viewport } from "../gl/viewport";
import { add, normalized, row, scaled, subtract, type Pose, type Vec3 } from "../math";
import { blobsOf, gunzip, infoOf, tell } from "../model";
import { button, choice, count, make, select, short, slider, toggle } from "../ui/elements";
import { decoded, sliced, Urls } from "../ui/pictures";
import { rampCss } from "../ui/ramp";
import type { Shell } from "../ui/shell";
import { cameraAt, frustaOf, linksOf, placedPictures, type SceneCamera } from "./frusta";
import { colored, readPoints, type Coloring, type PointsInfo } from "./points";

interface SceneInfo {
  title: string;
  facts: string;
  note: string;
  pose: Pose;
  target: Vec3;
  up: Vec3;
  near: number;
  radius: number;
  background: Vec3;
  points: PointsInfo;
  cameras: SceneCamera[];
  thumbnails: number[];
  /** [camera, other, number of matches]. */
  links: [number, number, number][];
}

const STATION_PX = 128; // of a thumbnail in the atlas

export async function scene(shell: Shell): Promise<void> {
  const info = infoOf<SceneInfo>(shell.model);
  const [packed, jpegs, poster] = blobsOf(shell.model);
  if (info.note) shell.note(info.note);
  shell.top.append(make("span", "title", info.title), make("span", "facts", info.facts), make("span", "grow"));
  const viewport = new Viewport({
    pose: info.pose,
    near: info.near,
    background: info.background,
    poster: poster?.length ? new Blob([poster], { type: "image/jpeg" }) : undefined,
    onNote: (text) => shell.note(text),
  });
  shell.onDispose(() => viewport.dispose());
  shell.stage.append(viewport.element);
  viewport.element.setAttribute("aria-label", `${info.title}: drag to turn, click a camera to stand in it`);
  const points = readPoints(await gunzip(packed), info.points);
  const thumbnails = sliced(jpegs, info.thumbnails);
  const cloud = new PointLayer(points.positions, colored(points, "color"));
  cloud.pointSize = 2.5 * Math.min(globalThis.devicePixelRatio || 1, 2);
  const view = new SceneView(shell, info, viewport, thumbnails);
  viewport.addLayer(cloud);
  await view.start();

  const legend = make("span", "facts");
  const color = choice<Coloring>(
    "Colour of the points",
    [["color", "Colour"], ["error", "Error"], ["track", "Track length"]],
    "color",
    (by) => {
      cloud.recolor(colored(points, by));
      viewport.requestDraw();
      const bar = make("span", "ramp");
      bar.style.background = rampCss;
      const most = by === "error" ? `${short(points.mostError)} px` : `${points.mostTrack} frames`;
      legend.replaceChildren(...(by === "color" ? [] : ["few ", bar, ` ${most}`]));
      if (by === "error") legend.firstChild?.replaceWith("0 px ");
    },
  );
  const size = slider("Size of the points", { min: 1, max: 8, step: 0.25, value: 2.5 }, (value) => {
    cloud.pointSize = value * Math.min(globalThis.devicePixelRatio || 1, 2);
    viewport.requestDraw();
  });
  view.addTools();
  shell.bottom.append(color.element, legend, make("label", "", "Points", size), view.sizeSlider(), make("span", "grow"), view.caption);
}

class SceneView {
  readonly caption = make("span", "facts", "Click a camera to stand in it.");
  private readonly frusta = new LineLayer(false);
  private readonly links = new LineLayer(false);
  private pictures: PictureLayer | undefined;
  private readonly controls: Controls;
  private readonly preview = make("img", "chip ne");
  private readonly urls: Urls;
  private list: HTMLSelectElement | undefined;
  private selected = -1;
  private hovered = -1;
  private size: number;
  private atlas: { canvas: HTMLCanvasElement; columns: number } | undefined;
  private showPictures = true;

  constructor(
    private readonly shell: Shell,
    private readonly info: SceneInfo,
    private readonly viewport: Viewport,
    private readonly thumbnails: Uint8Array<ArrayBuffer>[],
  ) {
    this.size = 0.09 * info.radius;
    this.urls = new Urls(shell);
    this.controls = new Controls(viewport, info.target, info.up);
    this.preview.hidden = true;
    this.preview.style.cssText = "padding:0;border-radius:6px;width:180px;max-width:40%";
    this.preview.alt = "";
    viewport.element.append(this.preview);
    let pressed = { x: 0, y: 0 };
    viewport.element.addEventListener("pointerdown", (event) => (pressed = { x: event.clientX, y: event.clientY }));
    viewport.element.addEventListener("pointerup", (event) => {
      if (Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < 4) this.select(this.under(event), true);
    });
    viewport.element.addEventListener("pointermove", (event) => {
      if (!event.buttons) this.hover(this.under(event));
    });
    viewport.element.addEventListener("pointerleave", () => this.hover(-1));
  }

  async start(): Promise<void> {
    this.viewport.addLayer(this.links);
    this.viewport.addLayer(this.frusta);
    this.draw();
    this.atlas = await atlasOf(this.thumbnails);
    this.place();
  }

  addTools(): void {
    const { shell, info } = this;
    const names = ["Cameras …", ...info.cameras.map((camera) => camera.name)];
    this.list = select("Stand where a picture was taken", names, (index) => this.select(index - 1, true));
    const step = (by: number) => () => {
      const total = info.cameras.length;
      if (total) this.select((this.selected + by + total + (this.selected < 0 && by < 0 ? 1 : 0)) % total, true);
    };
    shell.top.append(
      button("The camera before", step(-1), "previous"),
      this.list,
      button("The next camera", step(1), "next"),
      toggle("Pictures in the cameras", true, (isOn) => {
        this.showPictures = isOn;
        if (this.pictures) this.pictures.shown = isOn;
        this.viewport.requestDraw();
      }, "picture"),
    );
    if (info.links.length) {
      shell.top.append(toggle("Which cameras share points", false, (isOn) => {
        this.links.set(isOn ? linksOf(info.cameras, info.links) : []);
        this.viewport.requestDraw();
      }, "links"));
    }
    shell.top.append(
      button("Back to the first view", () => this.controls.flyTo(info.pose, info.target), "reset"),
      button("Full screen", () => void (document.fullscreenElement ? document.exitFullscreen() : shell.frame.requestFullscreen()), "full"),
    );
  }

  sizeSlider(): HTMLElement {
    const base = this.size;
    return make("label", "", "Cameras", slider("Size of the cameras", { min: -2.5, max: 2, step: 0.05, value: 0 }, (value) => {
      this.size = base * Math.exp(value);
      this.draw();
      this.place();
    }));
  }

  private under(event: PointerEvent): number {
    const rect = this.viewport.element.getBoundingClientRect();
    return cameraAt(this.info.cameras, this.size, this.viewport, event.clientX - rect.left, event.clientY - rect.top);
  }

  private hover(index: number): void {
    if (index === this.hovered) return;
    this.hovered = index;
    this.viewport.element.style.cursor = index >= 0 ? "pointer" : "";
    this.preview.hidden = index < 0;
    if (index >= 0) {
      this.preview.src = this.urls.of(`thumbnail ${index}`, () => this.thumbnails[index]);
      this.describe(index);
    } else {
      this.describe(this.selected);
    }
    this.draw();
  }

  private select(index: number, fly: boolean): void {
    if (index < 0) return;
    this.selected = index;
    const camera = this.info.cameras[index];
    if (this.list) this.list.selectedIndex = index + 1;
    // the camera's own frustum is behind the eye; the target is as far ahead as the scene's middle
    const ahead = row(camera.pose.rotation, 2);
    const offset = subtract(this.info.target, camera.pose.center);
    const far = Math.max(0.3 * this.info.radius, ahead[0] * offset[0] + ahead[1] * offset[1] + ahead[2] * offset[2]);
    if (fly) this.controls.flyTo(camera.pose, add(camera.pose.center, scaled(normalized(ahead), far)));
    tell(this.shell.model, "selected", camera.name);
    this.describe(index);
    this.draw();
  }

  private describe(index: number): void {
    const camera = this.info.cameras[index];
    this.caption.textContent = camera
      ? `${camera.name} · ${count(camera.width)} × ${count(camera.height)} px · shares points with ${this.degree(index)} others`
      : "Click a camera to stand in it.";
    if (camera && !this.info.links.length) this.caption.textContent = `${camera.name} · ${camera.width} × ${camera.height} px`;
  }

  private degree(index: number): number {
    return this.info.links.filter(([a, b]) => a === index || b === index).length;
  }

  private draw(): void {
    this.frusta.set(frustaOf(this.info.cameras, this.size, this.selected, this.hovered));
    this.viewport.requestDraw();
  }

  private place(): void {
    if (!this.atlas) return;
    if (this.pictures) this.viewport.removeLayer(this.pictures);
    this.pictures = new PictureLayer(placedPictures(this.info.cameras, this.size, this.atlas), this.atlas.canvas);
    this.pictures.shown = this.showPictures;
    this.viewport.addLayer(this.pictures);
  }
}

/** All thumbnails in one picture, in rows of squares; the textures of weak machines hold 4096 pixels. */
async function atlasOf(jpegs: Uint8Array<ArrayBuffer>[]): Promise<{ canvas: HTMLCanvasElement; columns: number }> {
  const columns = Math.max(1, Math.ceil(Math.sqrt(jpegs.length)));
  const station = Math.max(16, Math.min(STATION_PX, Math.floor(4096 / columns)));
  const canvas = make("canvas");
  canvas.width = canvas.height = columns * station;
  const context = canvas.getContext("2d");
  if (!context) throw new Error("the browser gives no canvas");
  const pictures = await Promise.all(jpegs.map((jpeg) => decoded(jpeg)));
  pictures.forEach((picture, k) => {
    context.drawImage(picture, (k % columns) * station, Math.floor(k / columns) * station, station, station);
    picture.close();
  });
  return { canvas, columns };
}
