/** How many WebGL contexts live at once, and what kind of machine draws them. */

/** Browsers drop the oldest of about sixteen; other widgets of the page need some too. */
const MOST = 6;

interface Holder {
  /** Give the context back, keeping a picture. */
  release(): void;
}

const holders: Holder[] = [];

/** Count a context as in use; the one unused for longest has to go if there are too many. */
export function acquired(holder: Holder): void {
  released(holder);
  holders.push(holder);
  while (holders.length > MOST) holders[0].release();
}

export function released(holder: Holder): void {
  const at = holders.indexOf(holder);
  if (at >= 0) holders.splice(at, 1);
}

let software: boolean | undefined;

/** Whether pixels are drawn by the processor: then fewer of them are drawn while something moves. */
export function isSoftware(gl: WebGL2RenderingContext): boolean {
  if (software === undefined) {
    const names = gl.getExtension("WEBGL_debug_renderer_info");
    const renderer = String(gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
    software = /swiftshader|llvmpipe|software|basic render/i.test(renderer);
  }
  return software;
}
