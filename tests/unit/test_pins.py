"""container/pin.py: what it finds out, keeps, and refuses to leave out."""

from __future__ import annotations

import functools
import hashlib
import http.server
import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

CONTAINER = Path(__file__).parents[2] / "container"
DOCKERFILE = (CONTAINER / "Dockerfile").read_text()
MANIFEST = b'{"schemaVersion": 2}'


@pytest.fixture
def pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("pin", CONTAINER / "pin.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PINS", tmp_path / "pins.env")
    return module


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A skopeo that knows one manifest and notes what it was asked."""
    asked = tmp_path / "asked"
    skopeo = tmp_path / "bin" / "skopeo"
    skopeo.parent.mkdir()
    skopeo.write_text(f"#!/bin/sh\necho \"$@\" >> {asked}\nprintf '%s' '{MANIFEST.decode()}'\n")
    skopeo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{skopeo.parent}:{os.environ['PATH']}")
    return asked


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[str, bytes]]:
    """Slang's archive on a server of this machine: its URL and content."""
    folder = tmp_path / "served"
    folder.mkdir()
    content = os.urandom(3_000_000)
    (folder / "slang.tar.gz").write_bytes(content)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/slang.tar.gz", content
    server.shutdown()


def test_arguments_are_read_with_what_they_are_made_of(pin: ModuleType) -> None:
    values = pin.defaults(DOCKERFILE)
    assert values["SLANG_URL"].endswith(
        f"/v{values['SLANG_VERSION']}/slang-{values['SLANG_VERSION']}-linux-x86_64.tar.gz"
    )
    assert values["BASE_IMAGE"].startswith("ubuntu:") and values["SLANG_SHA256"] == ""


def test_digests_and_sums_are_found_once_and_kept(
    pin: ModuleType, registry: Path, archive: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, content = archive
    values = {**pin.defaults(DOCKERFILE), "SLANG_URL": url}
    pins = pin.pin(values, {})
    digest = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
    assert pins["BASE_IMAGE"] == f"{values['BASE_IMAGE']}@{digest}"
    assert pins["SLANG_SHA256"] == hashlib.sha256(content).hexdigest()
    asked = registry.read_text().splitlines()
    assert asked == [f"inspect --raw docker://{values[name]}" for name in values if name.endswith("_IMAGE")]
    monkeypatch.setattr(pin, "sum_of", lambda url: pytest.fail("it was pinned"))
    assert pin.pin(values, pins) == pins and registry.read_text().splitlines() == asked
    moved = pin.pin({**values, "BASE_IMAGE": "ubuntu:26.04"}, pins)
    assert moved["BASE_IMAGE"] == f"ubuntu:26.04@{digest}" and moved["BUILD_IMAGE"] == pins["BUILD_IMAGE"]


def test_without_a_pin_a_build_is_refused_or_warned_of(pin: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="SLANG_SHA256 is not known"):
        pin.main(["--build-args"])
    pin.main(["--build-args", "--allow-unpinned"])
    told = capsys.readouterr()
    assert "NOT PINNED" in told.err and told.out.split() == ["--build-arg", "SLANG_SHA256=unpinned"]
    pin.PINS.write_text("# a remark\nBASE_IMAGE=ubuntu:24.04@sha256:aa\nSLANG_SHA256=bb\n")
    pin.main(["--build-args"])
    assert capsys.readouterr().out.split() == [
        "--build-arg", "BASE_IMAGE=ubuntu:24.04@sha256:aa", "--build-arg", "SLANG_SHA256=bb",
    ]  # fmt: skip


def test_where_nothing_can_ask_a_registry_it_says_so(pin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent / "nothing"))
    with pytest.raises(SystemExit, match="skopeo"):
        pin.digest_of("ubuntu:24.04")


@pytest.mark.parametrize("given", ["", "unpinned", "right", "wrong"])
def test_the_dockerfile_checks_slang_or_says_that_it_does_not(
    archive: tuple[str, bytes], tmp_path: Path, given: str
) -> None:
    """The very lines of the Dockerfile, with its folders moved here and without unpacking."""
    url, content = archive
    (step,) = re.findall(r"^RUN (if \[ -z \"\$SLANG_SHA256\" .*?[^\\])\n(?=\S)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    step = step.replace("/opt/slang", f"{tmp_path}/slang").replace("/tmp/slang.tar.gz", f"{tmp_path}/slang.tar.gz")
    step = step.replace("tar -xzf", "ls")
    sums = {"right": hashlib.sha256(content).hexdigest(), "wrong": "0" * 64}
    environment = {**os.environ, "SLANG_URL": url, "SLANG_SHA256": sums.get(given, given)}
    ended = subprocess.run(["bash", "-c", step], env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode == 0) == (given in ("unpinned", "right")), ended.stderr
    assert ("NOT PINNED" in ended.stderr) == (given == "unpinned")
    assert given != "" or "container/pin.py" in ended.stderr
