"""Writes a splat's file and reads it back: what lies there must be what was meant."""

from __future__ import annotations

import time
from pathlib import Path

from splatlib.artifacts import ExportedFile
from splatlib.errors import ArtifactError, ExportError
from splatlib.export.adaptive import encode_within
from splatlib.export.judge import Judge
from splatlib.formats import Format, read_gaussians
from splatlib.formats.comparison import Errors, compare
from splatlib.gaussians import Gaussians
from splatlib.progress import logger

# A file holds what its encoder says: only float32 and activations come between.
_SAME = Errors(mean=1e-5, color=1e-5, sh=1e-5, opacity=1e-5, log_scale=1e-4, rotation=1e-3)


def write_verified(
    gaussians: Gaussians, format: Format, path: Path, judge: Judge, max_loss_db: float
) -> tuple[ExportedFile, list[str]]:
    """Write one format; also warnings of what it loses.

    Raises ExportError: the file, read back, is not what was encoded. OSError.
    """
    started_s = time.perf_counter()
    chosen = encode_within(gaussians, format, judge, max_loss_db)
    chosen_s = time.perf_counter()
    held, loss_db = chosen.encoded.gaussians(), chosen.loss_db
    chosen.encoded.save(path)
    seconds = f"{chosen_s - started_s:.1f} s to encode, {time.perf_counter() - chosen_s:.1f} s to write"
    _require_same(held, path)
    likeness_db = judge.likeness_db(held) if judge.can_measure else None
    told = "" if loss_db is None else f", {max(0.0, loss_db):.2f} dB lost"
    size_mb = path.stat().st_size / 1e6
    logger.info("export: %s, %.2f MB, read back and compared%s (%s)", path.name, size_mb, told, seconds)
    file = ExportedFile(
        format=format.name,
        name=path.name,
        bytes=path.stat().st_size,
        frame=format.frame,
        num_gaussians=len(held),
        psnr_loss_db=loss_db,
        render_psnr_db=likeness_db,
    )
    return file, _warnings(gaussians, held, format, loss_db, max_loss_db)


def _require_same(held: Gaussians, path: Path) -> None:
    try:
        beyond = compare(held, read_gaussians(path)).beyond(_SAME)
    except (ArtifactError, ValueError) as error:
        raise ExportError(f"{path.name} cannot be read back", why=str(error)) from error
    if beyond:
        found = ", ".join(f"{quantity} {error:.3g}" for quantity, error in beyond.items())
        raise ExportError(f"{path.name}, read back, is not what was written", why=f"largest differences: {found}")


def _warnings(
    gaussians: Gaussians, held: Gaussians, format: Format, loss_db: float | None, max_loss_db: float
) -> list[str]:
    warnings = []
    if loss_db is not None and loss_db > max_loss_db:
        warnings.append(
            f"scene{format.suffix} loses {loss_db:.2f} dB against the photos, more than the {max_loss_db:.2f} dB asked "
            "for: the format holds no more."
        )
    if held.sh_degree < gaussians.sh_degree:
        warnings.append(f"scene{format.suffix} has no colours that depend on the direction: the format knows none.")
    return warnings
