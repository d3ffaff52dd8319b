/** A canvas with a camera: mounted while it can be seen, drawn only when something changed. */
import { focalOf, type Pose } from "../math";
import { acquired, isSoftware, released } from "./contexts";
import type { Frame, Layer } from "./program";

export interface ViewportOptions {
  pose: Pose;
  near: number;
  background: [number, number, number];
  /** Shown until the first frame, and where there is no WebGL2. */
  poster?: Blob;
  /** Whether there is a picture to draw yet: before that the poster stays. */
  isReady?: () => boolean;
  /** Called when the pose, the size or the layers' place changed. Default: draw. */
  onView?: () => void;
  onNote: (text: string | undefined) => void;
}

const IDLE_MS = 160; // after the last movement the full resolution comes back
const RELEASE_MS = 400; // off screen for so long before the context goes
const SLOW_MS = 55;
const FAST_MS = 25;
const COARSEST = 0.4;

export class Viewport {
  readonly element = document.createElement("div");
  readonly layers: Layer[] = [];
  pose: Pose;
  background: [number, number, number];
  private canvas: HTMLCanvasElement | undefined;
  private gl: WebGL2RenderingContext | undefined;
  private still: HTMLElement | undefined;
  private fence: { sync: WebGLSync; since: number } | undefined;
  private isDirty = false;
  private isScheduled = false;
  private movedAt = -Infinity;
  private coarse = 1;
  private releaseTimer = 0;
  private isVisible = false;
  private isDisposed = false;
  private readonly seen: IntersectionObserver;
  private readonly resized: ResizeObserver;

  constructor(private readonly options: ViewportOptions) {
    this.pose = options.pose;
    this.background = options.background;
    this.element.className = "viewport";
    if (options.poster) this.keep(pictureOf(options.poster));
    this.seen = new IntersectionObserver(([entry]) => this.onVisible(entry.isIntersecting), { rootMargin: "80px" });
    this.seen.observe(this.element);
    this.resized = new ResizeObserver(() => this.onResize());
    this.resized.observe(this.element);
    for (const event of ["pointerenter", "pointerdown", "focusin"]) {
      this.element.addEventListener(event, () => this.mount());
    }
  }

  get width(): number {
    return Math.max(1, this.element.clientWidth);
  }

  get height(): number {
    return Math.max(1, this.element.clientHeight);
  }

  /** A notebook takes outputs out of the page and puts them back; a picture of no pixels is not worth drawing. */
  get hasSize(): boolean {
    return this.element.clientWidth > 0 && this.element.clientHeight > 0;
  }

  /** Drawn by the processor; known once the first context exists. */
  get isSlow(): boolean {
    return this.gl ? isSoftware(this.gl) : false;
  }

  get isMounted(): boolean {
    return this.gl !== undefined;
  }

  /** Drawn after the others, or at a place among them. */
  addLayer(layer: Layer, at = this.layers.length): void {
    this.layers.splice(at, 0, layer);
    if (this.gl) layer.prepare(this.gl);
    this.changed();
  }

  removeLayer(layer: Layer): void {
    const at = this.layers.indexOf(layer);
    if (at < 0) return;
    this.layers.splice(at, 1);
    if (this.gl) layer.release(this.gl);
  }

  /** The camera moved: until it rests, slow machines draw fewer pixels. */
  move(pose: Pose): void {
    this.pose = pose;
    this.movedAt = performance.now();
    if (this.isSlow) setTimeout(() => this.requestDraw(), IDLE_MS + 20);
    this.changed();
  }

  changed(): void {
    if (this.options.onView) this.options.onView();
    else this.requestDraw();
  }

  requestDraw(): void {
    this.isDirty = true;
    this.schedule();
  }

  /** The picture as it is now, in full resolution. */
  async screenshot(): Promise<Blob> {
    this.mount();
    if (!this.gl || !this.canvas) throw new Error("there is no picture: this browser has no WebGL2");
    this.movedAt = -Infinity;
    this.draw(this.gl);
    return new Promise((done, fail) => {
      this.canvas?.toBlob((blob) => (blob ? done(blob) : fail(new Error("the browser gave no picture"))), "image/png");
    });
  }

  dispose(): void {
    this.isDisposed = true;
    this.seen.disconnect();
    this.resized.disconnect();
    clearTimeout(this.releaseTimer);
    this.release();
  }

