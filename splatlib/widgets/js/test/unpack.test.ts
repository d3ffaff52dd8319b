import { describe, expect, it } from "vitest";
import { fromHalf } from "../src/splat/pick";
import { toHalf, unpack, type PackedInfo } from "../src/splat/unpack";

const INFO: PackedInfo = {
  count: 2,
  sh_degree: 1,
  chunk: 256,
  log_scale: [-5, 0.5],
  color: [-0.5, 2 / 255],
  sh_steps: [0.25, 1, 1],
  differences: false,
};

/** Two Gaussians in the layout of packing.py, written by hand. */
export function packedByHand(): ArrayBuffer {
  const parts: ArrayBufferView[] = [
    new Float32Array([1, 2, 3]), // low
    new Float32Array([0.1, 0.1, 0.1]), // step
    new Uint8Array([0, 0, 0, 0, 0, 1]), // upper bytes of x of both, y of both, z of both
    new Uint8Array([0, 10, 0, 20, 0, 30]), // lower bytes
    new Int8Array([0, 63, 0, 0, 0, -63]), // turns: none; x and z as large as they may be
    new Uint8Array([0, 1, 2, 3, 4, 5]), // log-scales
    new Uint8Array([255, 128]), // opacity
    new Uint8Array([0, 255, 64, 128, 10, 20]), // colours
    new Int8Array(Array.from({ length: 18 }, (_, k) => k - 9)), // sh: 9 rows of two
  ];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(new Uint8Array(part.buffer), at);
    at += part.byteLength;
  }
  return whole.buffer;
}

describe("unpack", () => {
  const splat = unpack(packedByHand(), INFO);

  it("places Gaussians by their chunk's corner and step", () => {
    expect([...splat.centers].map((v) => Math.round(v * 1000) / 1000)).toEqual([1, 2, 3, 0, 2, 4, 31.6, 0]);
  });

  it("keeps colours and opacity, side by side", () => {
    expect([...splat.base]).toEqual([0, 64, 10, 255, 255, 128, 20, 128]);
  });

  it("turns columns of coefficients into rows of Gaussians", () => {
    expect([...splat.sh.subarray(0, 9)]).toEqual([-9, -7, -5, -3, -1, 1, 3, 5, 7]);
    expect([...splat.sh.subarray(9)]).toEqual([-8, -6, -4, -2, 0, 2, 4, 6, 8]);
    expect([...splat.shSteps]).toEqual([0.25, 0.25, 0.25]);
  });

  it("adds green to red and blue where those are differences", () => {
    const { base, sh } = unpack(packedByHand(), { ...INFO, differences: true });
    expect([...base]).toEqual([64, 64, 74, 255, 127, 128, 148, 128]); // 255 + 128 wraps round
    expect([...sh.subarray(0, 3)]).toEqual([-16, -7, -12]);
  });

  it("restores the component of a turn that was left out", () => {
    const words = [...splat.shapes];
    expect(words[1] >>> 16).toBe(32767); // w of the first
    expect(words[0] | (words[1] & 0xffff)).toBe(0);
    const sine = Math.sin(Math.PI / 8);
    const signed = (word: number): number => ((word << 16) >> 16) / 32767;
    const quat = [words[4], words[4] >>> 16, words[5], words[5] >>> 16].map(signed);
    [sine, 0, -sine, Math.sqrt(1 - 2 * sine * sine)].forEach((value, k) => expect(quat[k]).toBeCloseTo(value, 4));
  });

  it("keeps log-scales as halves", () => {
    expect([splat.shapes[2] & 0xffff, splat.shapes[2] >>> 16, splat.shapes[3]].map(fromHalf)).toEqual([-5, -4, -3]);
    expect(splat.reach[1]).toBeCloseTo(3 * Math.exp(-2.5), 5);
  });

  it("refuses data that are cut short", () => {
    expect(() => unpack(packedByHand().slice(0, -1), INFO)).toThrow(/damaged/);
  });

  it("takes a splat without Gaussians", () => {
    expect(unpack(new ArrayBuffer(0), { ...INFO, count: 0 }).count).toBe(0);
  });
});

it("halves hold what they are given to three digits", () => {
  for (const value of [0, 1, -1, 0.333, -16, 5.4321, 1e-4, 1000]) {
    expect(Math.abs(fromHalf(toHalf(value)) - value)).toBeLessThanOrEqual(Math.abs(value) / 2048 + 1e-9);
  }
});
