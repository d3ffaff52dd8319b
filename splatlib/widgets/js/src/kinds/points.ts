/** The sparse points' bytes, as `splatlib/widgets/scene.py` packs them, and the three ways to colour them. */
import { ramp } from "../ui/ramp";

export interface PointsInfo {
  count: number;
  error_step_px: number;
}

export interface Points {
  positions: Float32Array<ArrayBuffer>; // [3 P]
  rgb: Uint8Array<ArrayBuffer>; // [3 P]
  errors: Uint8Array<ArrayBuffer>; // [P], in steps
  tracks: Uint8Array<ArrayBuffer>; // [P], 255: that or more
  mostError: number; // px, the 98th percentile
  mostTrack: number;
}
export type Coloring = "color" | "error" | "track";

export function readPoints(buffer: ArrayBuffer, { count, error_step_px }: PointsInfo): Points {
  if (buffer.byteLength !== 17 * count) throw new Error("the points' data are damaged: run the cell again");
  const part = (at: number, width: number) => new Uint8Array(buffer, at * count, width * count);
  const [errors, tracks] = [part(15, 1), part(16, 1)];
  return {
    positions: new Float32Array(buffer, 0, 3 * count),
    rgb: part(12, 3),
    errors,
    tracks,
    mostError: (percentile(errors, 0.98) || 1) * error_step_px,
    mostTrack: percentile(tracks, 0.98) || 1,
  };
}

function percentile(values: Uint8Array, share: number): number {
  const sorted = values.slice().sort();
  return sorted[Math.floor(share * Math.max(sorted.length - 1, 0))] ?? 0;
}

export function colored(points: Points, by: Coloring): Float32Array<ArrayBuffer> {
  if (by === "color") return Float32Array.from(points.rgb, (value) => value / 255);
  const values = by === "error" ? points.errors : points.tracks;
  const most = percentile(values, 0.98) || 1;
  const table = Array.from({ length: 256 }, (_, value) => ramp(value / most));
  const colors = new Float32Array(3 * values.length);
  values.forEach((value, i) => colors.set(table[value], 3 * i));
  return colors;
}
