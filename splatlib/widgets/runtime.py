"""What all widgets share: the front end, sent once to a kernel's notebooks, and what each view holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from splatlib.errors import MissingDependencyError, SplatlibError
from splatlib.progress import logger
from splatlib.widgets.bundle import loader, runtime_code

try:
    import anywidget
    import ipywidgets
    import traitlets
except ImportError as error:
    raise MissingDependencyError(
        "views need anywidget", why=str(error), hint='pip install "splatlib[notebook]"; still pictures need nothing'
    ) from error


class Runtime(anywidget.AnyWidget):
    """The bundled front end. It is never displayed; each view fetches it by its model id.

    anywidget stores ``_esm`` with every widget. The views' own is a loader of a kilobyte, so that a saved notebook
    holds the bundle once.
    """

    _esm = "export default {}"
    code = traitlets.Bytes().tag(sync=True)
    digest = traitlets.Unicode().tag(sync=True)


_runtime: Runtime | None = None
_answering = ThreadPoolExecutor(1, thread_name_prefix="splatlib-view")


def shared_runtime() -> Runtime:
    """The one of this process; made anew after ``Widget.close_all``."""
    global _runtime  # noqa: PLW0603 - one a kernel is the point
    if _runtime is None or _runtime.comm is None:
        code = runtime_code()
        _runtime = Runtime(code=code, digest=hashlib.sha256(code).hexdigest()[:16])
    return _runtime


class View(anywidget.AnyWidget):
    """Base of the views.

    Attributes:
        kind: which of the front end's views it is.
        info: what is small, as JSON types.
        blobs: what is large, as bytes.
        height_px: of the stage.
    """

    _esm = loader()
    _runtime = traitlets.Instance(Runtime).tag(sync=True, **ipywidgets.widget_serialization)
    kind = traitlets.Unicode().tag(sync=True)
    info = traitlets.Dict().tag(sync=True)
    blobs = traitlets.List(traitlets.Bytes()).tag(sync=True)
    height_px = traitlets.Int(460).tag(sync=True)

    def __init__(
        self,
        *,
        info: Mapping[str, Any],
        blobs: Sequence[bytes],
        still: Callable[[], bytes] | None = None,
        text: str = "",
        **traits: Any,
    ) -> None:
        """``still`` makes a PNG of the view, ``text`` stands for it in a terminal."""
        self._still, self._text = still, text
        self._answers: dict[str, Callable[[str, Mapping[str, Any]], bytes]] = {}
        self._newest: dict[tuple[str, str], Any] = {}
        super().__init__(_runtime=shared_runtime(), info=dict(info), blobs=list(blobs), **traits)
        self.on_msg(self._on_question)

    def answer(self, ask: str, function: Callable[[str, Mapping[str, Any]], bytes]) -> None:
        """Let the front end ask: the function gets a name and the whole question, and returns bytes."""
        self._answers[ask] = function

    def _on_question(self, _: Any, question: Any, __: Any) -> None:
        """Answer in a thread of its own: a cell that is run meanwhile shall see what a person has just set."""
        key = (str(question.get("ask")), str(question.get("name")))
        self._newest[key] = question
        _answering.submit(self._reply, key, question)

    def _reply(self, key: tuple[str, str], question: Mapping[str, Any]) -> None:
        """With an error's own words where there is one: the person looks at the view, not at a log."""
        if self._newest.get(key) is not question:
            return  # the person has clicked again
        ask, name = key
        answer = {"ask": ask, "name": name}
        if (function := self._answers.get(ask)) is None:
            self.send({**answer, "error": f"this kernel does not know the question {ask!r}"})
            return
        try:
            content = function(name, question)
        except SplatlibError as error:
            self.send({**answer, "error": str(error)})
        except Exception as error:  # noqa: BLE001 - nobody waits for this thread: an error would be lost
            logger.exception("a view's question %s could not be answered", key)
            self.send({**answer, "error": f"{type(error).__name__}: {error}"})
        else:
            self.send(answer, buffers=[content])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The live view, with a still picture for where there is no kernel, no trust or no JavaScript."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        data = dict(data)
        if self._text:
            data["text/plain"] = self._text
        if self._still is not None:
            data["image/png"] = self._still()
        return data, metadata
