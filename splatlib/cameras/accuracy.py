"""How far solved cameras are from the truth, for tests and benchmarks.

Two solutions differ by a similarity transform, and by a constant rotation where their principal points differ; so
rotations are compared relative to each other and centres after an alignment.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def relative_rotation_errors_deg(solved: FloatArray, true: FloatArray) -> FloatArray:
    """[V (V - 1) / 2] angle between solved and true relative rotation of each pair of views, degrees.

    Args:
        solved: [V, 4, 4] cam_from_world. true: [V, 4, 4] cam_from_world of the same views.
    """
    first, second = np.triu_indices(len(solved), 1)

    def relative(poses: FloatArray) -> FloatArray:
        rotations = poses[:, :3, :3]
        return rotations[first] @ rotations[second].transpose(0, 2, 1)

    between = relative(solved) @ relative(true).transpose(0, 2, 1)
    # The sine from the skew part: the cosine alone loses half of the digits at small angles.
    skew = between - between.transpose(0, 2, 1)
    sine = np.sqrt(skew[:, 2, 1] ** 2 + skew[:, 0, 2] ** 2 + skew[:, 1, 0] ** 2) / 2
    cosine = (np.trace(between, axis1=1, axis2=2) - 1) / 2
    return np.degrees(np.arctan2(sine, cosine))


def align_similarity(source: FloatArray, target: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Scale, rotation [3, 3] and translation [3] that map source points [N, 3] onto target [N, 3], least squares.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns".
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centred = source - source_mean
    u, singular, vt = np.linalg.svd((target - target_mean).T @ centred)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(signs) @ vt
    scale = float((singular * signs).sum() / (centred**2).sum())
    return scale, rotation, target_mean - scale * rotation @ source_mean


def center_errors_percent(solved: FloatArray, true: FloatArray) -> FloatArray:
    """[V] distance of solved from true camera centres after a similarity alignment, in percent of the camera path's
    extent: the largest distance between two true centres.

    Args:
        solved: [V, 4, 4] cam_from_world. true: [V, 4, 4] cam_from_world of the same views.
    """
    solved_centers, true_centers = centers(solved), centers(true)
    scale, rotation, translation = align_similarity(solved_centers, true_centers)
    off = np.linalg.norm(scale * solved_centers @ rotation.T + translation - true_centers, axis=1)
    extent = np.linalg.norm(true_centers[:, None] - true_centers[None], axis=-1).max()
    return 100 * off / extent


def centers(cam_from_world: FloatArray) -> FloatArray:
    """[V, 3] camera centres of [V, 4, 4] poses."""
    return -np.einsum("vji,vj->vi", cam_from_world[:, :3, :3], cam_from_world[:, :3, 3])


def read_transforms(path: Path) -> dict[str, FloatArray]:
    """cam_from_world [4, 4] by picture's file name, of a nerfstudio/instant-ngp ``transforms.json``."""
    poses = {}
    for frame in json.loads(path.read_text())["frames"]:
        world_from_cam = np.array(frame["transform_matrix"], np.float64)
        world_from_cam[:3, 1:3] *= -1  # OpenGL's axes (y up, z backwards) to OpenCV's
        poses[Path(frame["file_path"]).name] = np.linalg.inv(world_from_cam)
    return poses
