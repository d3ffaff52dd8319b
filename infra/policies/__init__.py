"""One JSON document a role, with ``${…}`` for names: read by CDK here, by Terraform's templatefile there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


def policy(name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """A role's policy document with all names filled in. Raises KeyError for a name that ``values`` lacks."""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], value)
        if isinstance(value, list):
            return [filled(part) for part in value]
        return {key: filled(part) for key, part in value.items()} if isinstance(value, dict) else value

    return filled(json.loads((_FOLDER / f"{name}.json").read_text()))


def names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.json"))
