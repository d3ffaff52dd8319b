"""Widgets that are heard while a cell awaits.

ipykernel 7 lets them be heard by itself. ipykernel 6, which SageMaker Studio has, takes one message at a time: what a
person clicks waits until the cell has ended. Its queue is looked through here, as jupyter-ui-poll does for loops.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

_DELIMITER = b"<IDS|MSG>"  # of Jupyter's wire protocol: identities, this, signature, header, …
_OF_WIDGETS = {"comm_open", "comm_msg", "comm_close", "comm_info_request"}


async def hear_widgets() -> None:
    """Let a notebook's widgets have what waits for them; other messages keep their places. Elsewhere: nothing."""
    if (kernel := _kernel_that_waits()) is None:
        return
    queue = kernel.msg_queue
    waiting = [queue.get_nowait() for _ in range(queue.qsize())]
    heard = [entry for entry in waiting if _type_of(kernel, entry) in _OF_WIDGETS]
    for entry in waiting:
        if entry not in heard:
            queue.put_nowait(entry)
    if not heard:
        return
    # what the awaiting cell prints afterwards belongs to that cell, and Ctrl-C to the kernel's own handler
    ident, parent, interrupt = kernel._parent_ident["shell"], kernel.get_parent("shell"), kernel.saved_sigint_handler
    try:
        for _, dispatch, arguments in heard:
            await dispatch(*arguments)
    finally:
        kernel.set_parent(ident, parent, "shell")
        kernel.saved_sigint_handler = interrupt
        kernel._publish_status("busy", "shell")


def _kernel_that_waits() -> Any | None:
    """The kernel of this process, if it is ipykernel 6 and this is its main thread's cell."""
    ipykernel, ipython = sys.modules.get("ipykernel"), sys.modules.get("IPython")
    if ipykernel is None or ipython is None or ipykernel.version_info[0] != 6:
        return None
    kernel = getattr(ipython.get_ipython(), "kernel", None)
    return kernel if hasattr(kernel, "msg_queue") else None


def _type_of(kernel: Any, entry: tuple[int, Any, Sequence[Any]]) -> str:
    """A queued message's type; "" of what is none, for instance of the end of an event loop."""
    _, _, arguments = entry
    if not arguments or not isinstance(arguments[0], list):
        return ""
    parts = [getattr(frame, "bytes", frame) for frame in arguments[0]]
    if _DELIMITER not in parts:
        return ""
    return kernel.session.unpack(parts[parts.index(_DELIMITER) + 2])["msg_type"]
