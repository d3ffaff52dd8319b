/** A box that says what to keep; its values go to Python as the trait `crop`. */
import type { Line } from "../gl/lines";
import { add, apply, projected, row, scaled, transposed, type Mat3, type Vec3 } from "../math";
import { tell } from "../model";
import type { SplatInfo } from "../kinds/splat";
import type { SplatView } from "../splat/view";
import { button, make, short, slider } from "./elements";
import type { Shell } from "./shell";

/** Centre and full sizes in scene units; rotation is box_from_world. */
export interface CropValue {
  center: Vec3;
  size: Vec3;
  rotation: number[];
}

const AXES = ["left–right", "depth", "height"];
const COLOR: [number, number, number, number] = [0.85, 0.47, 0.18, 0.95];

export class CropTool {
  lines: Line[] = [];
  onLines: () => void = () => undefined;
  private readonly panel = make("div", "panel crop");
  private readonly told = make("div", "hint");
  private readonly handles: HTMLButtonElement[] = [];
  private value: CropValue;
  private sliders: HTMLInputElement[] = [];
  private isShown = false;
  /** Whether Gaussians are left out at all. */
  private isSet: boolean;

  constructor(
    private readonly shell: Shell,
    private readonly view: SplatView,
    private readonly info: SplatInfo,
  ) {
    const known = shell.model.get("crop") as Partial<CropValue> | undefined;
    this.value = structuredClone(known?.size ? (known as CropValue) : info.box);
    this.panel.hidden = true;
    this.build();
    shell.bottom.before(this.panel);
    this.isSet = Boolean(known?.size);
    shell.listen("change:crop", () => this.onModel());
    shell.onAlone(() => this.apply()); // the values are shown, to be copied
  }

  show(isOn: boolean): void {
    if (this.isShown === isOn) return;
    this.isShown = isOn;
    this.panel.hidden = !isOn;
    for (const handle of this.handles) handle.hidden = !isOn;
    if (isOn) this.follow();
    if (isOn) this.isSet = true;
    this.apply();
    if (isOn) this.send();
  }

  /** The splat is loaded: what was set before, or by Python, holds from the start. */
  start(): void {
    if (this.isSet) this.apply();
  }

  /** Python set other values. */
  private onModel(): void {
    const value = this.shell.model.get("crop") as Partial<CropValue> | undefined;
    if (JSON.stringify(value) === JSON.stringify(this.value)) return;
    if (value?.size) {
      this.value = structuredClone(value as CropValue);
      this.isSet = true;
    } else {
      this.value = structuredClone(this.info.box);
      this.isSet = false;
    }
    this.fillSliders();
    this.apply();
  }

  private build(): void {
    const limits = AXES.map((_, k) => this.range(k));
    AXES.forEach((name, k) => {
      const [low, high] = limits[k];
      const both = [0, 1].map((end) =>
        slider(`${name}, ${end ? "upper" : "lower"} end`, { min: low, max: high, step: (high - low) / 400, value: 0 }, (value) => {
          this.setEnd(k, end, value);
          this.changed();
        }),
      );
      this.sliders.push(...both);
      this.panel.append(make("div", "pair", name, ...both));
      for (const end of [0, 1]) this.handles.push(this.makeHandle(k, end));
    });
    const whole = () => {
      this.value = structuredClone(this.info.box);
      this.fillSliders();
      this.changed();
    };
    const off = () => {
      tell(this.shell.model, "crop", {});
      this.onModel();
    };
    const actions = make("div", "", button("The whole box", whole, "undo", "Whole"), button("No crop", off, "clear", "No crop"));
    this.panel.append(make("div", "", actions, this.told));
    this.fillSliders();
  }

  /** Along a box axis, from the start box' centre: a bit more than the start box. */
  private range(k: number): [number, number] {
    const half = 0.6 * this.info.box.size[k];
    return [-half, half];
  }

  /** Ends along axis k relative to the start box' centre. */
  private ends(k: number): [number, number] {
    const away = apply(this.value.rotation as Mat3, this.value.center.map((v, i) => v - this.info.box.center[i]) as Vec3);
    return [away[k] - this.value.size[k] / 2, away[k] + this.value.size[k] / 2];
  }

