"""What the capture's cameras say of a splat: its error against their photos, and what each Gaussian contributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera, SparseScene
from splatlib.artifacts import View as SceneView
from splatlib.errors import ExportError
from splatlib.gaussians import Gaussians
from splatlib.render.cpu.rasterizer import Parameters, Picture, Rasterizer

FloatArray = npt.NDArray[np.float32]
_CONTRIBUTION_LONG_SIDE_PX = 480
_MOST_CONTRIBUTION_VIEWS = 48
_SEEN = 0.1  # pixels' worth of a Gaussian, in a picture of 480 pixels


@dataclass(frozen=True)
class View:
    """A picture that can be drawn. Attributes: camera: a pinhole. cam_from_world: [4, 4]."""

    name: str
    camera: Camera
    cam_from_world: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Photo(View):
    """A view to measure with.

    Attributes:
        truth: [H, W, 3] uint8 RGB. mask: [H, W], 0 = does not count; None: all does.
    """

    truth: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8] | None = None


def load_photos(scene: SparseScene, names: Sequence[str], long_side_px: int) -> list[Photo]:
    """Photos of the views with these names, scaled down to ``long_side_px``; views with distorted lenses are left out.

    Raises ExportError: a picture is gone.
    """
    photos, by_name = [], {view.name: view for view in scene.views}
    for drawn in views_at(scene, names, long_side_px):
        view, camera = by_name[drawn.name], drawn.camera
        picture = _read(scene.image_path(view), cv2.IMREAD_COLOR, camera)
        path = scene.mask_path(view)
        mask = _read(path, cv2.IMREAD_GRAYSCALE, camera) if path else None
        truth = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        photos.append(Photo(view.name, camera, view.cam_from_world, np.asarray(truth, np.uint8), mask))
    return photos


def views_at(scene: SparseScene, names: Sequence[str], long_side_px: int) -> list[View]:
    """The views with these names, scaled down to ``long_side_px``; those with distorted lenses are left out."""
    return [
        View(view.name, _scaled(scene.camera(view), long_side_px), view.cam_from_world)
        for view in scene.views
        if view.name in names and scene.camera(view).distortion is None
    ]


def _scaled(camera: Camera, long_side_px: int) -> Camera:
    scale = min(1.0, long_side_px / max(camera.width, camera.height))
    return camera.scaled_to(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))


def _read(path: Path, flags: int, camera: Camera) -> npt.NDArray[np.uint8]:
    picture = cv2.imread(str(path), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise ExportError(f"cannot read {path}", hint="solve the cameras again, or put the file back")
    if (picture.shape[1], picture.shape[0]) != (camera.width, camera.height):
        picture = cv2.resize(picture, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    return np.asarray(picture, np.uint8)


class Painter:
    """Draws Gaussians with the CPU rasteriser; pictures are [H, W, 3] float32 RGB, clipped to 0…1."""

    def __init__(self, background: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        self._rasterizer = Rasterizer()
        self._background = np.asarray(background, np.float32)

    @property
    def background(self) -> tuple[float, float, float]:
        """RGB."""
        r, g, b = self._background.tolist()
        return r, g, b

    def picture(self, gaussians: Gaussians, camera: Camera, cam_from_world: npt.NDArray[np.float64]) -> FloatArray:
        image = self.forward(gaussians, camera, cam_from_world).image
        return np.clip(image, 0, 1).transpose(1, 2, 0)

    def forward(
        self, gaussians: Gaussians, camera: Camera, cam_from_world: npt.NDArray[np.float64], with_depth: bool = False
    ) -> Picture:
        """With transmittances, and depth if asked for."""
        parameters = _parameters(gaussians)
        degree = gaussians.sh_degree
        return self._rasterizer.forward(parameters, camera, cam_from_world, degree, self._background, with_depth)

    def psnr_db(self, gaussians: Gaussians, photos: Sequence[Photo]) -> float:
        """Mean over the photos of the PSNR over their unmasked pixels."""
        errors = [max(self.error(gaussians, photo), 1e-10) for photo in photos]
        return float(np.mean(-10 * np.log10(errors)))

    def error(self, gaussians: Gaussians, photo: Photo) -> float:
        """Mean squared error over the photo's unmasked pixels."""
        picture = self.picture(gaussians, photo.camera, photo.cam_from_world)
        squares = np.square(picture - photo.truth / np.float32(255)).mean(axis=2)
        return float(squares.mean() if photo.mask is None else squares[photo.mask > 0].mean())

    def contributions(self, gaussians: Gaussians, scene: SparseScene) -> Contributions:
        """Weights of all Gaussians in the pictures of the scene's cameras, at most 48 of them, at 480 pixels.

        The gradient of the sum of all pixels by a Gaussian's own brightness is the sum of its blending weights.
        """
        flat = replace(gaussians, sh=np.zeros((len(gaussians), 1, 3), np.float32))  # gray, so never clamped at black
        weights, views = np.zeros(len(gaussians), np.float64), np.zeros(len(gaussians), np.int32)
        chosen = _spread_out([v for v in scene.views if scene.camera(v).distortion is None])
        for view in chosen:
            camera = _scaled(scene.camera(view), _CONTRIBUTION_LONG_SIDE_PX)
            picture = self.forward(flat, camera, view.cam_from_world)
            v_image = np.zeros_like(picture.image)
            v_image[0] = 1
            gradients = self._rasterizer.backward(_parameters(flat), picture, v_image)
            of_view = gradients.parameters.sh0[:, 0, 0] / np.float32(0.28209479177387814)
            weights += of_view
            views += of_view > _SEEN
        return Contributions(weights.astype(np.float32), views, len(chosen))


@dataclass(frozen=True)
class Contributions:
    """Attributes:
    weights: [N] sum of blending weights over pixels and views. views: [N] views that see it. num_views: looked at.
    """

    weights: FloatArray
    views: npt.NDArray[np.int32]
    num_views: int

    def select(self, which: npt.NDArray) -> Contributions:
        return Contributions(self.weights[which], self.views[which], self.num_views)


def _spread_out(views: Sequence[SceneView]) -> list[SceneView]:
    step = max(1, -(-len(views) // _MOST_CONTRIBUTION_VIEWS))
    return list(views[::step])


def _parameters(gaussians: Gaussians) -> Parameters:
    sh = gaussians.sh
    arrays = (gaussians.means, gaussians.log_scales, gaussians.quats, gaussians.opacity_logits)
    return Parameters(*arrays, np.ascontiguousarray(sh[:, :1]), np.ascontiguousarray(sh[:, 1:]))
