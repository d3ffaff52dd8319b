"""A training as it goes on: curves, the newest picture, and buttons; where nothing can be live, a still."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from splatlib.events import TrainingProgress
from splatlib.progress import in_notebook, mode

if TYPE_CHECKING:
    from PIL import Image

    from splatlib.artifacts import SparseScene
    from splatlib.gaussians import Gaussians

# Drawing the curves takes a tenth of a second of a core that the training wants.
LOOK_EVERY_S, CURVES_EVERY_LOOKS = 0.5, 4
_PREVIEW_PX = 480
_WRAPPED = "margin:0; white-space:pre-wrap; word-break:normal"  # JupyterLab breaks words


class Training(Protocol):
    """What can be shown; as in ``splatlib.train.background``."""

    directory: Path | None

    @property
    def progress(self) -> TrainingProgress: ...
    @property
    def ended(self) -> bool: ...
    @property
    def can_be_steered(self) -> bool: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def request_stop(self) -> None: ...
    def snapshot(self) -> Gaussians: ...
    def scene(self) -> SparseScene | None: ...


def describe_progress(progress: TrainingProgress) -> str:
    """For instance ``training, step 340 of 1,200 (12 s, about 31 s left), loss 0.0431, held-out PSNR 24.31 dB, …``."""
    words = [progress.state + (", stopped by hand" if progress.stopped else "")]
    if progress.steps:
        left = progress.seconds_left if progress.state == "training" else None
        rest = "" if left is None else f", about {left:.0f} s left"
        words.append(f"step {progress.step:,} of {progress.steps:,} ({progress.seconds:.0f} s{rest})")
    if progress.loss is not None:
        words.append(f"loss {progress.loss:.4f}")
    if progress.psnr_db is not None:
        words.append(f"held-out PSNR {progress.psnr_db:.2f} dB")
    if progress.num_gaussians is not None:
        words.append(f"{progress.num_gaussians:,} Gaussians")
    return ", ".join(words) + (f"\n{progress.message}" if progress.message else "")


def show(training: Training) -> Callable[[], None]:
    """Show a training in the way that this place allows; returns what brings the picture up to date."""
    if not in_notebook():
        print(describe_progress(training.progress))
        return lambda: None
    return _Live(training).refresh if mode() == "auto" else _show_still(training)


def still(progress: TrainingProgress, directory: Path | None) -> Image.Image:
    """Curves, and below them the newest picture where there is one."""
    from PIL import Image

    from splatlib.widgets.pictures import png_bytes
    from splatlib.widgets.stills import training_curves

    curves = Image.open(io.BytesIO(png_bytes(training_curves(progress))))
    picture = _preview(progress, directory)
    if picture is None:
        return curves
    shown = Image.open(io.BytesIO(picture)).convert("RGBA")
    shown = shown.resize((_PREVIEW_PX, round(_PREVIEW_PX * shown.height / shown.width)))
    together = Image.new("RGBA", (curves.width, curves.height + shown.height), (0, 0, 0, 0))
    together.paste(curves, (0, 0))
    together.paste(shown, (0, curves.height))
    return together


def _preview(progress: TrainingProgress, directory: Path | None) -> bytes | None:
    path = None if directory is None or progress.preview is None else directory / progress.preview
    return path.read_bytes() if path is not None and path.exists() else None


def _still_bundle(training: Training) -> dict[str, Any]:
    from splatlib.widgets.pictures import png_bytes

    progress = training.progress
    return {"text/plain": describe_progress(progress), "image/png": png_bytes(still(progress, training.directory))}


def _show_still(training: Training) -> Callable[[], None]:
    from IPython.display import display

    handle: Any = display(_still_bundle(training), raw=True, display_id=True)
    return lambda: handle.update(_still_bundle(training), raw=True)


class _Live:
    """The widgets, and the thread that keeps them up to date until the training has ended."""

    def __init__(self, training: Training) -> None:
        import ipywidgets
        from IPython.display import display

        self._training, self._looks, self._drawn = training, 0, -1
        self._shown_preview: str | None = None
        self._lock = threading.Lock()
        self._words = ipywidgets.HTML()
        self._bar = ipywidgets.IntProgress(bar_style="info", layout={"width": "100%"})
        self._curves = ipywidgets.Image(layout={"max_width": "100%"})
        self._picture = ipywidgets.Image(format="jpeg", layout={"width": f"{_PREVIEW_PX}px", "display": "none"})
        self._pause = ipywidgets.Button(description="Pause", icon="pause", tooltip="Wait, with the state saved")
        self._stop = ipywidgets.Button(
            description="Stop and keep", icon="stop", tooltip="End now; measure and keep the splat as it is"
        )
        self._turn = ipywidgets.Button(
            description="Turn it", icon="cube", tooltip="Show the splat of the last checkpoint under the mouse"
        )
        self._turned = ipywidgets.VBox()
        self._turn.on_click(self._asked(self._show_snapshot))
        self._turn.layout.display = "none" if training.directory is None else None
        self._pause.on_click(self._asked(self._toggle))
        self._stop.on_click(self._asked(training.request_stop))
        self._trouble = ipywidgets.HTML()
        buttons = ipywidgets.HBox([self._pause, self._stop, self._turn])
        parts = [self._words, self._bar, buttons, self._trouble, self._curves, self._picture, self._turned]
        self._box = ipywidgets.VBox(parts)
        self._handle: Any = None
        self.refresh()
        self._handle = display(self._bundle(), raw=True, display_id=True)
        threading.Thread(target=self._follow, name="splatlib-live", daemon=True).start()

    def refresh(self) -> None:
        """Bring everything up to date."""
        with self._lock:
            progress = self._training.progress
            self._words.value = f"<pre style='{_WRAPPED}'>{escape(describe_progress(progress))}</pre>"
            self._bar.max, self._bar.value = max(1, progress.steps), progress.step
            steerable = self._training.can_be_steered
            self._pause.disabled = self._stop.disabled = not steerable
            paused = progress.state == "paused"
            self._pause.description, self._pause.icon = ("Continue", "play") if paused else ("Pause", "pause")
            self._bar.bar_style = {"paused": "warning", "failed": "danger", "finished": "success"}.get(
                progress.state, "info"
            )
            if progress.preview != self._shown_preview and (picture := _preview(progress, self._training.directory)):
                self._picture.value, self._picture.layout.display = picture, "block"
                self._shown_preview = progress.preview
            if self._looks % CURVES_EVERY_LOOKS == 0 or not steerable:
                self._draw_curves(progress)
            self._looks += 1
            if self._training.ended and self._handle is not None:  # what a saved notebook shows without a kernel
                self._handle.update(self._bundle(), raw=True)
                self._handle = None

    def _draw_curves(self, progress: TrainingProgress) -> None:
        known = len(progress.losses) + len(progress.evaluations)
        if known == self._drawn:
            return
        from splatlib.widgets.pictures import png_bytes
        from splatlib.widgets.stills import training_curves

        self._curves.value, self._drawn = png_bytes(training_curves(progress)), known

    def _follow(self) -> None:
        leave = threading.Event()
        try:
            while not self._training.ended:
                self.refresh()
                leave.wait(LOOK_EVERY_S)
            self.refresh()
        except Exception as error:  # noqa: BLE001 (a thread's error would be lost in a hidden console)
            self._trouble.value = f"<pre>This view has ended: {escape(f'{type(error).__name__}: {error}')}</pre>"

    def _bundle(self) -> dict[str, Any]:
        own: Any = self._box._repr_mimebundle_()
        return {**own, **_still_bundle(self._training)}

    def _show_snapshot(self) -> None:
        from splatlib.widgets.splat import view_splat

        view = view_splat(self._training.snapshot(), scene=self._training.scene(), title="The last checkpoint")
        self._turned.children = (view,)

    def _toggle(self) -> None:
        (self._training.resume if self._training.progress.state == "paused" else self._training.pause)()

    def _asked(self, ask: Callable[[], None]) -> Callable[[Any], None]:
        """A button's answer: what goes wrong is told below the widget."""
        from splatlib.errors import SplatlibError

        def clicked(_: Any) -> None:
            try:
                ask()
                self._trouble.value = ""
            except SplatlibError as error:
                self._trouble.value = f"<pre style='{_WRAPPED}'>{escape(str(error))}</pre>"

        return clicked
