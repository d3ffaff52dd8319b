"""While a cell awaits under ipykernel 6, widgets are heard and nothing else is; with a real one: tests/browser."""

from __future__ import annotations

import asyncio
import json
import sys
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from splatlib.train.listening import hear_widgets


class Kernel:
    """What is used of ipykernel 6: a queue of messages as they come over the wire, and whose cell runs."""

    def __init__(self, *types: str) -> None:
        self.msg_queue: SimpleQueue[Any] = SimpleQueue()
        self.session = SimpleNamespace(unpack=json.loads)
        self.heard: list[str] = []
        self._parent_ident, self._parent = {"shell": b"cell"}, {"msg_id": "cell"}
        self.saved_sigint_handler = "the kernel's"
        self.statuses: list[str] = []
        for number, kind in enumerate(types):
            header = json.dumps({"msg_type": kind}).encode()
            frames = [b"who", b"<IDS|MSG>", b"signature", header, b"{}", b"{}", b"{}"]
            self.msg_queue.put_nowait((number, self.dispatch, ([SimpleNamespace(bytes=frame) for frame in frames],)))

    async def dispatch(self, frames: list[Any]) -> None:
        kind = json.loads(frames[3].bytes)["msg_type"]
        self.heard.append(kind)
        self.set_parent(b"widget", {"msg_id": kind}, "shell")
        self.saved_sigint_handler = "the widget's"

    def get_parent(self, _: str) -> dict[str, str]:
        return self._parent

    def set_parent(self, ident: bytes, parent: dict[str, str], channel: str) -> None:
        self._parent_ident[channel], self._parent = ident, parent

    def _publish_status(self, status: str, _: str) -> None:
        self.statuses.append(status)


def run_in(kernel: Kernel, version: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Listens once; the numbers of the messages that are left."""
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace(version_info=(version, 31, 0)))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=kernel)))
    asyncio.run(hear_widgets())
    return [kernel.msg_queue.get_nowait()[0] for _ in range(kernel.msg_queue.qsize())]


def test_widgets_are_heard_and_cells_keep_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel("execute_request", "comm_msg", "execute_request", "comm_open")
    kernel.msg_queue.put_nowait((4, kernel.dispatch, ()))  # the kernel's own, without a message
    assert run_in(kernel, 6, monkeypatch) == [0, 2, 4]
    assert kernel.heard == ["comm_msg", "comm_open"]
    assert kernel._parent_ident["shell"] == b"cell" and kernel._parent == {"msg_id": "cell"}
    assert kernel.saved_sigint_handler == "the kernel's" and kernel.statuses == ["busy"]


def test_where_nothing_waits_or_the_kernel_hears_by_itself_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = Kernel("execute_request")
    assert run_in(idle, 6, monkeypatch) == [0] and idle.statuses == []
    newer = Kernel("comm_msg")
    assert run_in(newer, 7, monkeypatch) == [0] and newer.heard == []
    monkeypatch.setitem(sys.modules, "IPython", None)
    asyncio.run(hear_widgets())
