/** Which Gaussians are in view, in which order they are drawn, and which colour each shows: everything but the pixels. */
import type { Unpacked } from "./unpack";

export interface SortRequest {
  center: [number, number, number];
  rotation: number[]; // cam_from_world, row by row
  /** Tangents of half the angles that the canvas shows. */
  tan: [number, number];
  near: number;
  shDegree: number;
}

export interface Sorted {
  /** Indices of the Gaussians in view, the farthest first. */
  order: Uint32Array<ArrayBuffer>;
  /** [N] RGBA, 8 bits each; undefined where they have not changed since the last answer. */
  colors: Uint32Array<ArrayBuffer> | undefined;
}

const BUCKETS = 1 << 16;
const MARGIN = 1.15;

export class Sorter {
  private readonly depths: Float32Array<ArrayBuffer>;
  private readonly seen: Uint32Array<ArrayBuffer>;
  private readonly starts = new Uint32Array(BUCKETS + 1);
  private colored = "";

  constructor(private readonly splat: Unpacked) {
    this.depths = new Float32Array(splat.count);
    this.seen = new Uint32Array(splat.count);
  }

  sort(request: SortRequest): Sorted {
    const visible = this.cull(request);
    const order = this.order(visible);
    const degree = Math.min(request.shDegree, this.splat.shDegree);
    const key = degree > 0 ? `${degree} ${request.center.join(" ")}` : "0";
    if (key === this.colored) return { order, colors: undefined };
    this.colored = key;
    return { order, colors: colorsSeenFrom(this.splat, request.center, degree) };
  }

  /** Fills `seen` and their depths; returns how many there are. */
  private cull({ center, rotation: r, tan, near }: SortRequest): number {
    const { centers, reach, count } = this.splat;
    const [tx, ty] = [tan[0] * MARGIN, tan[1] * MARGIN];
    const [slackX, slackY] = [Math.hypot(1, tx), Math.hypot(1, ty)];
    let visible = 0;
    for (let i = 0, k = 0; i < count; i++, k += 4) {
      const x = centers[k] - center[0];
      const y = centers[k + 1] - center[1];
      const z = centers[k + 2] - center[2];
      const depth = r[6] * x + r[7] * y + r[8] * z;
      if (!(depth > near)) continue;
      if (Math.abs(r[0] * x + r[1] * y + r[2] * z) > tx * depth + slackX * reach[i]) continue;
      if (Math.abs(r[3] * x + r[4] * y + r[5] * z) > ty * depth + slackY * reach[i]) continue;
      this.depths[visible] = depth;
      this.seen[visible++] = i;
    }
    return visible;
  }

  /**
   * Counting sort, farthest first. The bits of positive floats are ordered as the floats are, so their upper bits make
   * buckets of equal *relative* depth: near things are told apart as well as far ones.
   */
  private order(visible: number): Uint32Array<ArrayBuffer> {
    const bits = new Uint32Array(this.depths.buffer, 0, visible);
    let low = 0xffffffff;
    let high = 0;
    for (let i = 0; i < visible; i++) {
      if (bits[i] < low) low = bits[i];
      if (bits[i] > high) high = bits[i];
    }
    let shift = 0;
    while ((high - low) >>> shift >= BUCKETS) shift++;
    const starts = this.starts.fill(0);
    for (let i = 0; i < visible; i++) starts[((high - bits[i]) >>> shift) + 1]++;
    for (let bucket = 1; bucket <= BUCKETS; bucket++) starts[bucket] += starts[bucket - 1];
    const order = new Uint32Array(visible);
    for (let i = 0; i < visible; i++) order[starts[(high - bits[i]) >>> shift]++] = this.seen[i];
    return order;
  }
}

/** RGBA of each Gaussian as it looks from a place. Basis functions: `splatlib/spherical_harmonics.py`. */
export function colorsSeenFrom(
  { count, centers, base, color, sh, shSteps, shDegree }: Unpacked,
  eye: [number, number, number],
  degree: number,
): Uint32Array<ArrayBuffer> {
  const [low, step] = [255 * color[0], 255 * color[1]];
  const used = (degree + 1) ** 2 - 1;
  const stride = 3 * ((shDegree + 1) ** 2 - 1);
  const basis = new Float64Array(15);
  const bytes = new Uint8ClampedArray(4 * count);
  for (let i = 0; i < count; i++) {
    let r = 0;
    let g = 0;
    let b = 0;
    if (used > 0) {
      evaluateBasis(basis, centers[4 * i] - eye[0], centers[4 * i + 1] - eye[1], centers[4 * i + 2] - eye[2], degree);
      for (let k = 0, at = stride * i; k < used; k++, at += 3) {
        const weight = basis[k] * shSteps[k];
        r += weight * sh[at];
        g += weight * sh[at + 1];
        b += weight * sh[at + 2];
      }
    }
    bytes[4 * i] = low + step * base[4 * i] + 255 * r;
    bytes[4 * i + 1] = low + step * base[4 * i + 1] + 255 * g;
    bytes[4 * i + 2] = low + step * base[4 * i + 2] + 255 * b;
    bytes[4 * i + 3] = base[4 * i + 3];
  }
  return new Uint32Array(bytes.buffer);
}

export function evaluateBasis(into: Float64Array, dx: number, dy: number, dz: number, degree: number): void {
  const size = Math.sqrt(dx * dx + dy * dy + dz * dz) || 1;
  const [x, y, z] = [dx / size, dy / size, dz / size];
  into[0] = -0.4886025119029199 * y;
  into[1] = 0.4886025119029199 * z;
  into[2] = -0.4886025119029199 * x;
  if (degree < 2) return;
  const [xx, yy, zz] = [x * x, y * y, z * z];
  into[3] = 1.0925484305920792 * x * y;
  into[4] = -1.0925484305920792 * y * z;
  into[5] = 0.31539156525252005 * (2 * zz - xx - yy);
  into[6] = -1.0925484305920792 * x * z;
  into[7] = 0.5462742152960396 * (xx - yy);
  if (degree < 3) return;
  into[8] = -0.5900435899266435 * y * (3 * xx - yy);
  into[9] = 2.890611442640554 * x * y * z;
  into[10] = -0.4570457994644658 * y * (4 * zz - xx - yy);
  into[11] = 0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy);
  into[12] = -0.4570457994644658 * x * (4 * zz - xx - yy);
  into[13] = 1.445305721320277 * z * (xx - yy);
  into[14] = -0.5900435899266435 * x * (xx - 3 * yy);
}
