/** Which depth a ray meets: where the Gaussians along it have taken half of its light. */
import type { Unpacked } from "./unpack";

type Three = [number, number, number];
const HALF = 0.5;
const LEAST_ALPHA = 1 / 255;

/** Distance along a unit direction, or undefined where the ray passes through. `keep` says which Gaussians count. */
export function distanceAlong(
  splat: Unpacked,
  origin: Three,
  direction: Three,
  keep: (x: number, y: number, z: number) => boolean = () => true,
): number | undefined {
  const { centers, reach, count } = splat;
  const met: { distance: number; alpha: number }[] = [];
  for (let i = 0, k = 0; i < count; i++, k += 4) {
    const x = centers[k] - origin[0];
    const y = centers[k + 1] - origin[1];
    const z = centers[k + 2] - origin[2];
    const along = x * direction[0] + y * direction[1] + z * direction[2];
    const off = x * x + y * y + z * z - along * along;
    if (along <= 0 || off > reach[i] * reach[i]) continue;
    if (!keep(centers[k], centers[k + 1], centers[k + 2])) continue;
    const hit = closest(splat, i, [x, y, z], direction);
    if (hit.alpha >= LEAST_ALPHA && hit.distance > 0) met.push(hit);
  }
  met.sort((a, b) => a.distance - b.distance);
  let light = 1;
  for (const { distance, alpha } of met) {
    light *= 1 - alpha;
    if (light < HALF) return distance;
  }
  return undefined;
}

/** Where on the ray a Gaussian is densest, and how opaque it is there. `at` is its centre seen from the origin. */
function closest(splat: Unpacked, i: number, at: Three, direction: Three): { distance: number; alpha: number } {
  const q = [0, 1, 2, 3].map((k) => ((splat.shapes[4 * i + (k >> 1)] << (k & 1 ? 0 : 16)) >> 16) / 32767);
  const [x, y, z, w] = q;
  const axes: Three[] = [
    [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
    [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
    [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
  ];
  const [words, more] = [splat.shapes[4 * i + 2], splat.shapes[4 * i + 3]];
  const sizes = [words & 0xffff, words >>> 16, more & 0xffff].map((half) => Math.exp(fromHalf(half)));
  let [dd, da, aa] = [0, 0, 0];
  axes.forEach((axis, k) => {
    const d = (axis[0] * direction[0] + axis[1] * direction[1] + axis[2] * direction[2]) / sizes[k];
    const a = (axis[0] * at[0] + axis[1] * at[1] + axis[2] * at[2]) / sizes[k];
    dd += d * d;
    da += d * a;
    aa += a * a;
  });
  const distance = da / dd;
  const squared = Math.max(aa - (da * da) / dd, 0);
  return { distance, alpha: Math.min(0.999, (splat.base[4 * i + 3] / 255) * Math.exp(-squared / 2)) };
}

export function fromHalf(half: number): number {
  const exponent = (half >> 10) & 31;
  const fraction = (half & 1023) / 1024;
  const size = exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15);
  return half & 0x8000 ? -size : size;
}
