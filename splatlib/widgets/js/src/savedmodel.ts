/** A widget's state in a page on disk, behind the same face as a live model. */
import type { Model } from "./model";

export interface SavedState {
  state: Record<string, unknown>;
  buffers: { path: (string | number)[]; data: string }[];
}

type Callback = (...values: never[]) => void;

export class SavedModel implements Model {
  readonly isSaved = true;
  private readonly callbacks = new Map<string, Set<Callback>>();
  private state: Record<string, unknown> | undefined;
  private changed: string[] = [];

  constructor(private readonly saved: SavedState) {}

  get(key: string): unknown {
    this.state ??= withBuffers(this.saved);
    return this.state[key];
  }

  set(key: string, value: unknown): void {
    this.state ??= withBuffers(this.saved);
    this.state[key] = value;
    this.changed.push(key);
  }

  save_changes(): void {
    for (const key of this.changed.splice(0)) {
      for (const callback of this.callbacks.get(`change:${key}`) ?? []) (callback as () => void)();
    }
  }

  send(): void {
    // there is nobody to hear it
  }

  on(event: string, callback: Callback): void {
    const known = this.callbacks.get(event) ?? new Set();
    this.callbacks.set(event, known.add(callback));
  }

  off(event: string, callback?: Callback): void {
    if (callback) this.callbacks.get(event)?.delete(callback);
    else this.callbacks.delete(event);
  }
}

export function withBuffers({ state, buffers }: SavedState): Record<string, unknown> {
  const filled = structuredClone(state);
  for (const { path, data } of buffers) {
    let holder = filled as Record<string | number, unknown>;
    for (const step of path.slice(0, -1)) holder = holder[step] as Record<string | number, unknown>;
    holder[path[path.length - 1]] = fromBase64(data);
  }
  return filled;
}

export function fromBase64(text: string): DataView<ArrayBuffer> {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < characters.length; i++) bytes[i] = characters.charCodeAt(i);
  return new DataView(bytes.buffer);
}
