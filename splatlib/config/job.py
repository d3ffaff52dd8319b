"""The Job: the whole reconstruction as one document, and how single fields are overridden."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from splatlib.config.base import Config
from splatlib.config.cameras import PRIORS_OF_CAPTURE, CamerasConfig
from splatlib.config.export import ExportConfig
from splatlib.config.frames import FramesConfig
from splatlib.config.masks import DOWNLOAD, MasksConfig
from splatlib.config.train import OF_PRESETS, TrainConfig
from splatlib.errors import ConfigError

_Text = Annotated[str, Field(min_length=1)]


class Job(Config):
    """A whole reconstruction as one document."""

    capture: _Text | Annotated[tuple[_Text, ...], Field(min_length=1)] = Field(
        description="video, folder or zip of photos or videos, or s3:// place of one; or a list of these"
    )
    frames: FramesConfig = FramesConfig()
    masks: MasksConfig | None = Field(default=None, description="none: the capture's alpha channel where it has one")
    cameras: CamerasConfig = CamerasConfig()
    train: TrainConfig = TrainConfig()
    export: ExportConfig = ExportConfig()
    run: str = Field(
        default="main", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="name of the training run"
    )

    @field_validator("capture", mode="before")
    @classmethod
    def _sources_are_named(cls, value: Any) -> Any:
        """One source is a text, several are a list of texts."""
        sources = list(value) if isinstance(value, list | tuple) else [value]
        if not all(isinstance(source, str) for source in sources):
            raise ValueError("a path, or a list of paths, is wanted")
        if not all(sources) or not sources:
            raise ValueError("the path of a source is empty" if sources else "the list of sources is empty")
        return sources[0] if len(sources) == 1 else sources

    @property
    def sources(self) -> tuple[str, ...]:
        """What was named as the capture, in order; one or more."""
        return (self.capture,) if isinstance(self.capture, str) else self.capture

    def with_places(self, changed: Callable[[str], str]) -> Job:
        """A copy in which every file, folder or s3:// place that the job names is replaced by ``changed(place)``."""
        fields = self.to_dict()
        fields["capture"] = [changed(source) for source in self.sources]
        for stage, name, keyword in (
            ("masks", "folder", None),
            ("masks", "weights", DOWNLOAD),
            ("cameras", "priors", PRIORS_OF_CAPTURE),
        ):
            section = fields[stage] or {}
            if section.get(name) and section[name] != keyword:
                section[name] = changed(section[name])
        return Job.from_dict(fields)

    @classmethod
    def from_toolbox(cls, fields: Mapping[str, Any]) -> Job:
        """The job that a job JSON of the AWS guidance describes; what cannot be mapped is told by warnings.

        Raises ConfigError naming each key that is unknown, wrong, or asks for what cannot be had here. The notes as
        values, and the instance it names: ``splatlib.config.toolbox.read_toolbox``.
        """
        from splatlib.config.toolbox import read_toolbox  # it builds on this module

        read = read_toolbox(fields)
        for note in read.notes:
            warnings.warn(note, stacklevel=2)
        return read.job

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
