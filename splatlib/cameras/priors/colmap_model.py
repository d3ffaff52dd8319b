"""A COLMAP model, binary or text. Poses belong to pictures by name, whatever the order of ids or rows."""

from __future__ import annotations

from pathlib import Path

from splatlib.cameras._pycolmap import colmap_errors_translated, pycolmap
from splatlib.cameras.priors.poses import Convention, Lens, PosePriors, rigid_transforms, unique_names
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.files import digest_of, digest_of_path

# Where programs keep a COLMAP model under a folder that they call theirs.
_MODEL_FOLDERS = (".", "sparse/0", "sparse", "colmap/sparse/0", "0")
_MODEL_FILES = ("cameras", "images", "points3D", "rigs", "frames")


def model_folder(path: Path) -> Path | None:
    """The folder of the model under ``path``, None if there is none."""
    return next((path / place for place in _MODEL_FOLDERS if _is_model(path / place)), None)


def from_colmap(folder: Path, config: CamerasConfig) -> PosePriors:
    """Raises CamerasError: another convention is asked for than a model has, or no image is registered."""
    if config.priors_convention not in ("auto", "opencv") or config.priors_direction == "camera_to_world":
        raise CamerasError(
            f"the convention of the COLMAP model in {folder} is known: opencv, world_to_camera",
            hint="leave cameras.priors_convention and cameras.priors_direction out",
        )
    with colmap_errors_translated(f"reading the COLMAP model in {folder}"):
        model = pycolmap.Reconstruction(folder)
    images = sorted((model.images[image_id] for image_id in model.reg_image_ids()), key=lambda image: image.name)
    if not images:
        raise CamerasError(f"the COLMAP model in {folder} holds no registered image")
    cameras = [model.cameras[image.camera_id] for image in images]
    names = unique_names(str(folder), [image.name for image in images])
    files = [file for stem in _MODEL_FILES for file in sorted(folder.glob(f"{stem}.*"))]
    return PosePriors(
        origin=str(folder),
        names=names,
        matrices=rigid_transforms(str(folder), names, [image.cam_from_world().matrix() for image in images]),
        lenses=tuple(Lens(c.model_name, tuple(map(float, c.params)), c.width, c.height) for c in cameras),
        convention=Convention("opencv", "world_to_camera"),
        digest=digest_of([[file.name, digest_of_path(file)] for file in files]),
    )


def _is_model(folder: Path) -> bool:
    return any((folder / f"cameras{end}").is_file() and (folder / f"images{end}").is_file() for end in (".bin", ".txt"))
