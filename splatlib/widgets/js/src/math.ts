/** Vectors and 3×3 rotations (row by row), poses in OpenCV's camera axes: right, down, forward. */
export type Vec3 = [number, number, number];
export type Mat3 = [number, number, number, number, number, number, number, number, number];

/**
 * A camera: `rotation` is cam_from_world (its rows are right, down and forward in the world), `tan` the tangents of half
 * the horizontal and vertical angle that have to be in the picture, whatever the shape of the canvas.
 */
export interface Pose {
  center: Vec3;
  rotation: Mat3;
  tan: [number, number];
}

export const IDENTITY: Mat3 = [1, 0, 0, 0, 1, 0, 0, 0, 1];

export const add = (a: Vec3, b: Vec3): Vec3 => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const subtract = (a: Vec3, b: Vec3): Vec3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const scaled = (a: Vec3, by: number): Vec3 => [a[0] * by, a[1] * by, a[2] * by];
export const dot = (a: Vec3, b: Vec3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const length = (a: Vec3): number => Math.hypot(a[0], a[1], a[2]);
export const cross = (a: Vec3, b: Vec3): Vec3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
export const lerp = (a: Vec3, b: Vec3, t: number): Vec3 => add(scaled(a, 1 - t), scaled(b, t));

export function normalized(a: Vec3): Vec3 {
  const size = length(a);
  return size > 0 ? scaled(a, 1 / size) : [0, 0, 1];
}

export const row = (m: Mat3, i: number): Vec3 => [m[3 * i], m[3 * i + 1], m[3 * i + 2]];
export const transposed = (m: Mat3): Mat3 => [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]];
export const apply = (m: Mat3, v: Vec3): Vec3 => [dot(row(m, 0), v), dot(row(m, 1), v), dot(row(m, 2), v)];
export const fromRows = (a: Vec3, b: Vec3, c: Vec3): Mat3 => [...a, ...b, ...c];

export function product(a: Mat3, b: Mat3): Mat3 {
  const columns = transposed(b);
  const rows = [0, 1, 2].map((i) => apply(columns, row(a, i)));
  return fromRows(rows[0], rows[1], rows[2]);
}

/** Turns a vector about a unit axis (Rodrigues). */
export function turned(v: Vec3, axis: Vec3, angle: number): Vec3 {
  const c = Math.cos(angle);
  const s = Math.sin(angle);
  return add(add(scaled(v, c), scaled(cross(axis, v), s)), scaled(axis, dot(axis, v) * (1 - c)));
}

/** Right, down, forward, made orthonormal again; forward is kept. */
export function orthonormal(m: Mat3): Mat3 {
  const forward = normalized(row(m, 2));
  const right = normalized(cross(row(m, 1), forward));
  return fromRows(right, cross(forward, right), forward);
}

/** Looks from one place to another, upright. */
export function looking(from: Vec3, to: Vec3, up: Vec3, tan: [number, number]): Pose {
  const forward = normalized(subtract(to, from));
  let right = cross(forward, up);
  if (length(right) < 1e-6) right = cross(forward, Math.abs(forward[0]) < 0.9 ? [1, 0, 0] : [0, 1, 0]);
  right = normalized(right);
  return { center: from, rotation: fromRows(right, cross(forward, right), forward), tan };
}

/** Between two poses: places linearly, rotations by blended axes, which is enough for a short flight. */
export function between(a: Pose, b: Pose, t: number): Pose {
  const rows = [0, 1, 2].map((i) => lerp(row(a.rotation, i), row(b.rotation, i), t));
  return {
    center: lerp(a.center, b.center, t),
    rotation: t >= 1 ? b.rotation : orthonormal(fromRows(rows[0], rows[1], rows[2])),
    tan: [a.tan[0] * (1 - t) + b.tan[0] * t, a.tan[1] * (1 - t) + b.tan[1] * t],
  };
}

/** Pixels per unit of x/z that a canvas of this size shows a pose with: all of `tan` is inside. */
export function focalOf(pose: Pose, width: number, height: number): number {
  return Math.min(width / (2 * pose.tan[0]), height / (2 * pose.tan[1]));
}

/** Where a world point appears: pixels (x right, y down) and depth; behind the camera, depth ≤ 0. */
export function projected(pose: Pose, point: Vec3, width: number, height: number): Vec3 {
  const [x, y, z] = apply(pose.rotation, subtract(point, pose.center));
  const focal = focalOf(pose, width, height);
  return [(focal * x) / z + width / 2, (focal * y) / z + height / 2, z];
}

/** Unit direction in the world of the ray through a pixel. */
export function rayThrough(pose: Pose, x: number, y: number, width: number, height: number): Vec3 {
  const focal = focalOf(pose, width, height);
  const inCamera: Vec3 = [(x - width / 2) / focal, (y - height / 2) / focal, 1];
  return normalized(apply(transposed(pose.rotation), inCamera));
}
