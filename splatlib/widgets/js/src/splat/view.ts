/** A viewport that shows one splat: loads it, keeps its order and colours up to date, answers where a ray ends. */
import { SplatLayer } from "../gl/splats";
import { Viewport } from "../gl/viewport";
import { focalOf, rayThrough, type Pose, type Vec3 } from "../math";
import { make } from "../ui/elements";
import { SplatEngine } from "./client";
import type { PackedInfo } from "./unpack";

export interface SplatData {
  packed: PackedInfo;
  pose: { center: Vec3; rotation: number[]; tan: [number, number] };
  target: Vec3;
  up: Vec3;
  near: number;
  radius: number;
  background: [number, number, number];
}

export class SplatView {
  readonly viewport: Viewport;
  layer: SplatLayer | undefined;
  shDegree: number;
  private readonly engine = new SplatEngine();
  private isSorting = false;
  private isStale = false;
  /** The request whose answer is shown; empty before the first. */
  private sortedFor = "";
  private readonly busy = make("div", "busy");

  constructor(
    readonly data: SplatData,
    poster: Uint8Array<ArrayBuffer> | undefined,
    private readonly shell: { note(text?: string): void; fail(error: unknown): void },
  ) {
    this.shDegree = data.packed.sh_degree;
    this.viewport = new Viewport({
      pose: data.pose as Pose,
      near: data.near,
      background: data.background,
      poster: poster?.length ? new Blob([poster], { type: "image/jpeg" }) : undefined,
      isReady: () => this.sortedFor !== "",
      onView: () => this.onView(),
      onNote: (text) => shell.note(text),
    });
    this.viewport.element.append(this.busy);
  }

  async load(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const loaded = await this.engine.ask<"load">({ kind: "load", bytes, info: this.data.packed });
    this.layer = new SplatLayer(loaded);
    this.busy.remove();
    this.viewport.addLayer(this.layer);
  }

  /** Other Gaussians in place of the ones shown; camera and crop stay. */
  async reload(bytes: Uint8Array<ArrayBuffer>, info: PackedInfo): Promise<void> {
    const { layer: before, viewport } = this;
    const loaded = await this.engine.ask<"load">({ kind: "load", bytes, info });
    const layer = new SplatLayer(loaded);
    layer.crop = before?.crop;
    layer.dimmed = before?.dimmed ?? false;
    if (before) viewport.removeLayer(before);
    this.sortedFor = "";
    this.layer = layer;
    this.shDegree = Math.min(this.shDegree, info.sh_degree);
    viewport.addLayer(layer, 0);
  }

  setShDegree(degree: number): void {
    this.shDegree = degree;
    this.viewport.changed();
  }

  /** Where the ray through a point of the element meets the splat; undefined where it passes through. */
  async pointAt(x: number, y: number): Promise<Vec3 | undefined> {
    const { pose, width, height } = this.viewport;
    const direction = rayThrough(pose, x, y, width, height);
    const crop = this.layer?.crop;
    const distance = await this.engine.ask<"pick">({ kind: "pick", origin: pose.center, direction, box: crop });
    if (distance === undefined) return undefined;
    return [0, 1, 2].map((k) => pose.center[k] + distance * direction[k]) as Vec3;
  }

  dispose(): void {
    this.viewport.dispose();
    void this.engine.ask<"forget">({ kind: "forget" });
  }

  /** A fast GPU draws at once, in the old order; a slow one draws once, in the new order. */
  private onView(): void {
    if (!this.layer || !this.viewport.hasSize) return;
    if (!this.viewport.isSlow) this.viewport.requestDraw();
    if (this.viewport.isMounted) this.sort().catch((error: unknown) => this.shell.fail(error));
  }

  private async sort(): Promise<void> {
    this.isStale = true;
    if (this.isSorting) return;
    this.isSorting = true;
    try {
      while (this.isStale) {
        this.isStale = false;
        const { pose, width, height } = this.viewport;
        const focal = focalOf(pose, width, height);
        const request = {
          kind: "sort" as const,
          center: pose.center,
          rotation: pose.rotation,
          tan: [width / 2 / focal, height / 2 / focal] as [number, number],
          near: this.data.near,
          shDegree: this.shDegree,
        };
        const key = JSON.stringify(request);
        if (key !== this.sortedFor) {
          this.layer?.show(await this.engine.ask<"sort">(request));
          this.sortedFor = key;
          this.viewport.requestDraw();
        }
      }
    } finally {
      this.isSorting = false;
    }
  }
}
