import { describe, expect, it, vi } from "vitest";
import { cameraAt, linksOf, type SceneCamera } from "../src/kinds/frusta";
import { readPoints } from "../src/kinds/points";
import { between, focalOf, looking, projected, rayThrough, row, type Pose } from "../src/math";
import { bytesOf } from "../src/model";
import { fromBase64, SavedModel, withBuffers } from "../src/savedmodel";
import type { Viewport } from "../src/gl/viewport";

const POSE: Pose = looking([0, 0, -4], [0, 0, 0], [0, -1, 0], [0.5, 0.4]);

describe("cameras", () => {
  it("look ahead, upright: right is +x and down is +y where up is -y", () => {
    expect(row(POSE.rotation, 2)).toEqual([0, 0, 1]);
    expect(row(POSE.rotation, 0).map(Math.abs)).toEqual([1, 0, 0]);
    expect(projected(POSE, [1, 1, 0], 800, 600)[0]).toBeGreaterThan(400);
    expect(projected(POSE, [1, 1, 0], 800, 600)[1]).toBeGreaterThan(300);
  });

  it("show all of their angle on wide and on high canvases", () => {
    expect(focalOf(POSE, 1000, 100)).toBeCloseTo(100 / 0.8);
    expect(focalOf(POSE, 100, 1000)).toBeCloseTo(100);
  });

  it("send rays through the pixels that they project to", () => {
    const ray = rayThrough(POSE, 123, 456, 800, 600);
    const point = [0, 1, 2].map((k) => POSE.center[k] + 3 * ray[k]) as [number, number, number];
    const [x, y] = projected(POSE, point, 800, 600);
    expect([x, y].map(Math.round)).toEqual([123, 456]);
  });

  it("arrive where a flight ends", () => {
    const end = looking([3, 1, 0], [0, 0, 0], [0, -1, 0], [0.3, 0.3]);
    expect(between(POSE, end, 1)).toEqual(end);
    expect(between(POSE, end, 0).center).toEqual(POSE.center);
  });
});

describe("saved pages", () => {
  it("put buffers where their paths say", () => {
    const state = withBuffers({ state: { blobs: [null, null] }, buffers: [{ path: ["blobs", 1], data: "AQID" }] });
    expect([...bytesOf((state.blobs as unknown[])[1])]).toEqual([1, 2, 3]);
  });

  it("tell listeners of changes, as a kernel would", () => {
    const model = new SavedModel({ state: { crop: {} }, buffers: [] });
    const heard = vi.fn();
    model.on("change:crop", heard);
    model.set("crop", { size: [1, 1, 1] });
    expect(heard).not.toHaveBeenCalled();
    model.save_changes();
    expect(heard).toHaveBeenCalledOnce();
    model.off("change:crop", heard);
    model.set("crop", {});
    model.save_changes();
    expect(heard).toHaveBeenCalledOnce();
    expect(model.get("crop")).toEqual({});
  });

  it("read base64", () => {
    expect(fromBase64("aGk=").getUint8(1)).toBe("i".charCodeAt(0));
  });

  it("say so where bytes are missing", () => {
    expect(() => bytesOf(null)).toThrow(/run the cell again/);
  });
});

describe("the scene", () => {
  const camera = (x: number): SceneCamera => ({
    name: `c${x}`,
    width: 640,
    height: 480,
    pose: looking([x, 0, 0], [x, 0, 1], [0, -1, 0], [0.5, 0.4]),
    extent: [-0.5, -0.4, 0.5, 0.4],
  });

  it("finds the camera under the pointer, the nearest first", () => {
    const cameras = [camera(0), camera(1)];
    const viewport = { pose: POSE, width: 800, height: 600 } as Viewport;
    const [x, y] = projected(POSE, [1, 0, 0.2], 800, 600);
    expect(cameraAt(cameras, 0.4, viewport, x, y)).toBe(1);
    expect(cameraAt(cameras, 0.4, viewport, 5, 5)).toBe(-1);
  });

  it("draws strong links stronger", () => {
    const [strong, weak] = linksOf([camera(0), camera(1)], [[0, 1, 10], [0, 1, 100]]);
    expect(strong.color[3]).toBeGreaterThan(weak.color[3]);
  });

  it("refuses points that are cut short", () => {
    expect(() => readPoints(new ArrayBuffer(16), { count: 1, error_step_px: 0.1 })).toThrow(/damaged/);
    expect(readPoints(new ArrayBuffer(17), { count: 1, error_step_px: 0.1 }).tracks.length).toBe(1);
  });
});
