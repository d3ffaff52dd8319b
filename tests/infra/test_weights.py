"""Weights go into the bucket once, checked; anything odd stops before the first byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from infra.weights import SUMS, load
from splatlib.errors import ConfigError
from tests.infra.world import World


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {"u2net.pth": b"weights", "sam2_tiny.bin": b"more weights"}.items():
        (tmp_path / name).write_bytes(content)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(tmp_path.iterdir())]
    (tmp_path / SUMS).write_text("\n".join(lines) + "\n")
    return tmp_path


def keys(world: World) -> set[str]:
    return {entry["Key"] for entry in world.s3.list_objects_v2(Bucket=world.bucket).get("Contents", [])}


def test_once_and_checked(world: World, folder: Path) -> None:
    place = f"s3://{world.bucket}/models/"
    assert load(folder, place, world.s3) == ["sam2_tiny.bin", "u2net.pth", SUMS]
    assert keys(world) == {"models/u2net.pth", "models/sam2_tiny.bin", f"models/{SUMS}"}
    assert load(folder, place, world.s3) == []


def test_what_is_not_as_promised_is_not_sent(world: World, folder: Path) -> None:
    (folder / "u2net.pth").write_bytes(b"other")
    with pytest.raises(ConfigError, match=r"u2net\.pth is not the file"):
        load(folder, f"s3://{world.bucket}/models/", world.s3)
    (folder / "extra.bin").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"extra\.bin"):
        load(folder, f"s3://{world.bucket}/models/", world.s3)
    (folder / SUMS).unlink()
    with pytest.raises(ConfigError, match=f"no {SUMS}"):
        load(folder, f"s3://{world.bucket}/models/", world.s3)
    assert keys(world) == set()
