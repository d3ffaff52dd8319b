"""Tells what a delivered file has lost: against the held-out photos, and against the splat's own pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import SparseScene, Splat
from splatlib.export.views import Contributions, Painter, Photo, load_photos
from splatlib.gaussians import Gaussians
from splatlib.similarity import Similarity

_LONG_SIDE_PX = 640
_MOST_PHOTOS = 12
_IDENTICAL_DB = 100.0  # of pictures that do not differ


class Judge:
    """Compares splats with photos from the capture's cameras.

    Attributes:
        gaussians: what is delivered, in the axes that it is delivered in. scene: its cameras before they moved along.
        photos: held out from training where any were; empty where no camera is known.
        warnings: why something cannot be measured.
    """

    def __init__(
        self, gaussians: Gaussians, scene: SparseScene | None, photos: Sequence[Photo], background: Sequence[float]
    ) -> None:
        self.painter = Painter(background)
        self.scene = scene
        self.photos = list(photos)
        self.warnings: list[str] = []
        self._contributions: Contributions | None = None
        self.adopt(gaussians)

    @classmethod
    def of(cls, splat: Splat, scene: SparseScene | None, gaussians: Gaussians) -> Judge:
        """With the held-out views of a training, else with some of all."""
        photos: list[Photo] = []
        white = splat.settings.get("background") == "white"
        if scene is not None:
            held_out = [view.name for view in splat.held_out] or [view.name for view in scene.views]
            step = -(-len(held_out) // _MOST_PHOTOS)
            photos = load_photos(scene, held_out[::step], _LONG_SIDE_PX)
        judge = cls(gaussians, scene, photos, (1.0, 1.0, 1.0) if white else (0.0, 0.0, 0.0))
        if scene is None:
            judge.warnings.append(
                "No cameras of this splat are known here: no loss of quality was measured, and small formats round as "
                "little as they can."
            )
        elif not photos:
            judge.warnings.append(
                "All lenses are distorted, which the CPU cannot draw: no loss of quality was measured."
            )
        return judge

    def adopt(self, gaussians: Gaussians, contributions: Contributions | None = None) -> None:
        """Make these Gaussians what others are compared with."""
        self.gaussians = gaussians
        self._contributions = contributions
        self._pictures: list[npt.NDArray[np.float32]] | None = None
        self._psnr_db: float | None = None

    def move(self, move: Similarity) -> None:
        """Take Gaussians and cameras along into other world coordinates; what is known of them stays true."""
        self.gaussians = move.gaussians(self.gaussians)
        self.photos = [replace(p, cam_from_world=move.poses(p.cam_from_world)) for p in self.photos]

    @property
    def can_measure(self) -> bool:
        return bool(self.photos)

    @property
    def contributions(self) -> Contributions | None:
        """Of the delivered Gaussians in the capture's pictures; None where no camera is known."""
        if self._contributions is None and self.scene is not None and self.can_measure:
            self._contributions = self.painter.contributions(self.gaussians, self.scene)
        return self._contributions

    @property
    def psnr_db(self) -> float:
        """Of the delivered Gaussians."""
        if self._psnr_db is None:
            self._psnr_db = self.painter.psnr_db(self.gaussians, self.photos)
        return self._psnr_db

    def loss_db(self, other: Gaussians) -> float:
        """How much worse others show the photos; negative where they are better."""
        return self.psnr_db - self.painter.psnr_db(other, self.photos)

    def cautious_loss_db(self, other: Gaussians) -> float:
        """As ``loss_db``, but no less than a third of the change in the pictures would cost as noise.

        Where a splat is far from its photos, chance changes can bring it nearer to the few that are held out.
        """
        own_error = 10 ** (-self.psnr_db / 10)
        change = 10 ** (-self.likeness_db(other) / 10)
        return max(self.loss_db(other), float(10 * np.log10(1 + change / own_error / 3)))

    def likeness_db(self, other: Gaussians) -> float:
        """Mean PSNR between pictures of others and of the delivered Gaussians, at most 100 dB."""
        if self._pictures is None:
            self._pictures = [self._picture(self.gaussians, photo) for photo in self.photos]
        errors = [
            float(np.square(self._picture(other, photo) - picture).mean())
            for photo, picture in zip(self.photos, self._pictures, strict=True)
        ]
        return float(np.mean([min(_IDENTICAL_DB, -10 * np.log10(max(error, 1e-10))) for error in errors]))

    def _picture(self, gaussians: Gaussians, photo: Photo) -> npt.NDArray[np.float32]:
        return self.painter.picture(gaussians, photo.camera, photo.cam_from_world)
