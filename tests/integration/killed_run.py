"""The ``splat`` command in a process that kills itself, as the kernel would: ``killed_run.py POINT ARGUMENT…``

POINT is ``in:STAGE`` (work on it has begun), ``after:STAGE`` (it is complete), or ``step:N`` of training.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from splatlib.cli import main
from splatlib.stage import Stage


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Place the trap."""
    patch = pytest.MonkeyPatch()
    kind, _, where = point.partition(":")
    if kind == "step":
        from splatlib.train.loop import Trainer

        step = Trainer.step

        def stepping(trainer: Trainer) -> Any:
            if trainer.step_index == int(where):
                die()
            return step(trainer)

        patch.setattr(Trainer, "step", stepping)
        return

    finish, work = Stage.finish, Stage.work

    def finishing(stage: Stage[Any], artifact: Any) -> Any:
        artifact = finish(stage, artifact)
        if kind == "after" and stage.name == where:
            die()
        return artifact

    @contextlib.contextmanager
    def working(stage: Stage[Any], keep_partial: bool = False) -> Iterator[Path]:
        with work(stage, keep_partial) as directory:
            if kind == "in" and stage.name == where:
                (directory / "half-written").write_text("half")
                die()
            yield directory

    patch.setattr(Stage, "finish", finishing)
    patch.setattr(Stage, "work", working)


if __name__ == "__main__":
    arm(sys.argv.pop(1))
    main()
