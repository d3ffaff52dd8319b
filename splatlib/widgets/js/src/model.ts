/** What we use of anywidget's model; `savedmodel.ts` is another implementation, for pages without a kernel. */
export interface Model {
  get(key: string): unknown;
  set(key: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(event: string, callback: (...values: never[]) => void): void;
  off(event: string, callback?: (...values: never[]) => void): void;
  /** True of a page that was saved to disk: no kernel will ever answer. */
  readonly isSaved?: boolean;
}

export interface Place {
  model: Model;
  el: HTMLElement;
}

/** Binary values arrive as views into larger buffers; this is the part that belongs to the value. */
export function bytesOf(value: unknown): Uint8Array<ArrayBuffer> {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength);
  }
  throw new Error("a part of the data is missing: run the cell again");
}

export function blobsOf(model: Model): Uint8Array<ArrayBuffer>[] {
  return ((model.get("blobs") as unknown[] | undefined) ?? []).map(bytesOf);
}

export function infoOf<T>(model: Model): T {
  const info = model.get("info");
  if (!info || typeof info !== "object") throw new Error("the data of this view are missing: run the cell again");
  return info as T;
}

/** Hand a value to Python. */
export function tell(model: Model, key: string, value: unknown): void {
  model.set(key, value);
  model.save_changes();
}

export async function gunzip(bytes: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
