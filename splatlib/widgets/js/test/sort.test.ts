import { describe, expect, it } from "vitest";
import { Sorter, colorsSeenFrom, evaluateBasis, type SortRequest } from "../src/splat/sort";
import { distanceAlong } from "../src/splat/pick";
import { toHalf, type Unpacked } from "../src/splat/unpack";

/** Round Gaussians of one size, opaque, grey. */
function splatAt(places: [number, number, number][], sigma = 0.01): Unpacked {
  const count = places.length;
  const half = toHalf(Math.log(sigma));
  return {
    count,
    shDegree: 0,
    centers: Float32Array.from(places.flatMap((p) => [...p, 0])),
    shapes: Uint32Array.from(places.flatMap(() => [0, 32767 << 16, half | (half << 16), half])),
    base: Uint8Array.from(places.flatMap(() => [128, 128, 128, 255])),
    color: [-0.5, 2 / 255],
    sh: new Int8Array(0),
    shSteps: new Float32Array(0),
    reach: new Float32Array(count).fill(3 * sigma),
  };
}

const AHEAD: SortRequest = {
  center: [0, 0, 0],
  rotation: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  tan: [1, 1],
  near: 0.01,
  shDegree: 3,
};

describe("Sorter", () => {
  it("orders a thousand Gaussians from far to near", () => {
    let seed = 1;
    const random = () => ((seed = (seed * 16807) % 2147483647) / 2147483647);
    const places = Array.from({ length: 1000 }, (): [number, number, number] => [0, 0, 0.02 + 50 * random()]);
    const { order } = new Sorter(splatAt(places)).sort(AHEAD);
    const depths = [...order].map((i) => places[i][2]);
    expect(order.length).toBe(1000);
    for (let i = 1; i < depths.length; i++) expect(depths[i]).toBeLessThanOrEqual(depths[i - 1] * 1.001);
  });

  it("leaves out what is behind, too near or outside the picture, and NaN", () => {
    const places: [number, number, number][] = [[0, 0, 1], [0, 0, -1], [0, 0, 0.005], [9, 0, 1], [NaN, 0, 1], [1.1, 0, 1]];
    expect([...new Sorter(splatAt(places)).sort(AHEAD).order].sort()).toEqual([0, 5]);
  });

  it("keeps a large Gaussian whose centre is outside", () => {
    const splat = splatAt([[3, 0, 1]], 1);
    expect(new Sorter(splat).sort(AHEAD).order.length).toBe(1);
  });

  it("sends colours once, and again only when they change", () => {
    const sorter = new Sorter(splatAt([[0, 0, 1]]));
    expect(sorter.sort(AHEAD).colors).toBeDefined();
    expect(sorter.sort({ ...AHEAD, center: [0, 0.1, 0] }).colors).toBeUndefined();
  });

  it("works without Gaussians", () => {
    expect(new Sorter(splatAt([])).sort(AHEAD).order.length).toBe(0);
  });
});

describe("colours", () => {
  it("are the base colour", () => {
    const [rgba] = colorsSeenFrom(splatAt([[0, 0, 1]]), [0, 0, 0], 0);
    const exact = 255 * (-0.5 + (2 / 255) * 128);
    expect(Math.abs((rgba & 255) - exact)).toBeLessThanOrEqual(0.5);
    expect(rgba >>> 24).toBe(255);
  });

  it("change with the side they are seen from", () => {
    const splat = { ...splatAt([[0, 0, 0]]), shDegree: 1, sh: Int8Array.from([0, 0, 0, 10, 0, 0, 0, 0, 0]) };
    splat.shSteps = new Float32Array([0.05, 0.05, 0.05]); // red grows along +z
    const red = (eye: [number, number, number]) => colorsSeenFrom(splat, eye, 1)[0] & 255;
    const step = 255 * 0.4886025119029199 * 0.5;
    expect(red([0, 0, -1]) - red([0, 0, 1])).toBeCloseTo(2 * step, -0.3);
  });

  it("have basis functions that are orthonormal on the sphere", () => {
    const sums = Array.from({ length: 15 }, () => new Float64Array(15));
    const samples = 20000;
    const basis = new Float64Array(15);
    for (let i = 0; i < samples; i++) {
      const z = 1 - (2 * i + 1) / samples;
      const angle = Math.PI * (1 + Math.sqrt(5)) * i;
      const r = Math.sqrt(1 - z * z);
      evaluateBasis(basis, r * Math.cos(angle), r * Math.sin(angle), z, 3);
      for (let a = 0; a < 15; a++) for (let b = 0; b < 15; b++) sums[a][b] += (basis[a] * basis[b] * 4 * Math.PI) / samples;
    }
    for (let a = 0; a < 15; a++) for (let b = 0; b < 15; b++) expect(sums[a][b]).toBeCloseTo(a === b ? 1 : 0, 2);
  });
});

describe("distanceAlong", () => {
  it("finds the first Gaussian that takes half of the light", () => {
    const splat = splatAt([[0, 0, 5], [0, 0, 2], [1, 0, 1]], 0.05);
    expect(distanceAlong(splat, [0, 0, 0], [0, 0, 1])).toBeCloseTo(2, 5);
  });

  it("goes through what the crop leaves out, and says so where nothing is", () => {
    const splat = splatAt([[0, 0, 5], [0, 0, 2]], 0.05);
    expect(distanceAlong(splat, [0, 0, 0], [0, 0, 1], (_x, _y, z) => z > 3)).toBeCloseTo(5, 5);
    expect(distanceAlong(splat, [0, 0, 0], [0, 1, 0])).toBeUndefined();
  });
});
