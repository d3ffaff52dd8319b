/** `compare`: photo and render under one slider with a map of errors, or two splats with one camera. */
import { infoOf } from "../model";
import type { Shell } from "../ui/shell";
import { comparePictures, type PicturesInfo } from "./comparepictures";
import { compareSplats, type SplatsInfo } from "./comparesplats";

export async function compare(shell: Shell): Promise<void> {
  const info = infoOf<PicturesInfo | SplatsInfo>(shell.model);
  if (info.note) shell.note(info.note);
  if (info.of === "splats") await compareSplats(shell, info);
  else await comparePictures(shell, info);
}
