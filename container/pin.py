"""Find out what could not be known where this was written, and keep it in ``container/pins.env``. Needs a network.

    python container/pin.py                    the digests of the bases, and the SHA-256 of Slang's archive
    python container/pin.py --build-args       print them as options of a build; fails where Slang is not pinned
    python container/pin.py --build-args --allow-unpinned      …or says so on standard error and goes on

The digests are asked of an engine that is here (skopeo, or docker with buildx), so that its login and its mirrors hold.
Slang's archive is downloaded and summed: no sum of it is published, so that the first download is what is trusted; look
at it before you commit ``pins.env``. What is pinned stays pinned until its line is taken out, or its version changes.
Standard library only: an image's builder needs nothing else.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
PINS = HERE / "pins.env"
SLANG_SUM = "SLANG_SHA256"
UNPINNED = "unpinned"


def defaults(dockerfile: str) -> dict[str, str]:
    """The values of the build arguments, those that are made of others written out."""
    found: dict[str, str] = {}
    for name, value in re.findall(r"^ARG (\w+)=(\S*)", dockerfile, re.MULTILINE):
        found.setdefault(name, re.sub(r"\$\{(\w+)\}", lambda match: found[match[1]], value.strip('"')))
    return found


def read_pins() -> dict[str, str]:
    """``NAME=VALUE`` lines; none where nothing was pinned yet."""
    if not PINS.exists():
        return {}
    lines = (line.strip() for line in PINS.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def digest_of(image: str) -> str:
    """``sha256:…`` of an image with a tag, as the registry has it now. Raises SystemExit where nothing can ask."""
    for program, *rest in (
        ("skopeo", "inspect", "--raw", f"docker://{image}"),
        ("docker", "buildx", "imagetools", "inspect", "--raw", image),
    ):
        if shutil.which(program):
            # the digest of a manifest, or of a list of them, is that of its bytes
            raw = subprocess.run([program, *rest], check=True, stdout=subprocess.PIPE).stdout
            return f"sha256:{hashlib.sha256(raw).hexdigest()}"
    raise SystemExit("neither skopeo nor docker with buildx is here: one of them is needed to ask for digests")


def sum_of(url: str) -> str:
    """SHA-256 of what lies at a URL."""
    with urllib.request.urlopen(url) as answer:
        return hashlib.file_digest(answer, "sha256").hexdigest()


def pin(values: dict[str, str], pins: dict[str, str]) -> dict[str, str]:
    """The pins with those added that are missing or of another version."""
    found = {}
    for name, image in values.items():
        if name.endswith("_IMAGE"):
            kept = pins.get(name, "")
            found[name] = kept if kept.startswith(f"{image}@") else f"{image}@{digest_of(image)}"
    url = values["SLANG_URL"]
    kept = pins.get(SLANG_SUM) if pins.get("SLANG_URL") == url else None
    return {**found, "SLANG_URL": url, SLANG_SUM: kept or sum_of(url)}


def build_args(pins: dict[str, str], allow_unpinned: bool) -> list[str]:
    """Raises SystemExit where Slang has no pin and that is not allowed."""
    pins = dict(pins)
    if not pins.get(SLANG_SUM):
        how = "run `python container/pin.py` where there is a network, look at container/pins.env and commit it"
        if not allow_unpinned:
            raise SystemExit(f"{SLANG_SUM} is not known: {how}")
        print(f"WARNING: bases and Slang are NOT PINNED, what is there today is taken: {how}", file=sys.stderr)
        pins[SLANG_SUM] = UNPINNED
    return [part for name, value in pins.items() for part in ("--build-arg", f"{name}={value}")]


def main(arguments: list[str]) -> None:
    if "--build-args" in arguments:
        print(shlex.join(build_args(read_pins(), "--allow-unpinned" in arguments)))
        return
    values = defaults((HERE / "Dockerfile").read_text())
    pins = pin(values, read_pins())
    head = "# Made by container/pin.py; what a build of container/Dockerfile takes instead of its own defaults.\n"
    PINS.write_text(head + "".join(f"{name}={value}\n" for name, value in pins.items()))
    print(PINS.read_text(), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
