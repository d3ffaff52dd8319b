/** Mouse, touch and keys move a camera: round a point (orbit) or freely (fly). */
import {
  add, apply, between, cross, dot, focalOf, fromRows, length, normalized, orthonormal, row, scaled, subtract, transposed,
  turned, type Mat3, type Pose, type Vec3,
} from "../math";
import type { Viewport } from "./viewport";

export type Mode = "orbit" | "fly";
const TURN_PER_PX = 0.0065;
const STEEPEST = 0.995;
const FLIGHT_MS = 450;
/** What a held key does each second: moves (right, down, forward) times the distance, or turns (right, down). */
const MOVES: Record<string, Vec3> = {
  KeyW: [0, 0, 1], KeyS: [0, 0, -1], KeyA: [-1, 0, 0], KeyD: [1, 0, 0], KeyQ: [0, 1, 0], KeyE: [0, -1, 0],
};
const TURNS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};
const ZOOMS: Record<string, number> = { Equal: -1, NumpadAdd: -1, Minus: 1, NumpadSubtract: 1 };

export class Controls {
  mode: Mode = "orbit";
  /** Told of each change by a person or a flight, so that linked views can follow. */
  onMove: ((pose: Pose, target: Vec3) => void) | undefined;
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private readonly held = new Set<string>();
  private lastStep = 0;
  private flight = 0;
  private isActive = false;

