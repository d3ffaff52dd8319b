"""From a video or photos to a 3D Gaussian splat: six verbs, six nouns.

>>> import splatlib as sl
>>> ws = sl.Workspace("runs/bench")
>>> frames = sl.extract_frames("bench.mov", ws)
>>> scene = sl.solve_cameras(frames, ws)
>>> splat = sl.train_splat(scene, ws, sl.TrainConfig(preset="preview"))
>>> files = sl.export_splat(splat, ws)

Names load on first use, so that ``import splatlib`` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from splatlib._version import __version__ as __version__

if TYPE_CHECKING:
    from splatlib.artifacts import CaptureCheck as CaptureCheck
    from splatlib.artifacts import ExportBundle as ExportBundle
    from splatlib.artifacts import FrameSet as FrameSet
    from splatlib.artifacts import MaskSet as MaskSet
    from splatlib.artifacts import SparseScene as SparseScene
    from splatlib.artifacts import Splat as Splat
    from splatlib.cameras import solve_cameras as solve_cameras
    from splatlib.capture import extract_frames as extract_frames
    from splatlib.check import check_capture as check_capture
    from splatlib.config import CamerasConfig as CamerasConfig
    from splatlib.config import ExportConfig as ExportConfig
    from splatlib.config import FramesConfig as FramesConfig
    from splatlib.config import Job as Job
    from splatlib.config import MasksConfig as MasksConfig
    from splatlib.config import TrainConfig as TrainConfig
    from splatlib.errors import SplatlibError as SplatlibError
    from splatlib.export import export_splat as export_splat
    from splatlib.gaussians import Gaussians as Gaussians
    from splatlib.interactive import view_masks as view_masks
    from splatlib.launch import LocalProcess as LocalProcess
    from splatlib.launch import Production as Production
    from splatlib.launch import SageMaker as SageMaker
    from splatlib.launch import submit as submit
    from splatlib.masks import mask_frames as mask_frames
    from splatlib.pipeline import reconstruct as reconstruct
    from splatlib.report import compare_runs as compare_runs
    from splatlib.report import write_check_report as write_check_report
    from splatlib.report import write_report as write_report
    from splatlib.samples import make_sample as make_sample
    from splatlib.train import follow_training as follow_training
    from splatlib.train import start_training as start_training
    from splatlib.train import train_splat as train_splat
    from splatlib.widgets.compare import compare_held_out as compare_held_out
    from splatlib.widgets.compare import compare_pictures as compare_pictures
    from splatlib.widgets.compare import compare_splats as compare_splats
    from splatlib.widgets.frames import view_frames as view_frames
    from splatlib.widgets.scene import view_scene as view_scene
    from splatlib.widgets.splat import view_splat as view_splat
    from splatlib.workspace import Workspace as Workspace

_HOME = {
    "splatlib.artifacts": ("CaptureCheck", "ExportBundle", "FrameSet", "MaskSet", "SparseScene", "Splat"),
    "splatlib.cameras": ("solve_cameras",),
    "splatlib.capture": ("extract_frames",),
    "splatlib.check": ("check_capture",),
    "splatlib.config": ("CamerasConfig", "ExportConfig", "FramesConfig", "Job", "MasksConfig", "TrainConfig"),
    "splatlib.errors": ("SplatlibError",),
    "splatlib.export": ("export_splat",),
    "splatlib.gaussians": ("Gaussians",),
    "splatlib.interactive": ("view_masks",),
    "splatlib.launch": ("LocalProcess", "Production", "SageMaker", "submit"),
    "splatlib.masks": ("mask_frames",),
    "splatlib.pipeline": ("reconstruct",),
    "splatlib.report": ("compare_runs", "write_check_report", "write_report"),
    "splatlib.samples": ("make_sample",),
    "splatlib.train": ("follow_training", "start_training", "train_splat"),
    "splatlib.widgets.compare": ("compare_held_out", "compare_pictures", "compare_splats"),
    "splatlib.widgets.frames": ("view_frames",),
    "splatlib.widgets.scene": ("view_scene",),
    "splatlib.widgets.splat": ("view_splat",),
    "splatlib.workspace": ("Workspace",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_MODULE_OF)  # noqa: PLE0605  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'splatlib' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
