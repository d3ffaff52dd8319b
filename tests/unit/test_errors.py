"""The exception tree is the one that its docstring draws, and messages say what, why and what to try."""

from __future__ import annotations

import pickle
import re

from splatlib import errors
from splatlib.errors import CaptureNotFoundError, SplatlibError


def all_errors() -> list[type[SplatlibError]]:
    found, waiting = [], [SplatlibError]
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].__subclasses__()
    return [error for error in found if error.__module__ == errors.__name__]


def test_the_drawing_shows_every_class_with_its_code() -> None:
    drawn = dict(re.findall(r"(\w+Error)\s+(\w+)", errors.__doc__ or ""))
    assert drawn == {error.__name__: error.code for error in all_errors()}


def test_the_drawing_shows_every_parent() -> None:
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([│ ├└─]*)(\w+Error)\b", line):
            depth = len(match[1]) // 4
            error = getattr(errors, match[2])
            assert error.__base__.__name__ == (parents[depth - 1] if depth else "Exception")
            parents[depth:] = [match[2]]
    assert len(parents) > 1


def test_codes_are_unique() -> None:
    codes = [error.code for error in all_errors()]
    assert len(codes) == len(set(codes))


def test_a_message_says_what_why_and_what_to_try() -> None:
    error = CaptureNotFoundError("no file fox.mp4", why="it was moved", hint="look in Downloads")
    assert str(error) == "no file fox.mp4\nWhy: it was moved\nTry: look in Downloads"
    assert str(CaptureNotFoundError("no file fox.mp4")) == "no file fox.mp4"


def test_an_error_survives_pickling() -> None:
    """Worker processes send errors home this way."""
    error = pickle.loads(pickle.dumps(CaptureNotFoundError("no file", why="gone", hint="look")))
    assert (type(error), error.what, error.why, error.hint) == (CaptureNotFoundError, "no file", "gone", "look")