  constructor(
    private readonly viewport: Viewport,
    public target: Vec3,
    private readonly up: Vec3,
  ) {
    const el = viewport.element;
    el.tabIndex = 0;
    el.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take keys for its own commands
    el.addEventListener("pointerdown", (event) => this.onDown(event));
    el.addEventListener("pointermove", (event) => this.onDrag(event));
    for (const kind of ["pointerup", "pointercancel"] as const) {
      el.addEventListener(kind, (event) => this.pointers.delete(event.pointerId));
    }
    el.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    el.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      event.stopPropagation(); // JupyterLab would open its own menu over the view
    });
    el.addEventListener("keydown", (event) => this.onKey(event));
    el.addEventListener("keyup", (event) => this.held.delete(event.code));
    el.addEventListener("focus", () => (this.isActive = true));
    el.addEventListener("blur", () => {
      this.isActive = false;
      this.held.clear();
    });
  }

  /** Go somewhere, in a short flight. */
  flyTo(pose: Pose, target?: Vec3): void {
    const [from, fromTarget, began] = [this.viewport.pose, this.target, performance.now()];
    const ahead = target ?? add(pose.center, scaled(row(pose.rotation, 2), this.distance));
    const own = ++this.flight;
    const step = () => {
      if (own !== this.flight) return;
      const t = Math.min(1, (performance.now() - began) / FLIGHT_MS);
      const eased = t * t * (3 - 2 * t);
      this.target = t < 1 ? add(scaled(fromTarget, 1 - eased), scaled(ahead, eased)) : ahead;
      this.move(between(from, pose, eased), false);
      if (t < 1) requestAnimationFrame(step);
    };
    step();
  }

  /** Look at another point, from where the camera is. */
  aim(target: Vec3): void {
    const { pose } = this.viewport;
    const forward = normalized(subtract(target, pose.center));
    this.flyTo({ ...pose, rotation: orthonormal(fromRows(row(pose.rotation, 0), row(pose.rotation, 1), forward)) }, target);
  }

  private get distance(): number {
    return length(subtract(this.target, this.viewport.pose.center)) || 1;
  }

  private move(pose: Pose, stopFlight = true): void {
    if (stopFlight) this.flight++;
    this.viewport.move(pose);
    this.onMove?.(pose, this.target);
  }

  private onDown(event: PointerEvent): void {
    if ((event.target as Element).closest("button, select, input, label")) return;
    this.viewport.element.setPointerCapture(event.pointerId);
    this.viewport.element.focus({ preventScroll: true });
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  private onDrag(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
    if (!dx && !dy) return;
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1] ?? before;
      const gap = (p: { x: number; y: number }) => Math.hypot(p.x - other.x, p.y - other.y) || 1;
      this.zoom(Math.log(gap(before) / gap({ x: event.clientX, y: event.clientY })));
      this.pan(dx / 2, dy / 2);
    } else if (event.buttons & 6 || event.shiftKey) {
      this.pan(dx, dy);
    } else {
      this.turn(dx * TURN_PER_PX, dy * TURN_PER_PX);
    }
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  /** A wheel over a view that was not clicked scrolls the page, as it should. */
  private onWheel(event: WheelEvent): void {
    if (!this.isActive && !event.ctrlKey) return;
    event.preventDefault();
    const pixels = event.deltaMode === 1 ? 30 * event.deltaY : event.deltaY;
    this.zoom(Math.max(-0.5, Math.min(0.5, pixels * 0.0015)));
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.viewport.element) return;
    if (!(event.code in MOVES || event.code in TURNS || event.code in ZOOMS)) return;
    event.preventDefault();
    event.stopPropagation();
    if (!this.held.size) {
      this.lastStep = performance.now();
      requestAnimationFrame(() => this.step());
    }
    this.held.add(event.code);
  }

  private step(): void {
    if (!this.held.size) return;
    const now = performance.now();
    const seconds = Math.min(0.1, Math.max(0.016, (now - this.lastStep) / 1000));
    this.lastStep = now;
    for (const code of this.held) {
      if (code in MOVES) this.shift(scaled(MOVES[code], 0.8 * seconds * this.distance));
      if (code in TURNS) this.turn(-1.4 * seconds * TURNS[code][0], -1.4 * seconds * TURNS[code][1]);
      if (code in ZOOMS) this.zoom(1.2 * seconds * ZOOMS[code]);
    }
    requestAnimationFrame(() => this.step());
  }

  /** By angles; the scene follows the pointer. */
  private turn(byX: number, byY: number): void {
    const { pose } = this.viewport;
    const sign = this.mode === "orbit" ? -1 : 1;
    const spun = (m: Mat3, axis: Vec3, angle: number) =>
      fromRows(turned(row(m, 0), axis, angle), turned(row(m, 1), axis, angle), turned(row(m, 2), axis, angle));
    let rotation = spun(pose.rotation, this.up, sign * byX);
    // pitch about the level axis, so that a view that leans does not lean more and more
    const level = cross(row(rotation, 2), this.up);
    const axis = length(level) > 0.05 ? normalized(level) : row(rotation, 0);
    const pitched = spun(rotation, axis, sign * byY);
    const [before, after] = [dot(row(rotation, 2), this.up), dot(row(pitched, 2), this.up)];
    if (Math.abs(after) < STEEPEST || Math.abs(after) < Math.abs(before)) rotation = pitched;
    rotation = orthonormal(rotation);
    const distance = this.distance;
    const center =
      this.mode === "orbit" ? subtract(this.target, scaled(row(rotation, 2), Math.max(distance, 1e-6))) : pose.center;
    if (this.mode === "fly") this.target = add(center, scaled(row(rotation, 2), distance));
    this.move({ ...pose, center, rotation });
  }

  private pan(dx: number, dy: number): void {
    const { pose, width, height } = this.viewport;
    const perPixel = this.distance / focalOf(pose, width, height);
    this.shift([-dx * perPixel, -dy * perPixel, 0]);
  }

  private shift(inCamera: Vec3): void {
    const { pose } = this.viewport;
    const by = apply(transposed(pose.rotation), inCamera);
    this.target = add(this.target, by);
    this.move({ ...pose, center: add(pose.center, by) });
  }

  /** Nearer (negative) or farther, by a factor's logarithm; flying goes ahead instead. */
  private zoom(by: number): void {
    if (this.mode === "fly") return this.shift([0, 0, -by * this.distance]);
    const { pose } = this.viewport;
    const back = scaled(subtract(pose.center, this.target), Math.exp(by));
    this.move({ ...pose, center: add(this.target, back) });
  }
}
