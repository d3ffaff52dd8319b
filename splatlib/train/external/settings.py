"""Settings that another trainer does not have are refused before any work, never dropped."""

from __future__ import annotations

from splatlib.artifacts import SparseScene
from splatlib.config import NOT_IN_DIGEST, TrainConfig
from splatlib.errors import ConfigError, DeviceError
from splatlib.progress import logger
from splatlib.train.external.protocol import Trainer

# Of splatlib around the trainer, not of the training itself.
_OURS = frozenset({"preset", "backend", "device", "held_out_every", "max_long_side_px", "steps", "seed"})


def require_honoured(trainer: Trainer, config: TrainConfig) -> None:
    """Raises ConfigError: a setting that the trainer does not have; DeviceError: it is to train on a CPU."""
    fields = type(config).model_fields
    asked = {
        name: value
        for name, value in config
        if value != fields[name].default and fields[name].json_schema_extra != NOT_IN_DIGEST
    }
    if unknown := sorted(asked.keys() - _OURS - trainer.honours):
        raise ConfigError(
            f"{trainer.backend} has no {', '.join(f'train.{name}' for name in unknown)}",
            why=f"it knows {', '.join(sorted(_OURS | trainer.honours))}",
            hint="leave them out, or train with backend splatlib",
        )
    trainer.check(config)
    if config.device == "cpu":
        raise DeviceError(f"{trainer.backend} trains on a GPU only", hint="use device auto or cuda on a GPU machine")


def notes(trainer: Trainer, config: TrainConfig, scene: SparseScene) -> list[str]:
    """What differs from what a reader of the settings would expect."""
    said = []
    if config.preset != TrainConfig.model_fields["preset"].default:
        said.append(
            f"train.preset ({config.preset}) is splatlib's own: {trainer.backend} trained with its authors' values."
        )
    if scene.outside_mask == "transparent" and any(view.has_mask for view in scene.views):
        said.append(
            f"{trainer.backend} leaves pixels outside the masks out, where splatlib would learn that nothing is there."
        )
    for note in said:
        logger.warning("training: %s", note)
    return said


def require_lenses(trainer: Trainer, scene: SparseScene) -> None:
    """Raises ConfigError: pictures of distorted lenses for a trainer that takes pinholes."""
    if not trainer.draws_distorted and any(camera.distortion is not None for camera in scene.cameras):
        raise ConfigError(
            f"{trainer.backend} draws pinhole cameras only, and this scene's pictures are distorted",
            why="they were not undistorted, so its renders could not be compared with them",
            hint="solve the cameras with cameras.undistort=true, or train with splatlib, 3dgut or 3dgrt",
        )
