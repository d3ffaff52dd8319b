"""``export_splat``: write the delivered files, read each one back, compare."""

from __future__ import annotations

import json

from splatlib.artifacts import ARTIFACT_FILE, ExportBundle, ExportedFile, SparseScene, Splat
from splatlib.config import ExportConfig
from splatlib.errors import ArtifactError
from splatlib.export.judge import Judge
from splatlib.export.verified import write_verified
from splatlib.formats import FORMATS, require_finite
from splatlib.progress import logger
from splatlib.workspace import Workspace


def export_splat(
    splat: Splat, ws: Workspace, config: ExportConfig | None = None, *, scene: SparseScene | None = None
) -> ExportBundle:
    """Write ``export/scene.<ending>`` for each format and verify it.

    Args:
        scene: the cameras that the splat was trained with; None: the workspace's, if they are those. Without cameras
            small formats round as little as they can, and no loss of quality is measured.

    Raises ExportError when a file, read back, is not what was meant to be written, ArtifactError when the splat cannot
    be read.
    """
    config = config or ExportConfig()
    scene = scene or _scene_of(splat, ws)
    inputs = {"splat": splat.digest} | ({"cameras": scene.digest} if scene else {})
    stage = ws.stage(ExportBundle, config, inputs=inputs)
    if (bundle := stage.reuse()) is not None:
        return bundle
    gaussians = splat.gaussians()
    require_finite(gaussians)
    with stage.work() as directory:
        judge = Judge.of(splat, scene, gaussians)
        files: list[ExportedFile] = []
        warnings: list[str] = list(judge.warnings)
        for name in dict.fromkeys(config.formats):
            format = FORMATS[name]
            path = directory / f"scene{format.suffix}"
            file, told = write_verified(judge.gaussians, format, path, judge, config.max_psnr_loss_db)
            files.append(file)
            warnings += told
        for warning in warnings:
            logger.warning("export: %s", warning)
        return stage.finish(ExportBundle(directory=directory, files=tuple(files), warnings=tuple(warnings)))


def _scene_of(splat: Splat, ws: Workspace) -> SparseScene | None:
    """The workspace's cameras, if the splat was trained with them."""
    try:
        scene = ws.scene
        inputs = json.loads((splat.directory / ARTIFACT_FILE).read_text())["inputs"]
    except (ArtifactError, OSError, ValueError, KeyError) as error:
        logger.debug("export: no cameras are known: %s", error)
        return None
    return scene if scene is not None and scene.digest in inputs.values() else None
