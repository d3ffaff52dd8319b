"""What the stand-in was asked."""

from __future__ import annotations

import json
from pathlib import Path


def asked(calls: Path) -> list[list[str]]:
    return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []


def pairs(words: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]
