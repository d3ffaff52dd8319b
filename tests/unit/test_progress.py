"""Messages and bars: on the screen unless the program took charge of logging, plain text or off where asked."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest

from splatlib import progress
from splatlib.progress import bar, logger, show_messages


def untouch_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a program that has not configured logging; pytest itself has, anew for each phase of a test."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logger.level)


def test_messages_go_to_stderr_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    untouch_logging(monkeypatch)
    monkeypatch.setenv("SPLATLIB_PROGRESS", "text")
    show_messages()
    show_messages()
    logger.info("frames: done")
    logger.debug("a detail")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "frames: done\n")


def test_a_program_that_configured_logging_keeps_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    untouch_logging(monkeypatch)
    logging.getLogger().addHandler(logging.NullHandler())
    show_messages()
    logger.warning("for the program to show")
    assert capsys.readouterr().err == ""
    assert not logger.handlers


def test_off_is_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    untouch_logging(monkeypatch)
    monkeypatch.setenv("SPLATLIB_PROGRESS", "off")
    show_messages()
    logger.info("frames: done")
    with bar(3, "training") as steps:
        steps.update(3)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_a_text_bar_counts_in_plain_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SPLATLIB_PROGRESS", "text")
    # As papermill runs a notebook: a kernel, in which tqdm.auto would choose a widget
    kernel = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    with bar(3, "training", unit="step") as steps:
        steps.update(3)
    shown = capsys.readouterr()
    assert "training: 100%" in shown.out and "3/3" in shown.out and "step/s" in shown.out
    assert shown.err == ""  # which a notebook paints red
    assert type(steps).__module__ == "tqdm.std"


def test_the_mode_is_auto_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPLATLIB_PROGRESS", raising=False)
    assert progress.mode() == "auto"
