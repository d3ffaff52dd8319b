/** Cameras of a scene as pyramids, pictures and lines; and which of them is under the pointer. */
import type { Line } from "../gl/lines";
import type { Placed } from "../gl/pictures";
import type { Viewport } from "../gl/viewport";
import { add, apply, projected, scaled, subtract, transposed, type Pose, type Vec3 } from "../math";

/** `extent`: where the picture's left, top, right and bottom edges lie at depth 1. */
export interface SceneCamera {
  name: string;
  width: number;
  height: number;
  pose: Pose;
  extent: [number, number, number, number];
}

const ACCENT: [number, number, number, number] = [0.85, 0.47, 0.18, 0.8];
const SELECTED: [number, number, number, number] = [1, 0.75, 0.35, 1];
const HOVERED: [number, number, number, number] = [0.35, 0.75, 1, 1];
const MOST_LINKS = 3000;

/** Corners of the picture in the world, clockwise from the top left; `size` is how far the farthest is. */
function corners({ pose, extent: [left, top, right, bottom] }: SceneCamera, size: number): Vec3[] {
  const rays: Vec3[] = [[left, top, 1], [right, top, 1], [right, bottom, 1], [left, bottom, 1]];
  const longest = Math.max(...rays.map((ray) => Math.hypot(...ray)));
  const world = transposed(pose.rotation);
  return rays.map((ray) => add(pose.center, apply(world, scaled(ray, size / longest))));
}

export function frustaOf(cameras: SceneCamera[], size: number, selected: number, hovered: number): Line[] {
  return cameras.flatMap((camera, index) => {
    const color = index === hovered ? HOVERED : index === selected ? SELECTED : ACCENT;
    const width = index === hovered || index === selected ? 2.4 : 1.1;
    const around = corners(camera, size);
    return around.flatMap((corner, k) => [
      { from: camera.pose.center, to: corner, color, width },
      { from: corner, to: around[(k + 1) % 4], color, width },
    ]);
  });
}

export function placedPictures(cameras: SceneCamera[], size: number, { columns }: { columns: number }): Placed[] {
  return cameras.map((camera, k) => {
    const [a, b, , d] = corners(camera, size);
    const side = 1 / columns;
    const inset = side / 256; // the neighbours in the atlas must not shine in
    return {
      corner: a,
      right: subtract(b, a),
      down: subtract(d, a),
      part: [(k % columns) * side + inset, Math.floor(k / columns) * side + inset, side - 2 * inset, side - 2 * inset],
    };
  });
}

/** The strongest links between cameras, the stronger the less transparent. */
export function linksOf(cameras: SceneCamera[], links: [number, number, number][]): Line[] {
  const strongest = [...links].sort((a, b) => b[2] - a[2]).slice(0, MOST_LINKS);
  const most = strongest[0]?.[2] ?? 1;
  return strongest.map(([a, b, matches]) => ({
    from: cameras[a].pose.center,
    to: cameras[b].pose.center,
    color: [0.3, 0.65, 0.95, 0.06 + 0.6 * (matches / most)],
    width: 1,
  }));
}

/** The nearest camera whose picture or tip is at a point of the view; -1: none. */
export function cameraAt(cameras: SceneCamera[], size: number, viewport: Viewport, x: number, y: number): number {
  const { pose, width, height } = viewport;
  let [best, nearest] = [-1, Infinity];
  cameras.forEach((camera, index) => {
    const tip = projected(pose, camera.pose.center, width, height);
    if (tip[2] <= 0.02 * size) return;
    const outline = corners(camera, size).map((corner) => projected(pose, corner, width, height));
    if (outline.some((corner) => corner[2] <= 0)) return;
    const isHit = Math.hypot(tip[0] - x, tip[1] - y) < 9 || isInside(outline, x, y);
    if (isHit && tip[2] < nearest) [best, nearest] = [index, tip[2]];
  });
  return best;
}

function isInside(outline: Vec3[], x: number, y: number): boolean {
  const sides = outline.map((a, k) => {
    const b = outline[(k + 1) % outline.length];
    return Math.sign((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]));
  });
  return sides.every((side) => side >= 0) || sides.every((side) => side <= 0);
}

