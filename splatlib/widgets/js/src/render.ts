import { compare } from "./kinds/compare";
import { frames } from "./kinds/frames";
import { masks } from "./kinds/masks";
import { scene } from "./kinds/scene";
import { splat } from "./kinds/splat";
import type { Place } from "./model";
import { Shell } from "./ui/shell";

const KINDS: Record<string, (shell: Shell) => void | Promise<void>> = { compare, frames, masks, scene, splat };

/** Show a widget; returns what takes it away again. */
export function render({ model, el }: Place): () => void {
  const shell = new Shell(model, el);
  const kind = String(model.get("kind"));
  const start = KINDS[kind];
  if (start) {
    // errors of an async start, too, appear under the widget
    void (async () => start(shell))().catch((error: unknown) => shell.fail(error));
  } else {
    shell.fail(new Error(`this page's runtime does not know views of kind “${kind}”: restart the kernel, reload the page`));
  }
  return () => shell.dispose();
}