  private setEnd(k: number, end: number, value: number): void {
    const ends = this.ends(k);
    const least = 0.005 * this.info.box.size[k];
    ends[end] = end ? Math.max(value, ends[0] + least) : Math.min(value, ends[1] - least);
    const shift = (ends[0] + ends[1]) / 2 - (this.ends(k)[0] + this.ends(k)[1]) / 2;
    this.value.center = add(this.value.center, scaled(row(this.value.rotation as Mat3, k), shift));
    this.value.size[k] = ends[1] - ends[0];
  }

  private fillSliders(): void {
    this.sliders.forEach((made, at) => (made.value = String(this.ends(at >> 1)[at & 1])));
  }

  private changed(): void {
    this.isSet = true;
    this.apply();
    this.send();
  }

  private send(): void {
    tell(this.shell.model, "crop", structuredClone(this.value));
  }

  private apply(): void {
    const { center, size, rotation } = this.value;
    this.told.replaceChildren(
      `keeps ${size.map(short).join(" × ")} ${this.info.units}`,
      this.shell.isAlone ? make("code", "", JSON.stringify(this.value, (_, v) => (typeof v === "number" ? Number(v.toPrecision(6)) : v))) : "",
    );
    if (this.view.layer) {
      const crop = { center, half: scaled(size, 0.5), rotation };
      this.view.layer.crop = this.isSet ? crop : undefined;
      this.view.layer.dimmed = this.isShown;
    }
    this.lines = this.isShown ? edges(this.value) : [];
    this.onLines();
  }

  private makeHandle(k: number, end: number): HTMLButtonElement {
    const handle = button(`${AXES[k]}, ${end ? "upper" : "lower"} end: drag`, () => undefined);
    handle.className = "handle";
    handle.textContent = "";
    handle.hidden = true;
    handle.tabIndex = -1; // the sliders serve the keyboard
    handle.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      event.stopPropagation();
      const { pose, width, height } = this.view.viewport;
      const face = this.faceCenter(k, end);
      const step = this.info.box.size[k] / 100;
      const a = projected(pose, face, width, height);
      const b = projected(pose, add(face, scaled(row(this.value.rotation as Mat3, k), step)), width, height);
      const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
      const squared = dx * dx + dy * dy;
      if (squared < 1e-3) return; // the axis points at the eye: it cannot be dragged from here
      const along = (event.movementX * dx + event.movementY * dy) / squared;
      this.setEnd(k, end, this.ends(k)[end] + along * step);
      this.fillSliders();
      this.changed();
    });
    this.view.viewport.element.append(handle);
    return handle;
  }

  private faceCenter(k: number, end: number): Vec3 {
    const by = (end ? 0.5 : -0.5) * this.value.size[k];
    return add(this.value.center, scaled(row(this.value.rotation as Mat3, k), by));
  }

  /** While the box is shown, the handles stay on its faces. */
  private follow(): void {
    if (!this.isShown || !this.view.viewport.element.isConnected) return;
    this.placeHandles();
    requestAnimationFrame(() => this.follow());
  }

  private placeHandles(): void {
    const { pose, width, height } = this.view.viewport;
    this.handles.forEach((handle, at) => {
      const [x, y, depth] = projected(pose, this.faceCenter(at >> 1, at & 1), width, height);
      handle.hidden = !(depth > 0 && x > 0 && x < width && y > 0 && y < height);
      handle.style.left = `${x}px`;
      handle.style.top = `${y}px`;
    });
  }
}

function edges({ center, size, rotation }: CropValue): Line[] {
  const world = transposed(rotation as Mat3);
  const corner = (bits: number): Vec3 =>
    add(center, apply(world, [0, 1, 2].map((k) => (bits & (1 << k) ? 0.5 : -0.5) * size[k]) as Vec3));
  const lines: Line[] = [];
  for (let bits = 0; bits < 8; bits++) {
    for (let k = 0; k < 3; k++) {
      if (!(bits & (1 << k))) lines.push({ from: corner(bits), to: corner(bits | (1 << k)), color: COLOR, width: 1.6 });
    }
  }
  return lines;
}
