"""What another trainer is to us: commands to run one after the other, and files to read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from splatlib.artifacts import SparseScene, View
from splatlib.config import TrainConfig
from splatlib.environments import Environment
from splatlib.gaussians import Gaussians
from splatlib.scene_formats import PlacedView

# Run by the environment's Python; imports nothing of splatlib.
LAUNCHER = Path(__file__).with_name("launch_trainer.py")
# Pictures are scaled down to this unless told: what nerfstudio and the 3DGS authors' code do by themselves.
DEFAULT_LONG_SIDE_PX = 1600


@dataclass(frozen=True)
class Work:
    """One training.

    Attributes:
        folder: for what the trainer reads and writes.
        steps: of the optimiser.
    """

    scene: SparseScene
    train_views: Sequence[View]
    held_out: Sequence[View]
    config: TrainConfig
    environment: Environment
    folder: Path
    steps: int

    @property
    def long_side_px(self) -> int:
        return self.config.max_long_side_px or DEFAULT_LONG_SIDE_PX

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def output(self) -> Path:
        return self.folder / "output"


@dataclass(frozen=True)
class Command:
    """A process of the trainer.

    Attributes:
        what: in a word or two, for messages.
        entry: of the launcher, which passes the arguments on.
        environment: more variables.
    """

    what: str
    entry: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    def argv(self, python: Path) -> list[str]:
        return [str(python), str(LAUNCHER), self.entry, *self.arguments]


@dataclass(frozen=True)
class Results:
    """What a training left.

    Attributes:
        gaussians: in the scene's axes and scale; None where the method has none.
        mesh: a GLB in the scene's axes and scale, of methods without Gaussians.
        renders: of held-out views by name, drawn by the trainer's own renderer.
        draws_as_3dgs: whether the Gaussians mean what they mean in the 3DGS PLY, so that any renderer can draw them.
    """

    gaussians: Gaussians | None
    renders: Mapping[str, Path]
    mesh: Path | None = None
    draws_as_3dgs: bool = True
    warnings: Sequence[str] = ()


class Trainer(Protocol):
    """A backend.

    Attributes:
        steps: unless told.
        honours: settings of TrainConfig that it has; others must be left as they are.
        draws_distorted: whether it trains on pictures as a lens took them, and draws such.
    """

    @property
    def backend(self) -> str: ...
    @property
    def steps(self) -> int: ...
    @property
    def honours(self) -> frozenset[str]: ...
    @property
    def draws_distorted(self) -> bool: ...

    def check(self, config: TrainConfig) -> None:
        """Raises ConfigError for values that it cannot take."""
        ...

    def write(self, work: Work) -> list[PlacedView]:
        """Write what it reads; the views that it will draw for measuring."""
        ...

    def training(self, work: Work) -> Command | None:
        """The training, from the newest checkpoint in ``work.output`` on if there is one; None: it had ended."""
        ...

    def afterwards(self, work: Work) -> list[Command]:
        """What is left to do once training ended: drawing, exporting. Raises TrainingError if it left nothing."""
        ...

    def results(self, work: Work, measured: Sequence[PlacedView]) -> Results:
        """Read back what it wrote. Raises TrainingError."""
        ...
