"""Runs a command of another trainer: its log kept, its progress told, Ctrl-C passed on, its death explained."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from splatlib.environments import variables
from splatlib.errors import DeviceError, MissingDependencyError, TrainingError
from splatlib.events import Control
from splatlib.progress import logger
from splatlib.train.external.protocol import Command

TOLD = "@splatlib "
_LAST_LINES = 12
_LOOK_EVERY_S = 0.25
# First Ctrl-C's signal, which lets it clean up, then the two that are harder to ignore.
_ENDING = ((signal.SIGINT, 20.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
_OUT_OF_MEMORY = re.compile(r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory|cudaErrorMemoryAllocation")
_NO_GPU = re.compile(r"No CUDA GPUs are available|no CUDA-capable device|Found no NVIDIA driver|CUDA driver version is")
_NO_MODULE = re.compile(r"ModuleNotFoundError: (No module named '[^']+')")


class Runner:
    """Runs commands of one training.

    Args:
        python: of the environment.
        log: what they print is appended to it.
        told: takes what the trainer tells of its progress.
        asked: requests to pause and to continue, by this attempt's name; None: nobody asks.
    """

    def __init__(
        self,
        python: Path,
        log: Path,
        told: Callable[[Mapping[str, Any]], None],
        asked: tuple[Control, str] | None = None,
        on_pause: Callable[[str], None] = lambda event: None,
    ) -> None:
        self._python, self._log, self._told, self._asked, self._on_pause = python, log, told, asked, on_pause
        self._paused = self._refused_stop = False
        self.paused_s = 0.0

    def run(self, command: Command) -> None:
        """To its end.

        Raises:
            TrainingError: it was killed, failed or filled the GPU, with the last lines of its log.
            DeviceError: it found no GPU.
            MissingDependencyError: its environment lacks a module.
            KeyboardInterrupt: of this process; the command has ended then.
        """
        lines: deque[str] = deque(maxlen=_LAST_LINES)
        argv = command.argv(self._python)
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(argv)}\n")
            log.flush()
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE,  # closes when this process ends, however it does
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env={**variables(self._python), "PYTHONUNBUFFERED": "1", **command.environment},
                    start_new_session=True,  # with its children, so that all of them can be told to end
                )
            except OSError as error:
                raise MissingDependencyError(
                    f"{self._python} cannot be started", why=str(error), hint="splat backend list"
                ) from error
            assert process.stdout is not None and process.stdin is not None
            reader = threading.Thread(target=self._read, args=(process.stdout, log, lines), daemon=True)
            reader.start()
            try:
                while not _ended_within(process, _LOOK_EVERY_S):
                    self._look(process)
            except BaseException:
                _end(process)
                raise
            finally:
                process.stdin.close()
            reader.join(5.0)  # children that outlive it may hold its output open
        if process.returncode:
            raise self._failure(command, process.returncode, list(lines))

    def _read(self, stream: IO[bytes], log: IO[str], lines: deque[str]) -> None:
        """Bars that redraw themselves end their lines with carriage returns."""
        for raw in stream:
            for text in re.split(r"[\r\n]+", raw.decode(errors="replace")):
                line = text.rstrip()
                if line.startswith(TOLD):
                    self._told(json.loads(line[len(TOLD) :]))
                elif line:
                    lines.append(line)
                    log.write(line + "\n")
                    log.flush()

    def _look(self, process: subprocess.Popen[bytes]) -> None:
        """Pausing stops the whole process group where it stands; its memory stays."""
        request = self._asked[0].asked(self._asked[1]) if self._asked else None
        if request == "pause" and not self._paused:
            os.killpg(process.pid, signal.SIGSTOP)
            self._paused, self._since_s = True, time.perf_counter()
            self._on_pause("paused")
        elif request in ("continue", "stop") and self._paused:
            os.killpg(process.pid, signal.SIGCONT)
            self._paused = False
            self.paused_s += time.perf_counter() - self._since_s
            self._on_pause("continued")
        if request == "stop" and not self._refused_stop:
            self._refused_stop = True
            logger.warning("training: another trainer cannot end early with a result; Ctrl-C gives it up")

    def _failure(self, command: Command, status: int, lines: list[str]) -> TrainingError | MissingDependencyError:
        text, log = "\n".join(lines), f"its log: {self._log}"
        if _OUT_OF_MEMORY.search(text):
            return TrainingError(
                f"the GPU has too little memory for {command.what}",
                why=text,
                hint=f"lower train.max_long_side_px, or free the GPU of other programs; {log}",
            )
        if _NO_GPU.search(text):
            return DeviceError(f"{command.what}: no GPU was found", why=text, hint=f"see `splat backend list`; {log}")
        if missing := _NO_MODULE.search(text):
            return MissingDependencyError(
                f"{command.what}: its environment is not complete", why=missing[1], hint=f"splat backend install; {log}"
            )
        if status < 0:
            name = signal.Signals(-status).name
            why = "the machine ran out of memory, or somebody ended it" if name == "SIGKILL" else "somebody ended it"
            return TrainingError(f"{command.what} was killed ({name})", why=f"{why}\n{text}".strip(), hint=log)
        return TrainingError(f"{command.what} failed with status {status}", why=text, hint=log)


def _ended_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children."""
    for number, wait_s in _ENDING:
        try:
            os.killpg(process.pid, signal.SIGCONT)
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        if not _ended_within(process, wait_s):
            continue
        if number != signal.SIGKILL:
            # The leader is gone; whoever of its group is left has had the same signal and gets no more time.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return
