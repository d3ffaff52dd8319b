/** Two pictures of the same view under a slider, and where they differ. */
import { blobsOf } from "../model";
import { button, choice, make, select, slider } from "../ui/elements";
import { decoded, sliced } from "../ui/pictures";
import { ramp, rampCss } from "../ui/ramp";
import type { Shell } from "../ui/shell";

export interface PicturesInfo {
  of: "pictures";
  title: string;
  note: string;
  labels: [string, string];
  pairs: { name: string; facts: string }[];
  /** Bytes of before, after, before, after …. */
  sizes: number[];
}
type Look = "slider" | "error";

export async function comparePictures(shell: Shell, info: PicturesInfo): Promise<void> {
  if (!info.pairs.length) {
    shell.top.append(make("span", "title", info.title));
    shell.stage.replaceWith(make("div", "note", "There is no pair of pictures to compare."));
    return;
  }
  const pictures = sliced(blobsOf(shell.model)[0], info.sizes);
  const view = new Wipe(info.labels);
  shell.onDispose(() => view.dispose());
  shell.stage.append(view.element);
  const facts = make("span", "facts");
  let index = 0;
  const show = async (wanted: number) => {
    index = (wanted + info.pairs.length) % info.pairs.length;
    list.selectedIndex = index;
    const own = index;
    const [before, after] = await Promise.all([decoded(pictures[2 * own]), decoded(pictures[2 * own + 1])]);
    if (own !== index) return;
    facts.textContent = info.pairs[own].facts;
    view.show(before, after);
  };
  const go = shell.guarded(show);
  const list = select("Which view", info.pairs.map((pair) => pair.name), go);
  const gain = slider("Amplify errors", { min: 1, max: 10, step: 0.5, value: 4 }, (value) => view.amplify(value));
  const scale = make("label", "facts", "no error ", bar(), " large ", gain);
  scale.hidden = true;
  const looks = choice<Look>("How to compare", [["slider", "Slider"], ["error", "Error map"]], "slider", (look) => {
    view.look(look);
    scale.hidden = look !== "error";
  });
  shell.top.append(
    make("span", "title", info.title),
    make("span", "grow"),
    button("The view before", () => go(index - 1), "previous"),
    list,
    button("The next view", () => go(index + 1), "next"),
    looks.element,
  );
  shell.bottom.append(facts, make("span", "grow"), scale);
  await show(0);
}

function bar(): HTMLElement {
  const made = make("span", "ramp");
  made.style.background = rampCss;
  return made;
}

class Wipe {
  readonly element = make("div", "wide");
  private readonly canvas = make("canvas");
  private readonly wipe = make("div", "wipe");
  private readonly left: HTMLElement;
  private readonly right: HTMLElement;
  private before: ImageBitmap | undefined;
  private after: ImageBitmap | undefined;
  private errors: HTMLCanvasElement | undefined;
  private at = 0.5;
  private gain = 4;
  private isError = false;
  private readonly resized: ResizeObserver;

  constructor(labels: [string, string]) {
    this.left = make("div", "chip nw", labels[0]);
    this.right = make("div", "chip ne", labels[1]);
    this.element.append(this.canvas, this.wipe, this.left, this.right);
    this.wipe.tabIndex = 0;
    this.wipe.role = "slider";
    this.wipe.dataset.lmSuppressShortcuts = "true";
    this.wipe.setAttribute("aria-label", `${labels[0]} on the left, ${labels[1]} on the right`);
    this.element.style.cursor = "ew-resize";
    const drag = (event: PointerEvent) => {
      const rect = this.element.getBoundingClientRect();
      this.move((event.clientX - rect.left) / rect.width);
    };
    this.element.addEventListener("pointerdown", (event) => {
      this.element.setPointerCapture(event.pointerId);
      this.wipe.focus({ preventScroll: true });
      drag(event);
    });
    this.element.addEventListener("pointermove", (event) => {
      if (event.buttons) drag(event);
    });
    this.wipe.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      this.move(this.at + by);
    });
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.element);
  }

  dispose(): void {
    this.resized.disconnect();
  }

  show(before: ImageBitmap, after: ImageBitmap): void {
    [this.before, this.after, this.errors] = [before, after, undefined];
    this.draw();
  }

  look(look: Look): void {
    this.isError = look === "error";
    this.wipe.hidden = this.left.hidden = this.right.hidden = this.isError;
    this.draw();
  }

  amplify(gain: number): void {
    this.gain = gain;
    this.errors = undefined;
    this.draw();
  }

  private move(to: number): void {
    this.at = Math.max(0, Math.min(1, to));
    this.draw();
  }

  private draw(): void {
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    [this.canvas.width, this.canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    this.wipe.style.left = `${100 * this.at}%`;
    this.wipe.setAttribute("aria-valuenow", String(Math.round(100 * this.at)));
    const context = this.canvas.getContext("2d");
    if (!context || !this.before || !this.after) return;
    const scale = Math.min(this.canvas.width / this.before.width, this.canvas.height / this.before.height);
    const [w, h] = [this.before.width * scale, this.before.height * scale];
    const [x, y] = [(this.canvas.width - w) / 2, (this.canvas.height - h) / 2];
    context.imageSmoothingQuality = "high";
    if (this.isError) {
      this.errors ??= errorMap(this.before, this.after, this.gain);
      context.drawImage(this.errors, x, y, w, h);
      return;
    }
    context.drawImage(this.after, x, y, w, h);
    context.save();
    context.beginPath();
    context.rect(0, 0, this.at * this.canvas.width, this.canvas.height);
    context.clip();
    context.drawImage(this.before, x, y, w, h);
    context.restore();
  }
}

/** Mean absolute difference of the channels, 0…1, times the gain, as colour. */
function errorMap(before: ImageBitmap, after: ImageBitmap, gain: number): HTMLCanvasElement {
  const { width, height } = before;
  const canvas = make("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("the browser gives no canvas");
  const read = (picture: ImageBitmap) => {
    context.drawImage(picture, 0, 0, width, height);
    return context.getImageData(0, 0, width, height);
  };
  const [a, b] = [read(before), read(after)];
  const table = Array.from({ length: 256 }, (_, value) => ramp((value / 255) * gain).map((c) => Math.round(255 * c)));
  for (let i = 0; i < a.data.length; i += 4) {
    const off = [0, 1, 2].reduce((sum, c) => sum + Math.abs(a.data[i + c] - b.data[i + c]), 0);
    [a.data[i], a.data[i + 1], a.data[i + 2]] = table[Math.round(off / 3)];
  }
  context.putImageData(a, 0, 0);
  return canvas;
}
