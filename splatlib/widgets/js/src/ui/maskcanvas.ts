/** One frame with its mask, prompts drawn over it, and clicks in pixels of the frame. */
import { make } from "./elements";

/** As `MaskPrompt` of splatlib: points [x, y, 1 on the object | 0 beside it], a box [x0, y0, x1, y1]; frame pixels. */
export interface Prompt {
  points: [number, number, 0 | 1][];
  box?: [number, number, number, number] | null;
}

const TINT = [217, 119, 47];

export class MaskCanvas {
  readonly element = make("div", "wide");
  tool: "on" | "off" | "box" = "on";
  opacity = 0.6;
  isCut = false;
  prompt: Prompt | undefined;
  onPrompt: (prompt: Prompt) => void = () => undefined;
  private readonly canvas = make("canvas");
  private picture: ImageBitmap | undefined;
  private overlay: HTMLCanvasElement | undefined;
  private size = { width: 1, height: 1 };
  private dragged: { from: [number, number]; to: [number, number] } | undefined;
  private readonly resized: ResizeObserver;

  constructor() {
    this.element.append(this.canvas);
    this.element.tabIndex = 0;
    this.element.dataset.lmSuppressShortcuts = "true";
    this.element.style.cursor = "crosshair";
    this.element.setAttribute("aria-label", "A frame with its mask; click to say what is the object");
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.element);
    this.element.addEventListener("pointerdown", (event) => this.onDown(event));
    this.element.addEventListener("pointermove", (event) => this.onMove(event));
    this.element.addEventListener("pointerup", () => this.onUp());
    this.element.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      event.stopPropagation(); // JupyterLab would open its own menu over the view
    });
  }

  dispose(): void {
    this.resized.disconnect();
  }

  show(picture: ImageBitmap, mask: ImageBitmap | undefined, size: { width: number; height: number }): void {
    this.picture = picture;
    this.size = { width: size.width, height: size.height };
    this.setMask(mask);
  }

  /** White counts, black is left out: the overlay covers what is left out. */
  setMask(mask: ImageBitmap | undefined): void {
    this.overlay = undefined;
    if (!mask) return;
    const overlay = make("canvas");
    [overlay.width, overlay.height] = [mask.width, mask.height];
    const context = overlay.getContext("2d", { willReadFrequently: true });
    if (!context) return;
    context.drawImage(mask, 0, 0);
    const pixels = context.getImageData(0, 0, mask.width, mask.height);
    for (let i = 0; i < pixels.data.length; i += 4) {
      pixels.data[i + 3] = 255 - pixels.data[i];
      [pixels.data[i], pixels.data[i + 1], pixels.data[i + 2]] = TINT;
    }
    context.putImageData(pixels, 0, 0);
    this.overlay = overlay;
  }

  /** Where the frame lies in the element: CSS pixels. */
  private get frame(): { x: number; y: number; scale: number } {
    const { clientWidth: w, clientHeight: h } = this.element;
    const scale = Math.min(w / this.size.width, h / this.size.height) || 1;
    return { x: (w - this.size.width * scale) / 2, y: (h - this.size.height * scale) / 2, scale };
  }

  draw(): void {
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
    const { canvas, element } = this;
    [canvas.width, canvas.height] = [Math.round(element.clientWidth * ratio), Math.round(element.clientHeight * ratio)];
    const context = canvas.getContext("2d");
    if (!context || !this.picture) return;
    const { x, y, scale } = this.frame;
    context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
    const { width, height } = this.size;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.picture, 0, 0, width, height);
    if (this.overlay && this.isCut) {
      context.globalCompositeOperation = "destination-out";
      context.globalAlpha = Math.max(this.opacity, 0.02);
      context.drawImage(this.overlay, 0, 0, width, height);
    } else if (this.overlay) {
      context.globalAlpha = this.opacity;
      context.drawImage(this.overlay, 0, 0, width, height);
    }
    context.globalAlpha = 1;
    context.globalCompositeOperation = "source-over";
    this.drawPrompt(context, 1 / scale);
  }

  private drawPrompt(context: CanvasRenderingContext2D, pixel: number): void {
    const box = this.dragged ? boxOf(this.dragged.from, this.dragged.to) : this.prompt?.box;
    if (box) {
      context.lineWidth = 2 * pixel;
      context.strokeStyle = "#3c8cbe";
      context.setLineDash(this.dragged ? [6 * pixel, 4 * pixel] : []);
      context.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
      context.setLineDash([]);
    }
    for (const [x, y, label] of this.prompt?.points ?? []) {
      context.beginPath();
      context.arc(x, y, 6.5 * pixel, 0, 2 * Math.PI);
      context.fillStyle = label ? "#2f9e63" : "#d63a3a";
      context.fill();
      context.lineWidth = 1.8 * pixel;
      context.strokeStyle = "#fff";
      context.stroke();
      context.beginPath();
      context.moveTo(x - 3 * pixel, y);
      context.lineTo(x + 3 * pixel, y);
      if (label) {
        context.moveTo(x, y - 3 * pixel);
        context.lineTo(x, y + 3 * pixel);
      }
      context.stroke();
    }
  }

  /** Frame pixels, x right and y down, a tenth exact; kept inside. */
  private at(event: PointerEvent): [number, number] {
    const rect = this.element.getBoundingClientRect();
    const { x, y, scale } = this.frame;
    const inside = (value: number, most: number) => Math.round(10 * Math.max(0, Math.min(most, value))) / 10;
    return [
      inside((event.clientX - rect.left - x) / scale, this.size.width),
      inside((event.clientY - rect.top - y) / scale, this.size.height),
    ];
  }

  private onDown(event: PointerEvent): void {
    this.element.focus({ preventScroll: true });
    const at = this.at(event);
    if (this.tool === "box" && event.button === 0) {
      this.element.setPointerCapture(event.pointerId);
      this.dragged = { from: at, to: at };
      return;
    }
    const label = this.tool === "off" || event.button === 2 ? 0 : 1;
    this.onPrompt({ points: [...(this.prompt?.points ?? []), [...at, label]], box: this.prompt?.box ?? null });
  }

  private onMove(event: PointerEvent): void {
    if (!this.dragged) return;
    this.dragged.to = this.at(event);
    this.draw();
  }

  private onUp(): void {
    if (!this.dragged) return;
    const box = boxOf(this.dragged.from, this.dragged.to);
    this.dragged = undefined;
    const isBox = box[2] - box[0] >= 2 && box[3] - box[1] >= 2;
    if (isBox) this.onPrompt({ points: this.prompt?.points ?? [], box });
    else this.draw();
  }
}

function boxOf(a: [number, number], b: [number, number]): [number, number, number, number] {
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
}
