"""The process of a training in the background: ``python -m splatlib.train.child``, started by ``start_training``.

It reads what to train from standard input, and answers on standard output with one JSON object. Standard input then
stays open for as long as whoever started it lives: when it closes, the training saves its state and ends.
"""

from __future__ import annotations

import _thread
import json
import os
import pickle
import signal
import struct
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.errors import SplatlibError

LENGTH = struct.Struct("<Q")
INTERRUPTED = 130


@dataclass(frozen=True)
class Order:
    """What the process is to do."""

    scene: SparseScene
    workspace: Path
    config: TrainConfig
    run: str
    go_on: bool
    attempt: str


def send(order: Order, stream: IO[bytes]) -> None:
    """To the process's standard input, which stays open."""
    content = pickle.dumps(order)
    stream.write(LENGTH.pack(len(content)) + content)
    stream.flush()


def main() -> int:
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not mix with the answer
    stream = sys.stdin.buffer
    (length,) = LENGTH.unpack(stream.read(LENGTH.size))
    order = pickle.loads(stream.read(length))
    threading.Thread(target=_interrupt_when_closed, args=(stream,), daemon=True).start()
    outcome, status = _train(order)
    print(json.dumps(outcome), file=answer, flush=True)
    return status


def _train(order: Order) -> tuple[dict[str, Any], int]:
    from splatlib.train.stage import train_attempt
    from splatlib.workspace import Workspace

    try:
        ws = Workspace(order.workspace)
        train_attempt(order.scene, ws, order.config, run=order.run, go_on=order.go_on, attempt=order.attempt)
    except KeyboardInterrupt:
        return {"interrupted": True}, INTERRUPTED
    except SplatlibError as error:
        return {"code": error.code, "what": error.what, "why": error.why, "hint": error.hint}, 1
    return {"done": True}, 0


def _interrupt_when_closed(stream: IO[bytes]) -> None:
    while stream.read(1):
        pass
    _thread.interrupt_main(signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
