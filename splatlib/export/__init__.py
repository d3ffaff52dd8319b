"""``export_splat``: the splat cleaned, upright and to scale, in files of many formats, read back and compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from splatlib.artifacts import ARTIFACT_FILE, ExportBundle, ExportedFile, SparseScene, Splat
from splatlib.config import ExportConfig
from splatlib.crop import in_box, in_sphere, in_turned_box
from splatlib.errors import ArtifactError, ExportError
from splatlib.export.clean import clean
from splatlib.export.judge import Judge
from splatlib.export.others import OTHERS, Delivery, missing_cameras, write_other
from splatlib.export.pictures import moved_centers, save_comparison
from splatlib.export.upright import Placement, moved_scene, place
from splatlib.export.verified import write_verified
from splatlib.formats import FORMATS, require_finite
from splatlib.progress import logger
from splatlib.similarity import Similarity
from splatlib.workspace import Workspace

_WITHOUT_PLACE = Placement(Similarity(), "nothing: the scene's own axes", "nothing", "scene")


def export_splat(
    splat: Splat, ws: Workspace, config: ExportConfig | None = None, *, scene: SparseScene | None = None
) -> ExportBundle:
    """Clean the splat, set it upright, and write and verify ``export/scene.<ending>`` for each format.

    Args:
        scene: the cameras that the splat was trained with; None: the workspace's, if they are those. Without cameras
            the splat is neither cleaned nor moved, small formats round as little as they can, and no loss is measured.

    Raises:
        ExportError: a file, read back, is not what was meant to be written; a format needs cameras and none are known;
            or no Gaussian is left, or one holds values that are not finite.
        ArtifactError: the splat or a picture cannot be read.
    """
    config = config or ExportConfig()
    scene = scene or _scene_of(splat, ws)
    inputs = {"splat": splat.digest} | ({"cameras": scene.digest} if scene else {})
    stage = ws.stage(ExportBundle, config, inputs=inputs)
    if (bundle := stage.reuse()) is not None:
        return bundle
    _require_cameras(config.formats, scene)
    gaussians = splat.gaussians()
    require_finite(gaussians)
    with stage.work() as directory:
        judge = Judge.of(splat, scene, gaussians)
        warnings, removed = list(judge.warnings), {}
        placement = place(scene) if scene is not None and config.upright else _WITHOUT_PLACE
        if config.clean:
            removed = _clean(judge, config.clean_max_psnr_loss_db, placement, directory)
        judge.move(placement.delivered_from_world)
        logger.info("export: %s", placement)
        _crop(judge, config, placement.delivered_from_world)
        moved = None if scene is None else moved_scene(scene, placement.delivered_from_world)
        files, told = _files(Delivery(judge.gaussians, moved, judge.painter, config), judge, config, directory)
        warnings += told
        for warning in warnings:
            logger.warning("export: %s", warning)
        return stage.finish(
            ExportBundle(
                directory=directory,
                files=files,
                warnings=tuple(warnings),
                delivered_from_world=tuple(map(tuple, placement.delivered_from_world.matrix.tolist())),
                up_from=placement.up_from,
                ground_from=placement.ground_from,
                unit=placement.unit,
                num_trained=len(gaussians),
                num_delivered=len(judge.gaussians),
                removed=removed,
            )
        )


def _require_cameras(formats: Sequence[str], scene: SparseScene | None) -> None:
    """Raises ExportError before anything is written."""
    if scene is None:
        for name in formats:
            if name in OTHERS and OTHERS[name].needs_cameras:
                raise missing_cameras(name)


def _clean(judge: Judge, max_loss_db: float, placement: Placement, directory: Path) -> dict[str, int]:
    """How many Gaussians went, by reason; with a picture of before and after."""
    cleaning = clean(judge, max_loss_db) if judge.can_measure else None
    if cleaning is None or cleaning.kept.all():
        return {}
    logger.info("export: %s; %.3f dB on held-out photos", cleaning, cleaning.loss_db)
    before, contributions = judge.gaussians, judge.contributions
    assert judge.scene is not None and contributions is not None
    after = before.select(cleaning.kept)
    move = placement.delivered_from_world
    shown = (move.gaussians(before), move.gaussians(after))
    save_comparison(*shown, moved_centers(judge.scene, move), judge.painter, directory / "cleaning.png")
    judge.adopt(after, contributions.select(cleaning.kept))
    return cleaning.removed


def _crop(judge: Judge, config: ExportConfig, delivered_from_world: Similarity) -> None:
    """Raises ExportError: nothing is left."""
    kept = np.ones(len(judge.gaussians), np.bool_)
    if (box := config.crop) is not None:
        means = delivered_from_world.inverse.points(judge.gaussians.means)
        kept &= in_turned_box(means, box.center, box.size, box.rotation)
    if config.crop_box is not None:
        kept &= in_box(judge.gaussians.means, config.crop_box[:3], config.crop_box[3:])
    if config.crop_sphere is not None:
        kept &= in_sphere(judge.gaussians.means, config.crop_sphere[:3], config.crop_sphere[3])
    if kept.all():
        return
    if not kept.any():
        raise ExportError(
            "cropping leaves no Gaussian",
            why=f"all lie outside {config.crop or config.crop_box or config.crop_sphere}",
            hint="crop is in the axes of the trained splat, as view_splat(splat) shows it; crop_box and crop_sphere "
            "are in those of the delivered PLY: right, down, front, from the ground below the middle",
        )
    known = judge.contributions
    logger.info("export: cropped to %d of %d Gaussians", kept.sum(), len(kept))
    judge.adopt(judge.gaussians.select(kept), known.select(kept) if known else None)


def _files(
    delivery: Delivery, judge: Judge, config: ExportConfig, directory: Path
) -> tuple[tuple[ExportedFile, ...], list[str]]:
    files: list[ExportedFile] = []
    warnings: list[str] = []
    for name in dict.fromkeys(config.formats):
        if name in OTHERS:
            files.append(write_other(name, delivery, directory))
            continue
        format = FORMATS[name]
        path = directory / f"scene{format.suffix}"
        file, told = write_verified(judge.gaussians, format, path, judge, config.max_psnr_loss_db)
        files.append(file)
        warnings += told
    return tuple(files), warnings


def _scene_of(splat: Splat, ws: Workspace) -> SparseScene | None:
    """The workspace's cameras, if the splat was trained with them."""
    try:
        scene = ws.scene
        inputs = json.loads((splat.directory / ARTIFACT_FILE).read_text())["inputs"]
    except (ArtifactError, OSError, ValueError, KeyError) as error:
        logger.debug("export: no cameras are known: %s", error)
        return None
    return scene if scene is not None and scene.digest in inputs.values() else None
