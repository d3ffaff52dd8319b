"""What a notebook's ``parameters`` cell takes, read from the cell itself, so that a wrong one fails before any work."""

from __future__ import annotations

import ast
import contextlib
import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from splatlib.config import CamerasConfig, ExportConfig, FramesConfig, MasksConfig, TrainConfig
from splatlib.errors import ConfigError
from splatlib.parameters import job_from_parameters

TAG = "parameters"
# Parameters of these names describe a whole job, and one of these names holds fields of a stage's config.
OF_A_JOB = ("capture", "preset", "launcher", "overrides")
OF_A_STAGE = {
    "frames": FramesConfig,
    "masking": MasksConfig,
    "cameras": CamerasConfig,
    "training": TrainConfig,
    "exporting": ExportConfig,
}
_TYPES = {kind.__name__: kind for kind in (str, int, float, bool, list, dict, tuple)}


@dataclass(frozen=True)
class Parameter:
    """One assignment of a parameters cell.

    Attributes:
        type: what a value must be: the annotation, else the type of the default; ``Any`` where neither tells.
        default: None also where it is no literal.
    """

    name: str
    type: Any
    default: Any

    @property
    def type_name(self) -> str:
        return getattr(self.type, "__name__", str(self.type)) if isinstance(self.type, type) else str(self.type)


def parameters_of(notebook: Mapping[str, Any]) -> dict[str, Parameter]:
    """The parameters of a notebook (format 4, as nbformat reads it), by name; none where no cell is tagged.

    Raises ConfigError: the cell is no Python, or an annotation in it is not known.
    """
    tagged = [cell for cell in notebook["cells"] if TAG in cell.get("metadata", {}).get("tags", [])]
    source = "\n".join("".join(cell["source"]) for cell in tagged)
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        raise ConfigError("the notebook's parameters cell is not valid Python", why=str(error)) from error
    return {parameter.name: parameter for node in body for parameter in _assigned(node)}


def values_from_text(parameters: Mapping[str, Parameter], texts: Mapping[str, str]) -> dict[str, Any]:
    """Values as a command line gives them: what the parameter's type makes of the text. Raises ConfigError.

    Lists and dictionaries are JSON; where text is wanted, ``2024`` stays text.
    """
    _refuse_unknown(parameters, texts)
    return {name: _value_from_text(parameters[name], text) for name, text in texts.items()}


def require_valid(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    """Raises ConfigError for a parameter that is unknown, of the wrong type, or does not describe a valid job."""
    _refuse_unknown(parameters, values)
    wrong = [
        _complaint(parameters[name], value) for name, value in values.items() if not _fits(parameters[name], value)
    ]
    if wrong:
        raise ConfigError("; ".join(wrong), hint="the notebook's parameters cell shows what it takes")
    chosen = {**{name: parameter.default for name, parameter in parameters.items()}, **values}
    if chosen.keys() >= {"capture", "preset", "overrides"}:
        of_a_job = {name: chosen[name] for name in OF_A_JOB if name in chosen}
        job_from_parameters(**{**of_a_job, "capture": "a sample" if chosen["capture"] is None else chosen["capture"]})
    for name in OF_A_STAGE.keys() & values.keys():
        if isinstance(values[name], Mapping):
            OF_A_STAGE[name].from_dict(values[name])


def _assigned(node: ast.stmt) -> Iterator[Parameter]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        annotation = ast.unparse(node.annotation)
        try:
            kind = eval(annotation, {"__builtins__": {}, "Any": Any, "Literal": Literal, **_TYPES})
        except (NameError, TypeError, SyntaxError) as error:
            raise ConfigError(
                f"parameter {node.target.id}: the type {annotation} is not known", why=str(error)
            ) from error
        yield Parameter(node.target.id, kind, _literal(node.value))
    elif isinstance(node, ast.Assign):
        default = _literal(node.value)
        kind = Any if default is None else type(default)
        yield from (Parameter(target.id, kind, default) for target in node.targets if isinstance(target, ast.Name))


def _literal(node: ast.expr | None) -> Any:
    """The value of a literal, None of anything else."""
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def _refuse_unknown(parameters: Mapping[str, Parameter], given: Mapping[str, Any]) -> None:
    unknown = [name for name in given if name not in parameters]
    if not unknown:
        return
    near = [difflib.get_close_matches(name, parameters, n=1) for name in unknown]
    words = [f"{name} (did you mean {match[0]}?)" if match else name for name, match in zip(unknown, near, strict=True)]
    raise ConfigError(
        f"unknown parameter: {', '.join(words)}",
        hint=f"the parameters are {', '.join(parameters)}" if parameters else "this notebook takes no parameters",
    )


def _fits(parameter: Parameter, value: Any) -> bool:
    if isinstance(value, bool) and parameter.type in (int, float):
        return False
    try:
        TypeAdapter(parameter.type).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def _complaint(parameter: Parameter, value: Any) -> str:
    return f"parameter {parameter.name} wants {parameter.type_name}, got {value!r:.80}"


def _value_from_text(parameter: Parameter, text: str) -> Any:
    readings: list[Any] = []
    if parameter.type is Any or not _fits(parameter, text) or text.lstrip()[:1] in ("[", "{"):
        with contextlib.suppress(ValueError):
            readings.append(json.loads(text))
    for value in readings:
        if _fits(parameter, value):
            return value
    try:
        return TypeAdapter(parameter.type).validate_python(text)
    except ValidationError:
        raise ConfigError(
            _complaint(parameter, text), hint="the notebook's parameters cell shows what it takes"
        ) from None
