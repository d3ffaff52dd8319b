/** Pictures of a widget: thumbnails that came with it, larger ones that the kernel is asked for. */
import { bytesOf } from "../model";
import { blobUrl } from "./elements";
import type { Shell } from "./shell";

const PATIENCE_MS = 8000;
const GONE = "there is no kernel to ask";

/** Cuts pictures that lie one after the other out of one blob. */
export function sliced(blob: Uint8Array<ArrayBuffer>, sizes: number[]): Uint8Array<ArrayBuffer>[] {
  let at = 0;
  return sizes.map((size) => blob.subarray(at, (at += size)));
}

/** Object URLs, made when first asked for and given back with the widget. */
export class Urls {
  private readonly made = new Map<string, string>();

  constructor(shell: Shell) {
    shell.onDispose(() => {
      for (const url of this.made.values()) URL.revokeObjectURL(url);
    });
  }

  of(key: string, bytes: () => Uint8Array<ArrayBuffer>, type?: string): string {
    let url = this.made.get(key);
    if (!url) this.made.set(key, (url = blobUrl(bytes(), type)));
    return url;
  }
}

/** Questions to Python, each answered by a message that repeats its `ask` and `name` and carries bytes. */
export class Kernel {
  private readonly waiting = new Map<string, { done: (bytes: Uint8Array<ArrayBuffer>) => void; fail: (e: Error) => void }>();

  constructor(private readonly shell: Shell) {
    shell.listen("msg:custom", (content: { ask?: string; name?: string; error?: string }, buffers: unknown[]) => {
      const key = `${content.ask} ${content.name}`;
      const asked = this.waiting.get(key);
      if (!asked) return;
      this.waiting.delete(key);
      if (content.error) asked.fail(new Error(content.error));
      else asked.done(bytesOf(buffers[0]));
    });
    shell.onAlone(() => {
      for (const { fail } of this.waiting.values()) fail(new Error(GONE));
      this.waiting.clear();
    });
  }

  get isGone(): boolean {
    return this.shell.isAlone;
  }

  ask(ask: string, name: string, more: Record<string, unknown> = {}): Promise<Uint8Array<ArrayBuffer>> {
    if (this.isGone) return Promise.reject(new Error(GONE));
    return new Promise((done, fail) => {
      const key = `${ask} ${name}`;
      this.waiting.set(key, { done, fail });
      setTimeout(() => {
        if (this.waiting.delete(key)) fail(new Error("the kernel does not answer: it may be busy, or was restarted"));
      }, PATIENCE_MS);
      this.shell.model.send({ ask, name, ...more });
    });
  }
}

export async function decoded(bytes: Uint8Array<ArrayBuffer>, type = "image/jpeg"): Promise<ImageBitmap> {
  return createImageBitmap(new Blob([bytes], { type }));
}
