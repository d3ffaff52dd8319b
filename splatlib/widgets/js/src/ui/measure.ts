/** Two clicks measure a distance; the true length of it gives the scene its scale, as the trait `measured`. */
import type { Line } from "../gl/lines";
import { length, lerp, projected, subtract, type Vec3 } from "../math";
import { tell } from "../model";
import type { SplatInfo } from "../kinds/splat";
import type { SplatView } from "../splat/view";
import { button, make, short } from "./elements";
import type { Shell } from "./shell";

const COLOR: [number, number, number, number] = [0.3, 0.72, 1, 1];
const STILL_PX = 4; // a click that moved farther was a drag

export class MeasureTool {
  lines: Line[] = [];
  onLines: () => void = () => undefined;
  private readonly panel = make("div", "panel");
  private readonly told = make("span", "", "Click two points of the splat.");
  private readonly metres = make("input");
  private readonly label = make("div", "chip");
  private points: Vec3[] = [];
  private isShown = false;
  private pressedAt = { x: 0, y: 0 };

  constructor(
    private readonly shell: Shell,
    private readonly view: SplatView,
    private readonly info: SplatInfo,
  ) {
    this.metres.type = "number";
    this.metres.min = "0";
    this.metres.step = "any";
    this.metres.placeholder = "metres";
    this.metres.setAttribute("aria-label", "True length of this distance, metres");
    this.metres.addEventListener("change", () => this.send());
    const clear = button("Measure again", () => this.clear(), "undo", "Again");
    const line = make("div", "", this.told, " ", make("label", "", "In truth it is", this.metres, "m"), " ", clear);
    this.panel.append(line);
    this.panel.hidden = true;
    this.label.hidden = true;
    shell.bottom.before(this.panel);
    const el = view.viewport.element;
    el.append(this.label);
    el.addEventListener("pointerdown", (event) => (this.pressedAt = { x: event.clientX, y: event.clientY }));
    el.addEventListener("pointerup", shell.guarded((event: PointerEvent) => this.onUp(event)));
  }

  show(isOn: boolean): void {
    this.isShown = isOn;
    this.panel.hidden = !isOn;
    this.view.viewport.element.classList.toggle("pointing", isOn);
    this.draw();
    if (isOn) requestAnimationFrame(() => this.follow());
  }

  private clear(): void {
    this.points = [];
    this.metres.value = "";
    this.told.textContent = "Click two points of the splat.";
    this.draw();
    tell(this.shell.model, "measured", {});
  }

  private async onUp(event: PointerEvent): Promise<void> {
    const moved = Math.hypot(event.clientX - this.pressedAt.x, event.clientY - this.pressedAt.y);
    if (!this.isShown || moved > STILL_PX || event.button !== 0) return;
    const rect = this.view.viewport.element.getBoundingClientRect();
    const point = await this.view.pointAt(event.clientX - rect.left, event.clientY - rect.top);
    if (!point) {
      this.told.textContent = "There is nothing under this point.";
      return;
    }
    this.points = this.points.length >= 2 ? [point] : [...this.points, point];
    this.draw();
    if (this.points.length === 2) this.send();
    else this.told.textContent = "Now the second point.";
  }

  private send(): void {
    if (this.points.length < 2) return;
    const distance = length(subtract(this.points[1], this.points[0]));
    const metres = Number(this.metres.value);
    const scale = metres > 0 && distance > 0 ? metres / distance : undefined;
    this.told.textContent =
      `${short(distance)} ${this.info.units}` + (scale ? `: one unit is ${short(scale)} m.` : ".");
    this.label.textContent = scale ? `${short(metres)} m` : short(distance);
    tell(this.shell.model, "measured", {
      points: this.points,
      distance,
      ...(scale ? { metres, metres_per_unit: scale } : {}),
    });
  }

  private draw(): void {
    const [a, b] = this.points;
    this.lines = [];
    if (this.isShown && a) {
      const arm = 0.012 * length(subtract(a, this.view.viewport.pose.center));
      for (const point of this.points) this.lines.push(...cross(point, arm));
      if (b) this.lines.push({ from: a, to: b, color: COLOR, width: 2 });
    }
    this.label.hidden = !this.isShown || !b;
    this.onLines();
  }

  private follow(): void {
    if (!this.isShown || !this.view.viewport.element.isConnected) return;
    const [a, b] = this.points;
    if (a && b) {
      const { pose, width, height } = this.view.viewport;
      const [x, y, depth] = projected(pose, lerp(a, b, 0.5), width, height);
      this.label.hidden = depth <= 0;
      this.label.style.left = `${x + 8}px`;
      this.label.style.top = `${y - 26}px`;
    }
    requestAnimationFrame(() => this.follow());
  }
}

function cross(at: Vec3, arm: number): Line[] {
  return [0, 1, 2].map((k) => {
    const [from, to]: [Vec3, Vec3] = [[...at], [...at]];
    from[k] -= arm;
    to[k] += arm;
    return { from, to, color: COLOR, width: 2 };
  });
}
