"""The report as one HTML page: pictures inside as data URIs, no script, no network.

Names of captures and files come from strangers, so every value passes Jinja's autoescape.
"""

from __future__ import annotations

import shlex
from typing import Any

from splatlib.artifacts import FrameSet, SparseScene, Splat
from splatlib.errors import ArtifactError, ConfigError
from splatlib.events import read_progress
from splatlib.report.checkup import section_of
from splatlib.report.numbers import Run, cost_of
from splatlib.report.templates import templates
from splatlib.widgets import stills
from splatlib.widgets.pictures import data_uri, evenly, jpeg_bytes, png_bytes, svg_bytes, thumbnail

_MOST_THUMBNAILS = 40
_THUMBNAIL_PX = 240
_MOST_PAIRS = 6
_PAIR_PX = 800
_MOST_MASKS = 9
_STAGE_NAMES = {
    "frames": "Frames",
    "masks": "Masks",
    "check": "Check",
    "cameras": "Cameras",
    "train": "Training",
    "export": "Export",
}


def report_page(run: Run, document: dict[str, Any]) -> str:
    """The whole page. Raises ArtifactError where a picture it shows is gone."""
    metrics = read_progress(run.splat.metrics_path)
    pairs = _held_out_pairs(run.splat)
    return (
        templates()
        .get_template("report.html")
        .render(
            run=run,
            numbers=document,
            title=run.frames.capture,
            stages=_stages(document["seconds"]),
            cost=cost_of(run.ws),
            pairs=pairs,
            portrait=_is_portrait(run.scene),
            thumbnails=_thumbnails(run.frames),
            kept_and_dropped=stills.kept_and_dropped(run.frames),
            masks=data_uri("image/png", png_bytes(stills.mask_sheet(run.masks, run.frames, _MOST_MASKS)))
            if run.masks and run.masks.names
            else None,
            cameras=[
                data_uri("image/png", png_bytes(stills.camera_plot(run.scene, stacked=stacked)))
                for stacked in (False, True)
            ],
            checkup=section_of(run.check, run.frames) if run.check is not None else None,
            curves=[
                data_uri("image/svg+xml", svg_bytes(stills.training_curves(metrics, stacked=stacked)))
                for stacked in (False, True)
            ]
            if metrics.losses
            else None,
            configs={_STAGE_NAMES.get(stage, stage): config for stage, config in run.configs.items()},
            commands=_commands(run),
        )
    )


def _stages(seconds: dict[str, float]) -> list[dict[str, Any]]:
    """Name, seconds and share of the longest stage, in percent."""
    longest = max((s for stage, s in seconds.items() if stage != "total"), default=0.0)
    return [
        {"name": _STAGE_NAMES.get(stage, stage), "seconds": s, "percent": round(100 * s / longest, 1) if longest else 0}
        for stage, s in seconds.items()
        if stage != "total"
    ]


def _is_portrait(scene: SparseScene) -> bool:
    """Whether most pictures are higher than wide: then two pairs fit beside each other."""
    upright = [scene.camera(view).height > scene.camera(view).width for view in scene.views]
    return 2 * sum(upright) > len(upright)


def _held_out_pairs(splat: Splat) -> list[dict[str, Any]]:
    pairs = []
    for view, rank in stills.ranked_held_out(splat, _MOST_PAIRS):
        truth, render = (
            data_uri("image/jpeg", jpeg_bytes(thumbnail(path, _PAIR_PX), quality=88))
            for path in splat.held_out_paths(view)
        )
        pairs.append({"view": view, "rank": rank, "truth": truth, "render": render})
    return pairs


def _thumbnails(frames: FrameSet) -> list[dict[str, Any]]:
    tiles = []
    for frame in (frames.frames[index] for index in evenly(len(frames), _MOST_THUMBNAILS)):
        where, facts = stills.frame_captions(frame)
        picture = data_uri("image/jpeg", jpeg_bytes(thumbnail(frames.image_path(frame), _THUMBNAIL_PX), quality=78))
        tiles.append(
            {"name": frame.name, "where": where, "facts": facts, "flagged": bool(frame.flags), "picture": picture}
        )
    return tiles


def _commands(run: Run) -> list[tuple[str, str]]:
    """Shell lines that go on from here, quoted for any path."""
    root = shlex.quote(str(run.ws.root.absolute()))
    commands = [("Look at this workspace", f"splat show {root}")]
    try:
        job_run = run.ws.load_job().run
    except (ArtifactError, ConfigError):
        return commands  # stages called one by one, as a notebook does, leave no job
    if job_run == run.name:
        commands.append(("Go on, or bring it up to date; finished stages are reused", f"splat resume {root}"))
    job = shlex.quote(str(run.ws.job_path.absolute()))
    better = f"splat run --job {job} --out {root} --preset balanced --run balanced"
    commands.append(("Train once more on the same cameras, longer and larger", better))
    return commands
