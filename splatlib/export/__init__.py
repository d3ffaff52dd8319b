"""``export_splat``: write the delivered files, read each one back, compare."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np

from splatlib.artifacts import ExportBundle, ExportedFile, Splat
from splatlib.config import ExportConfig
from splatlib.errors import ArtifactError, ExportError
from splatlib.export import ply, spz
from splatlib.export.comparison import compare
from splatlib.gaussians import Gaussians
from splatlib.progress import logger
from splatlib.workspace import Workspace

_FORMATS: dict[str, ModuleType] = {"ply": ply, "spz": spz}


def export_splat(splat: Splat, ws: Workspace, config: ExportConfig | None = None) -> ExportBundle:
    """Write ``export/scene.<format>`` for each format and verify it.

    Raises ExportError when a file, read back, is farther from the splat than its format's rounding explains,
    ArtifactError when the splat cannot be read.
    """
    config = config or ExportConfig()
    stage = ws.stage(ExportBundle, config, inputs={"splat": splat.digest})
    if (bundle := stage.reuse()) is not None:
        return bundle
    gaussians = splat.gaussians()
    _check_finite(gaussians)
    with stage.work() as directory:
        files, warnings = [], []
        for name in dict.fromkeys(config.formats):
            file, warning = _written(gaussians, name, directory / f"scene.{name}")
            files.append(file)
            warnings += [warning] if warning else []
        return stage.finish(ExportBundle(directory=directory, files=tuple(files), warnings=tuple(warnings)))


def _check_finite(gaussians: Gaussians) -> None:
    bad = ~np.isfinite(
        np.concatenate([array.reshape(len(gaussians), -1) for array in vars(gaussians).values()], axis=1)
    )
    if bad.any():
        raise ExportError(
            f"{bad.any(axis=1).sum()} of {len(gaussians)} Gaussians hold values that are not finite",
            why="the training diverged",
            hint="train again with another seed or fewer steps",
        )


def _written(gaussians: Gaussians, name: str, path: Path) -> tuple[ExportedFile, str]:
    """Write one format and compare it with what it was made from; also a warning, empty if all fits."""
    module = _FORMATS[name]
    holdable = module.representable(gaussians)
    module.write(gaussians, path)
    try:
        errors = compare(holdable, module.read(path))
    except (ArtifactError, ValueError) as error:
        raise ExportError(f"{path.name} cannot be read back", why=str(error)) from error
    if beyond := errors.beyond(module.tolerance(gaussians)):
        found = ", ".join(f"{quantity} {error:.3g}" for quantity, error in beyond.items())
        raise ExportError(
            f"{path.name}, read back, differs from the splat by more than {name.upper()}'s rounding",
            why=f"largest errors: {found}; allowed: {asdict(module.tolerance(gaussians))}",
        )
    logger.info("export: %s, %.2f MB, read back and compared", path.name, path.stat().st_size / 1e6)
    file = ExportedFile(
        format=name,
        name=path.name,
        bytes=path.stat().st_size,
        max_mean_error=errors.mean,
        max_color_error=errors.color,
        frame=module.FRAME,
    )
    return file, _clipping_warning(gaussians, holdable, name)


def _clipping_warning(gaussians: Gaussians, holdable: Gaussians, name: str) -> str:
    changed = (gaussians.log_scales != holdable.log_scales).any(axis=1) | (gaussians.sh != holdable.sh).any(axis=(1, 2))
    if not changed.any():
        return ""
    warning = (
        f"{changed.sum()} of {len(gaussians)} Gaussians have scales or colours beyond what {name.upper()} can hold; "
        "they were clipped there"
    )
    logger.info("export: %s", warning)
    return warning
