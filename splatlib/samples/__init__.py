"""A capture that the project makes itself: a video or photos of a procedural room, with known cameras.

It is what ``make demo`` reconstructs and what the tests compare with. One sample a directory:
``sample.mp4`` or ``photos/``, and ``truth.json`` beside it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera
from splatlib.errors import ArtifactError, WorkspaceError
from splatlib.files import write_atomically

Kind = Literal["video", "photos"]

TRUTH_FILE = "truth.json"
_DEFAULT_SIZE: dict[str, tuple[int, int, int]] = {"video": (90, 480, 270), "photos": (32, 640, 480)}
_FRAMES_PER_SECOND = 12
_HFOV_DEG = 62.0
_VERSION = 1  # of the scene; a directory made by another one is rendered again


@dataclass(frozen=True, eq=False)
class Sample:
    """A made capture and the truth about it.

    Attributes:
        path: the video, or the folder of photos.
        kind: ``video`` or ``photos``.
        camera: the one camera of all pictures; no distortion.
        cam_from_world: [F, 4, 4] float64, OpenCV axes, scene units are metres, world z is up.
        frame_indices: number of each picture in the video, or in the folder's sorted order.
        names: file name of each photo; of a video's frames only a label.
        blurred: indices of pictures blurred on purpose.
        duplicates: indices of pictures that repeat the one before.
        seed: of the surfaces.
    """

    path: Path
    kind: str
    camera: Camera
    cam_from_world: npt.NDArray[np.float64]
    frame_indices: tuple[int, ...]
    names: tuple[str, ...]
    blurred: tuple[int, ...]
    duplicates: tuple[int, ...]
    seed: int

    def __len__(self) -> int:
        return len(self.frame_indices)

    @property
    def centers(self) -> npt.NDArray[np.float64]:
        """[F, 3] camera centres in world coordinates."""
        return -np.einsum("fji,fj->fi", self.cam_from_world[:, :3, :3], self.cam_from_world[:, :3, 3])

    def render(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """The RGB picture [H, W, 3] as it is without blur and compression, and its depth [H, W] in scene units."""
        from splatlib.samples.raycast import render_view
        from splatlib.samples.scene import build_scene

        return render_view(build_scene(self.seed), self.camera, self.cam_from_world[index])

    @classmethod
    def load(cls, directory: str | Path) -> Sample:
        """Read the truth of a sample made before. Raises ArtifactError where there is none."""
        directory = Path(directory)
        try:
            truth = json.loads((directory / TRUTH_FILE).read_text())
            sample = cls(
                path=directory / truth["path"],
                kind=truth["kind"],
                camera=Camera(**truth["camera"]),
                cam_from_world=np.array(truth["cam_from_world"]),
                frame_indices=tuple(range(len(truth["names"]))),
                names=tuple(truth["names"]),
                blurred=tuple(truth["blurred"]),
                duplicates=tuple(truth["duplicates"]),
                seed=truth["seed"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{directory} holds no sample capture", why=str(error)) from error
        if not sample.path.exists():
            raise ArtifactError(f"{directory} holds a sample's truth, but {sample.path.name} is gone")
        return sample


def make_sample(
    directory: str | Path,
    *,
    kind: Kind = "video",
    num_frames: int | None = None,
    width: int | None = None,
    height: int | None = None,
    seed: int = 0,
) -> Sample:
    """Render a short capture of a textured room with boxes, balls and columns, one of them glossy.

    Args:
        directory: made if need be; a sample made there with the same arguments is returned as it is.
        kind: ``video`` is an MP4 of 90 frames of 480x270, ``photos`` a folder of 32 JPEGs of 640x480 whose EXIF
            holds the focal length, unless told otherwise by num_frames, width and height (even numbers for video).
        seed: changes the surfaces.

    Raises WorkspaceError when the directory cannot be written.
    """
    default_frames, default_width, default_height = _DEFAULT_SIZE[kind]
    frames, size = num_frames or default_frames, (width or default_width, height or default_height)
    if frames < 2 or min(size) < 16 or (kind == "video" and (size[0] % 2 or size[1] % 2)):
        raise ValueError(f"a sample wants 2 frames, 16 pixels a side, even sides for video; got {frames=}, {size=}")
    directory = Path(directory)
    request = {"version": _VERSION, "kind": kind, "num_frames": frames, "size": list(size), "seed": seed}
    if (made := _made_before(directory, request)) is not None:
        return made

    camera = make_camera(*size)
    blurred, duplicates = _flaws(frames)
    cam_from_world = camera_path(frames, duplicates)
    names = [f"IMG_{1001 + index}.jpg" if kind == "photos" else f"frame {index}" for index in range(frames)]
    path = directory / ("photos" if kind == "photos" else "sample.mp4")
    sample = Sample(path, kind, camera, cam_from_world, tuple(range(frames)), tuple(names), blurred, duplicates, seed)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write_pictures(sample)
        truth = {
            "request": request,
            "path": path.name,
            "kind": kind,
            "seed": seed,
            "names": names,
            "blurred": blurred,
            "duplicates": duplicates,
            "camera": asdict(camera),
            "conventions": "cam_from_world, OpenCV axes (x right, y down, z forward), metres, world z up",
            "cam_from_world": cam_from_world.tolist(),
        }
        write_atomically(directory / TRUTH_FILE, json.dumps(truth))
    except OSError as error:
        raise WorkspaceError(f"the sample capture cannot be written to {directory}", why=str(error)) from error
    return sample


def _made_before(directory: Path, request: dict[str, object]) -> Sample | None:
    try:
        if json.loads((directory / TRUTH_FILE).read_text())["request"] != request:
            return None
        return Sample.load(directory)
    except (OSError, ValueError, KeyError, TypeError, ArtifactError):
        return None


def make_camera(width: int, height: int) -> Camera:
    """The pinhole that all samples are taken with, 62 degrees wide."""
    focal_px = float(width / 2 / np.tan(np.deg2rad(_HFOV_DEG) / 2))
    return Camera(width, height, focal_px, focal_px, width / 2, height / 2)


def _flaws(num_frames: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which pictures are blurred and which repeat the one before."""
    blurred = tuple(range(9, num_frames - 1, 20))
    duplicates = tuple(range(16, num_frames - 1, 28))
    return blurred, duplicates


