"""``python -m splatlib.container.weights FOLDER``: the masks' networks into an image, checked by their sums."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from splatlib.config import DOWNLOAD, MasksConfig
from splatlib.masks import sam2, u2net
from splatlib.masks.weights import SUMS_FILE, checked_digest, weights_path


def main(folder: Path) -> None:
    """Put the default U2-Net and SAM 2 into a folder that SPLATLIB_WEIGHTS can name, with their SHA256SUMS.

    Raises MissingDependencyError where they cannot be reached, MasksError where they are not what was promised.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sums = []
    for backend, weights_of in (("u2net", u2net.weights_of), ("sam2", sam2.weights_of)):
        config = MasksConfig.from_dict({"backend": backend, "weights": DOWNLOAD})
        path = weights_path(weights_of(config), config)
        target = folder / path.name
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            shutil.copy2(path, target)
        sums += (path.parent / SUMS_FILE).read_text().splitlines()
        (folder / SUMS_FILE).write_text("\n".join(sums) + "\n")
        print(target, checked_digest(target))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
