"""What all configuration models share: frozen, unknown keys refused, errors that name the field."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from splatlib.errors import ConfigError

# Marks a field that changes how a stage works but not what comes out, so that changing it repeats nothing.
NOT_IN_DIGEST: dict[str, Any] = {"in_digest": False}


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise _translated(error, type(self)) from None

    # pydantic's own mark: a nested model is validated in place, so that an error names "train.steps", not "steps"
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: Any) -> Any:
        # pydantic reads true as 1: steps=true would train one step
        annotation = cls.model_fields[info.field_name].annotation
        if isinstance(value, bool) and ({annotation, *get_args(annotation)} & {int, float}):
            raise ValueError("a number is wanted")
        return value

    def result_fields(self) -> dict[str, Any]:
        """The fields that change what a stage produces, as JSON types: what its digest covers."""
        extra = {name: field.json_schema_extra for name, field in type(self).model_fields.items()}
        return {key: value for key, value in self.to_dict().items() if extra[key] != NOT_IN_DIGEST}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Validate a mapping, for instance parsed JSON. Raises ConfigError naming each field."""
        if not isinstance(fields, Mapping):
            raise ConfigError(f"{cls.__name__} wants an object, got {type(fields).__name__}")
        return cls(**{str(key): value for key, value in fields.items()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse and validate a JSON document. Raises ConfigError."""
        try:
            fields = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{cls.__name__} is not valid JSON", why=str(error)) from error
        return cls.from_dict(fields)

    def to_dict(self) -> dict[str, Any]:
        """All fields, preset values filled in, as plain JSON types."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)


def _translated(error: ValidationError, model: type[BaseModel]) -> ConfigError:
    """pydantic's findings as one ConfigError that names each field in dotted form."""
    lines, hints = [], []
    for finding in error.errors():
        *parents, leaf = [str(part) for part in finding["loc"]] or [model.__name__]
        dotted = ".".join([*parents, leaf])
        if finding["type"] == "extra_forbidden":
            fields = list(_model_at(model, parents).model_fields)
            near = difflib.get_close_matches(leaf, fields, n=1)
            lines.append(f"{dotted}: unknown field" + (f", did you mean {near[0]}?" if near else ""))
            hints.append(f"the fields of {'.'.join(parents) or model.__name__} are {', '.join(fields)}")
        elif finding["type"] == "missing":
            lines.append(f"{dotted}: missing")
        else:
            message = finding["msg"].removeprefix("Value error, ")
            lines.append(f"{dotted}: {message}, got {finding['input']!r:.80}")
    return ConfigError(f"{model.__name__} is not valid: " + "; ".join(lines), hint="; ".join(dict.fromkeys(hints)))


def _model_at(model: type[BaseModel], parents: list[str]) -> type[BaseModel]:
    """The model that a dotted path leads to, as far as it can be followed."""
    for name in parents:
        annotation = model.model_fields[name].annotation if name in model.model_fields else None
        inner = [t for t in (annotation, *get_args(annotation)) if isinstance(t, type) and issubclass(t, BaseModel)]
        model = inner[0] if inner else model
    return model
