"""Tells what a delivered file has lost: against the held-out photos, and against the splat's own pictures.

How coarsely a file may round is *chosen* (``trial_loss_db``) by other photos than those by which it is *judged*
(``loss_db``): a loss that was brought near its limit on the very photos that it is reported for would flatter itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import SparseScene, Splat
from splatlib.export.views import Contributions, Painter, Photo, View, load_photos, views_at
from splatlib.gaussians import Gaussians
from splatlib.similarity import Similarity

_LONG_SIDE_PX = 640
_MOST_PHOTOS = 12
_MOST_TRIAL_VIEWS = 4
_FEWEST_PHOTOS = 4  # with fewer there are no two halves
_IDENTICAL_DB = 100.0  # of pictures that do not differ


class Judge:
    """Compares splats with photos from the capture's cameras.

    Attributes:
        gaussians: what is delivered, in the axes that it is delivered in. scene: its cameras before they moved along.
        photos: held out from training where any were, to judge by; empty where no camera is known.
        trial_photos: other held-out photos, to choose by; none where there are fewer than four in all.
        trial_views: cameras that were trained with, to choose by.
        warnings: why something cannot be measured.
        factors: on the steps of ``Quality`` that were found for these Gaussians, by the format's ``rounds_as``.
    """

    def __init__(
        self, gaussians: Gaussians, scene: SparseScene | None, photos: Sequence[Photo], background: Sequence[float]
    ) -> None:
        self.painter = Painter(background)
        self.scene = scene
        halves = len(photos) >= _FEWEST_PHOTOS
        self.photos, self.trial_photos = list(photos[::2] if halves else photos), list(photos[1::2] if halves else [])
        self.trial_views = self._training_views()
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
        self.factors: dict[str, float] = {}
        self._pictures: dict[str, list[npt.NDArray[np.float32]]] = {}
        self._errors: dict[str, npt.NDArray[np.float64]] = {}

    def move(self, move: Similarity) -> None:
        """Take Gaussians and cameras along into other world coordinates; what is known of them stays true."""
        known = self.contributions  # of the scene's cameras, which stay where they are
        self.adopt(move.gaussians(self.gaussians), known)
        for photos in (self.photos, self.trial_photos):
            photos[:] = [replace(p, cam_from_world=move.poses(p.cam_from_world)) for p in photos]
        self.trial_views = [replace(v, cam_from_world=move.poses(v.cam_from_world)) for v in self.trial_views]

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
        return float(np.mean(_db(self._photo_errors("photos", self.photos))))

    def loss_db(self, other: Gaussians) -> float:
        """How much worse others show the photos to judge by; negative where they are better."""
        return self.psnr_db - self.painter.psnr_db(other, self.photos)

    def trial_loss_db(self, other: Gaussians) -> float:
        """How much worse others show the photos to choose by, but no less than a third of what is expected.

        Where a splat is far from its photos, chance changes can bring it nearer to a few of them. Where there are no
        photos to choose by, all that is expected.
        """
        expected_db = self.expected_loss_db(other)
        if not self.trial_photos:
            return expected_db
        own_db = float(np.mean(_db(self._photo_errors("trial", self.trial_photos))))
        return max(own_db - self.painter.psnr_db(other, self.trial_photos), expected_db / 3)

    def held_out_loss_db(self, other: Gaussians) -> float:
        """As ``loss_db``, of all photos."""
        if not self.trial_photos:
            return self.loss_db(other)
        own_db = float(np.mean(_db(self._photo_errors("trial", self.trial_photos))))
        losses = self.loss_db(other), own_db - self.painter.psnr_db(other, self.trial_photos)
        return float(np.average(losses, weights=[len(self.photos), len(self.trial_photos)]))

    def expected_loss_db(self, other: Gaussians) -> float:
        """What others would lose on photos like the held-out ones, told by pictures from other cameras.

        The change of the pictures from cameras that were trained with, added as noise to the error that the delivered
        Gaussians have on each photo. More than others lose in truth: a part of the detail that goes was wrong there.
        """
        change = float(np.mean(self._changes(other, "trial", self.trial_views)))
        errors = self._photo_errors("photos", self.photos)
        return float(np.mean(_db(errors) - _db(errors + change)))

    def likeness_db(self, other: Gaussians) -> float:
        """Mean PSNR between pictures of others and of the delivered Gaussians, at most 100 dB."""
        return float(np.mean(np.minimum(_IDENTICAL_DB, _db(self._changes(other, "photos", self.photos)))))

    def _photo_errors(self, which: str, photos: Sequence[Photo]) -> npt.NDArray[np.float64]:
        """[P] mean squared error of the delivered Gaussians' pictures."""
        if which not in self._errors:
            self._errors[which] = np.array([self.painter.error(self.gaussians, photo) for photo in photos])
        return self._errors[which]

    def _changes(self, other: Gaussians, which: str, views: Sequence[View]) -> npt.NDArray[np.float64]:
        """[V] mean squared differences between pictures of others and of the delivered Gaussians."""
        if which not in self._pictures:
            self._pictures[which] = [self._picture(self.gaussians, view) for view in views]
        pairs = zip(views, self._pictures[which], strict=True)
        return np.array([float(np.square(self._picture(other, view) - own).mean()) for view, own in pairs])

    def _picture(self, gaussians: Gaussians, view: View) -> npt.NDArray[np.float32]:
        return self.painter.picture(gaussians, view.camera, view.cam_from_world)

    def _training_views(self) -> list[View]:
        """Some of the cameras that no photo to judge by was taken from; those of the photos where there is no other."""
        judged = {photo.name for photo in (*self.photos, *self.trial_photos)}
        names = [view.name for view in self.scene.views if view.name not in judged] if self.scene and judged else []
        step = max(1, -(-len(names) // _MOST_TRIAL_VIEWS))
        views = views_at(self.scene, names[::step], _LONG_SIDE_PX) if self.scene else []
        return views or list(self.photos)


def _db(errors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return -10 * np.log10(np.maximum(errors, 1e-10))
