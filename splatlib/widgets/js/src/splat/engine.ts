/** The work on a splat that is not the GPU's. The same class runs in the worker and, where none may start, in the page. */
import { gunzip } from "../model";
import { distanceAlong } from "./pick";
import { Sorter, type Sorted, type SortRequest } from "./sort";
import { unpack, type PackedInfo, type Unpacked } from "./unpack";

export interface LoadRequest {
  bytes: Uint8Array<ArrayBuffer>;
  info: PackedInfo;
}

export interface Loaded {
  centers: Float32Array<ArrayBuffer>;
  shapes: Uint32Array<ArrayBuffer>;
}

export interface PickRequest {
  origin: [number, number, number];
  direction: [number, number, number];
  box?: { center: number[]; half: number[]; rotation: number[] };
}

export type Request =
  | ({ kind: "load" } & LoadRequest)
  | ({ kind: "sort" } & SortRequest)
  | ({ kind: "pick" } & PickRequest)
  | { kind: "forget" };

export interface Answers {
  load: Loaded;
  sort: Sorted;
  pick: number | undefined;
  forget: undefined;
}

export class Engine {
  private readonly held = new Map<number, { splat: Unpacked; sorter: Sorter }>();

  async answer(id: number, request: Request): Promise<Answers[keyof Answers]> {
    if (request.kind === "load") return this.load(id, request);
    if (request.kind === "forget") {
      this.held.delete(id);
      return undefined;
    }
    const held = this.held.get(id);
    if (!held) throw new Error("the splat is not loaded");
    if (request.kind === "sort") return held.sorter.sort(request);
    return distanceAlong(held.splat, request.origin, request.direction, request.box && inside(request.box));
  }

  private async load(id: number, { bytes, info }: LoadRequest): Promise<Loaded> {
    const splat = unpack(await gunzip(bytes), info);
    this.held.set(id, { splat, sorter: new Sorter(splat) });
    return { centers: splat.centers, shapes: splat.shapes };
  }
}

function inside({ center, half, rotation }: NonNullable<PickRequest["box"]>): (...at: number[]) => boolean {
  return (...at) => {
    const d = at.map((value, k) => value - center[k]);
    return [0, 1, 2].every(
      (k) => Math.abs(rotation[3 * k] * d[0] + rotation[3 * k + 1] * d[1] + rotation[3 * k + 2] * d[2]) <= half[k],
    );
  };
}

/** What is handed over, not copied, with an answer. Centres are copied: the engine goes on using them. */
export function transferred(answer: Answers[keyof Answers]): ArrayBuffer[] {
  if (!answer || typeof answer !== "object" || !("order" in answer)) return [];
  return answer.colors ? [answer.order.buffer, answer.colors.buffer] : [answer.order.buffer];
}