  private onVisible(isVisible: boolean): void {
    clearTimeout(this.releaseTimer);
    this.isVisible = isVisible;
    if (isVisible) this.mount();
    else this.releaseTimer = setTimeout(() => this.release(), RELEASE_MS) as unknown as number;
  }

  private onResize(): void {
    if (!this.hasSize) return;
    if (this.isVisible) this.mount();
    this.changed();
  }

  private mount(): void {
    if (this.gl || this.isDisposed) return;
    const canvas = document.createElement("canvas");
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, preserveDrawingBuffer: true });
    if (!gl) {
      this.options.onNote(
        "This browser has no WebGL2, so the view is a still picture. Try a current Chrome, Edge, Firefox or Safari with hardware acceleration switched on.",
      );
      return;
    }
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      if (this.canvas === canvas) this.onLost();
    });
    this.canvas = canvas;
    this.gl = gl;
    acquired(this);
    for (const layer of this.layers) layer.prepare(gl);
    canvas.style.visibility = "hidden";
    // below the chips and handles that lie over the picture
    if (this.still) this.still.after(canvas);
    else this.element.prepend(canvas);
    this.changed();
    if (this.options.isReady?.() ?? true) this.requestDraw();
  }

  release(): void {
    released(this);
    const { canvas, gl } = this;
    if (!canvas || !gl) return;
    this.canvas = this.gl = this.fence = undefined;
    if (canvas.style.visibility !== "hidden" && !gl.isContextLost()) this.keep(copied(canvas));
    canvas.remove();
    gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  private onLost(): void {
    released(this);
    this.canvas?.remove();
    this.canvas = this.gl = this.fence = undefined;
    this.options.onNote("The browser took the graphics memory back; the view is being drawn again.");
    setTimeout(() => {
      if (!this.element.isConnected) return;
      this.mount();
      if (this.gl) this.options.onNote(undefined);
    }, 300);
  }

  private schedule(): void {
    if (this.isScheduled || !this.gl) return;
    this.isScheduled = true;
    requestAnimationFrame(() => {
      this.isScheduled = false;
      if (!this.gl || !this.isDirty) return;
      if (this.isBusy(this.gl)) this.schedule();
      else if (this.options.isReady?.() ?? true) this.draw(this.gl);
    });
  }

  /** Whether the frame before is still being drawn: frames that pile up would make the view lag behind the mouse. */
  private isBusy(gl: WebGL2RenderingContext): boolean {
    if (!this.fence) return false;
    if (gl.clientWaitSync(this.fence.sync, 0, 0) === gl.TIMEOUT_EXPIRED) return true;
    const spent = performance.now() - this.fence.since;
    gl.deleteSync(this.fence.sync);
    this.fence = undefined;
    if (spent > SLOW_MS) this.coarse = Math.max(COARSEST, this.coarse * 0.8);
    else if (spent < FAST_MS) this.coarse = Math.min(1, this.coarse * 1.1);
    return false;
  }

  private draw(gl: WebGL2RenderingContext): void {
    if (!this.hasSize) return;
    const canvas = gl.canvas as HTMLCanvasElement;
    const isMoving = performance.now() - this.movedAt < IDLE_MS;
    const ratio = isSoftware(gl) ? 1 : Math.min(globalThis.devicePixelRatio || 1, 2);
    const scale = ratio * (isMoving && this.isSlow ? this.coarse : 1);
    const [width, height] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const frame: Frame = {
      center: this.pose.center,
      rotation: this.pose.rotation,
      focal: focalOf(this.pose, width, height),
      width,
      height,
      near: this.options.near,
    };
    this.isDirty = false;
    gl.viewport(0, 0, width, height);
    gl.clearColor(...this.background, 1);
    gl.depthMask(true);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    for (const layer of this.layers) layer.draw(gl, frame);
    const sync = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    if (sync) this.fence = { sync, since: performance.now() };
    if (canvas.style.visibility === "hidden") {
      canvas.style.visibility = "";
      this.keep(undefined);
    }
  }

  /** Put a still under the canvas, in place of the one before. */
  private keep(still: HTMLElement | undefined): void {
    this.still?.remove();
    this.still = still;
    if (still) {
      still.classList.add("still");
      this.element.prepend(still);
    }
  }
}

function pictureOf(blob: Blob): HTMLElement {
  const picture = document.createElement("img");
  picture.alt = "";
  picture.src = URL.createObjectURL(blob);
  return picture;
}

function copied(canvas: HTMLCanvasElement): HTMLElement {
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  copy.getContext("2d")?.drawImage(canvas, 0, 0);
  return copy;
}
