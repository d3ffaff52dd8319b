"""Processes that talk to each other, as torchrun starts them, and a port for those that listen."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

NUM_PROCESSES = 2


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def two_processes(code: str, *arguments: str, timeout_s: float = 300) -> list[tuple[int, str]]:
    """Exit status and output of both."""
    group = {"WORLD_SIZE": str(NUM_PROCESSES), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(NUM_PROCESSES)
    ]
    try:
        outputs = [process.communicate(timeout=timeout_s)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, output.strip()) for process, output in zip(processes, outputs, strict=True)]
