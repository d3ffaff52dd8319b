"""Print what is installed beside this Python as a CycloneDX document, with nothing but the standard library."""

from __future__ import annotations

import json
import uuid
from importlib import metadata


def components() -> list[dict[str, object]]:
    """One entry a distribution, by name."""
    found = {}
    for distribution in metadata.distributions():
        head, version = distribution.metadata, distribution.version
        name = head["Name"]
        licence = next((head[field] for field in ("License-Expression", "License") if field in head), "")
        entry: dict[str, object] = {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{version}",
        }
        if licence and "\n" not in licence:
            entry["licenses"] = [{"license": {"name": licence}}]
        found[name.lower()] = entry
    return [found[name] for name in sorted(found)]


if __name__ == "__main__":
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "components": components(),
    }
    print(json.dumps(document, indent=1))