def camera_path(num_frames: int, duplicates: tuple[int, ...] = ()) -> npt.NDArray[np.float64]:
    """[F, 4, 4] a hand's walk of 150° round the solids: nearer and farther, down and up, never quite centred."""
    poses = []
    for along in np.linspace(0, 1, num_frames):
        azimuth = np.deg2rad(-165 + 150 * along)
        radius = 2.75 + 0.30 * np.sin(2 * np.pi * 1.3 * along)
        height = 1.25 + 0.55 * np.sin(2 * np.pi * 1.7 * along + 0.4)
        center = np.array([radius * np.cos(azimuth), radius * np.sin(azimuth), height])
        sway = 0.08 * np.array([np.sin(9 * along), np.cos(7 * along), np.sin(11 * along)])
        poses.append(looking_at(center, np.array([0, 0.15, 0.40]) + sway, roll=0.05 * np.sin(8 * along)))
    for index in duplicates:
        poses[index] = poses[index - 1]
    return np.stack(poses)


def looking_at(
    center: npt.NDArray[np.float64], target: npt.NDArray[np.float64], roll: float = 0.0
) -> npt.NDArray[np.float64]:
    """[4, 4] cam_from_world of a camera at ``center`` [3] that looks at ``target`` [3]; world z is up.

    Args:
        roll: turn about the optical axis, radians.
    """
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    rotation = np.stack([c * right + s * down, -s * right + c * down, forward])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ center
    return pose


def _write_pictures(sample: Sample) -> None:
    from splatlib.samples.writers import open_writer

    with open_writer(sample, _FRAMES_PER_SECOND) as writer:
        picture: npt.NDArray[np.uint8] | None = None
        for index in sample.frame_indices:
            if picture is None or index not in sample.duplicates:
                picture, _ = sample.render(index)
                if index in sample.blurred:
                    picture = _shaken(picture, angle=1.1 * index)
            writer(index, picture)


def _shaken(picture: npt.NDArray[np.uint8], angle: float) -> npt.NDArray[np.uint8]:
    """The picture smeared along a line of 4 % of its width, as when the hand jerks."""
    import cv2

    reach = max(2, round(0.02 * picture.shape[1]))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    step = (round(reach * np.cos(angle)), round(reach * np.sin(angle)))
    cv2.line(kernel, (reach - step[0], reach - step[1]), (reach + step[0], reach + step[1]), 1.0)
    smeared = cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    return np.asarray(smeared, np.uint8)
