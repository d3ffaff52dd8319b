"""Prints docs/job.md: the fields of a job, from its models. ``python docs/job.py > docs/job.md``"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticUndefined

from splatlib.config import (
    NOT_IN_DIGEST,
    TRAIN_PRESETS,
    CamerasConfig,
    ExportConfig,
    FramesConfig,
    Job,
    MasksConfig,
    TrainConfig,
)

HEAD = """# The job

A job is one document: the capture, and a section for each stage. `job.json` in a workspace, the `--set` options of
`splat run`, the `overrides` of the notebooks and `splatlib.Job` in Python all have these fields; anything else is
refused. `splat schema` prints the same as a JSON schema. This page is made by `python docs/job.py > docs/job.md`.

```bash
splat run bench.mov --preset balanced --set frames.max_frames=150 --set cameras.mapper=global
```

A field marked ○ changes how a stage works but not what comes out: changing it repeats no finished stage.
"""

SECTIONS = {
    "frames": FramesConfig,
    "masks": MasksConfig,
    "cameras": CamerasConfig,
    "train": TrainConfig,
    "export": ExportConfig,
}


KINDS = ("cpu", "cuda")


def main() -> None:
    print(HEAD)
    print(table("Job", Job, [name for name in Job.model_fields if name not in SECTIONS]))
    for name, model in SECTIONS.items():
        print(table(f"`{name}`", model, list(model.model_fields)))
    print(presets(), end="")


def table(title: str, model: type[Any], names: list[str]) -> str:
    schema = model.model_json_schema()["properties"]
    about = (model.__doc__ or "").strip().replace("``", "`")
    rows = [f"## {title}\n", f"{about}\n", "| field | values | default | |", "|---|---|---|---|"]
    for name in names:
        field = model.model_fields[name]
        default = "required" if field.default is PydanticUndefined else f"`{json.dumps(field.default)}`"
        mark = " ○" if field.json_schema_extra == NOT_IN_DIGEST else ""
        rows.append(f"| `{name}`{mark} | {values(schema[name])} | {default} | {field.description or ''} |")
    return "\n".join(rows) + "\n"


def values(schema: dict[str, Any]) -> str:
    """What a field admits, in words."""
    if "anyOf" in schema:
        return " or ".join(values(part) for part in schema["anyOf"])
    if "$ref" in schema:
        return "object"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return f"list of {len(schema['prefixItems'])} numbers"
        return f"list of {values(schema['items'])}"
    bounds = [
        f"{sign} {schema[key]:,}"
        for key, sign in {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}.items()
        if key in schema
    ]
    words = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}
    return " ".join([words.get(schema["type"], schema["type"]), ", ".join(bounds)]).strip()


def presets() -> str:
    """What each training preset sets on a CPU and on a GPU."""
    rows = [
        "## Presets of `train`\n",
        "What a field that is left out (`null`) becomes: on a CPU / on a GPU.\n",
        f"| field | {' | '.join(TRAIN_PRESETS)} |",
        f"|---|{'---|' * len(TRAIN_PRESETS)}",
    ]
    resolved = {
        preset: [TrainConfig.from_dict({"preset": preset}).resolved(kind) for kind in KINDS] for preset in TRAIN_PRESETS
    }
    for name, field in TrainConfig.model_fields.items():
        if field.default is None:
            cells = [[cell(getattr(config, name)) for config in configs] for configs in resolved.values()]
            rows.append(f"| `{name}` | {' | '.join(' / '.join(dict.fromkeys(pair)) for pair in cells)} |")
    return "\n".join(rows) + "\n"


def cell(value: int | str) -> str:
    return f"`{value}`" if isinstance(value, str) else f"{value:,}"


if __name__ == "__main__":
    main()
