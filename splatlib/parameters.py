"""What a person types, into the command line or a notebook's parameters cell, turned into a Job."""

from __future__ import annotations

import ast
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from splatlib.config import Job
from splatlib.errors import ConfigError
from splatlib.s3 import is_s3_url

NOTEBOOK_PARAMETERS = ("capture", "out", "preset", "launcher", "overrides")
LAUNCHERS = ("here",)

# papermill begins the cell that it inserts with this comment
_INJECTED = "# Parameters\n"


def default_out(capture: str | Path | Sequence[str | Path]) -> Path:
    """Where results go unless told: ``runs/<name of the capture without its suffix>``; of several sources
    ``runs/<name of the first>-and-<number of the others>-more``."""
    sources = [capture] if isinstance(capture, str | Path) else list(capture)
    first = sources[0]
    path = PurePosixPath(str(first)) if is_s3_url(first) else Path(first).expanduser().absolute()
    name = path.name if isinstance(path, Path) and path.is_dir() else path.stem
    return Path("runs") / (f"{name}-and-{len(sources) - 1}-more" if len(sources) > 1 else name)


def job_from_parameters(
    capture: str | Sequence[str],
    preset: str = "preview",
    launcher: str = "here",
    overrides: Mapping[str, Any] | Sequence[str] | str = (),
) -> Job:
    """The job that a parameters cell describes.

    Args:
        capture: video, folder or zip of photos or videos, or s3:// place of one; or a list of these, also as a JSON
            document, as a papermill command line gives it.
        preset: of training, ``preview`` or ``balanced``.
        launcher: where the job runs; this version knows ``here``, the machine the notebook runs on.
        overrides: dotted fields, ``{"train.steps": 500}`` or ``["train.steps=500"]``; or either of these as text,
            as it comes from a papermill command line: a JSON document, or ``train.steps=500 train.seed=1``.

    Raises:
        ConfigError: a value is not known, or of the wrong type.
    """
    if launcher not in LAUNCHERS:
        raise ConfigError(f"launcher {launcher!r} is not known", hint=f"this version knows {', '.join(LAUNCHERS)}")
    job = Job.from_dict({"capture": _sources_from_text(capture)}).with_overrides({"train.preset": preset})
    return job.with_overrides(_overrides_from_text(overrides) if isinstance(overrides, str) else overrides)


def refuse_unknown_parameters(history: Sequence[str], known: Iterable[str] = NOTEBOOK_PARAMETERS) -> None:
    """Check the parameters that papermill set against those that a notebook has.

    papermill itself only warns, and a mistyped parameter would leave its default in force.

    Args:
        history: the sources of the cells run so far: IPython's ``In``.
        known: the names that the notebook's parameters cell holds.

    Raises:
        ConfigError: naming each parameter that is not known.
    """
    known = list(known)
    unknown = [name for cell in history if cell.startswith(_INJECTED) for name in _assigned(cell) if name not in known]
    if not unknown:
        return
    near = [difflib.get_close_matches(name, known, n=1) for name in unknown]
    words = [f"{name} (did you mean {match[0]}?)" if match else name for name, match in zip(unknown, near, strict=True)]
    raise ConfigError(f"unknown parameter: {', '.join(words)}", hint=f"the parameters are {', '.join(known)}")


def _assigned(source: str) -> list[str]:
    """Names that a cell's top level assigns."""
    assignments = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    return [target.id for node in assignments for target in node.targets if isinstance(target, ast.Name)]


def _sources_from_text(capture: str | Sequence[str]) -> str | Sequence[str]:
    """A list that came as text. What only begins like one is a path: ``[draft].mov``."""
    if not isinstance(capture, str) or not capture.lstrip().startswith("["):
        return capture
    try:
        sources = json.loads(capture)
    except ValueError:
        return capture
    return sources if isinstance(sources, list) else capture


def _overrides_from_text(text: str) -> Mapping[str, Any] | Sequence[str]:
    if not text.lstrip().startswith(("{", "[")):
        return text.split()
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError("overrides is not valid JSON", why=str(error)) from error
