"""The Job: the whole reconstruction as one document, and how single fields are overridden."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from splatlib.config.base import Config
from splatlib.config.cameras import CamerasConfig
from splatlib.config.export import ExportConfig
from splatlib.config.frames import FramesConfig
from splatlib.config.masks import MasksConfig
from splatlib.config.train import OF_PRESETS, TrainConfig
from splatlib.errors import ConfigError


class Job(Config):
    """A whole reconstruction as one document."""

    capture: str = Field(min_length=1, description="video file, folder of photos, or zip of photos")
    frames: FramesConfig = FramesConfig()
    masks: MasksConfig | None = Field(default=None, description="none: the capture's alpha channel where it has one")
    cameras: CamerasConfig = CamerasConfig()
    train: TrainConfig = TrainConfig()
    export: ExportConfig = ExportConfig()
    run: str = Field(
        default="main", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="name of the training run"
    )

    def with_overrides(self, overrides: Mapping[str, Any] | Iterable[str]) -> Job:
        """A copy with dotted fields replaced: ``{"train.steps": 500}`` or ``["train.steps=500"]``.

        Values given as text are read as JSON where they parse as such. Setting ``train.preset`` also
        brings that preset's values, unless they are overridden too. Raises ConfigError.
        """
        pairs = overrides if isinstance(overrides, Mapping) else dict(_split_assignment(text) for text in overrides)
        fields = self.model_dump(mode="json", exclude_unset=True)
        if "train.preset" in pairs:
            fields["train"] = {k: v for k, v in fields.get("train", {}).items() if k not in OF_PRESETS}
        for dotted, value in pairs.items():
            *parents, leaf = dotted.split(".")
            target = fields
            for depth, parent in enumerate(parents):
                inner = target.setdefault(parent, {})
                if inner is None:
                    inner = target[parent] = {}
                if not isinstance(inner, dict):
                    raise ConfigError(f"{'.'.join(parents[: depth + 1])} has no field {leaf!r}")
                target = inner
            target[leaf] = value
        return Job.from_dict(fields)


def _split_assignment(text: str) -> tuple[str, Any]:
    dotted, equals, value = text.partition("=")
    if not equals or not dotted:
        raise ConfigError(f"override {text!r} is not of the form FIELD=VALUE", hint="for example train.steps=500")
    try:
        return dotted.strip(), json.loads(value)
    except ValueError:
        return dotted.strip(), value
