"""Run by an environment's own Python: which distributions it holds, of what version, and whether torch finds a GPU.

It imports nothing of splatlib, which that Python does not have. ``python probe.py NAME …`` prints one JSON object.
"""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata


def _version(name: str) -> str | None:
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    commit = origin.get("vcs_info", {}).get("commit_id")
    return f"{distribution.version}+{commit[:12]}" if commit else distribution.version


def _gpu() -> tuple[str | None, str]:
    """The GPU's name, or None and why there is none."""
    try:
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name(), ""
        torch.cuda.init()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        return None, f"{type(error).__name__}: {error}".splitlines()[0]
    return None, "torch finds no CUDA device"


def main() -> None:
    gpu, why = _gpu()
    versions = {name: _version(name) for name in sys.argv[1:]}
    print(json.dumps({"python": platform.python_version(), "versions": versions, "gpu": gpu, "why_no_gpu": why}))


if __name__ == "__main__":
    main()
