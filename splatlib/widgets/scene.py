"""The viewer of solved cameras: points, frusta with their pictures, and which cameras share points."""

from __future__ import annotations

import contextlib
import gzip
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera, SparseScene
from splatlib.errors import ArtifactError
from splatlib.progress import logger
from splatlib.widgets.display import describe
from splatlib.widgets.pictures import evenly, jpeg_bytes, png_bytes, thumbnail
from splatlib.widgets.runtime import View, traitlets
from splatlib.widgets.stills import camera_plot
from splatlib.widgets.viewing import half_tan, pose_data, start_outside_scene

MOST_POINTS = 400_000
_MOST_PICTURES = 400
_MOST_LINKS = 6000
_THUMBNAIL_PX = 112
_ERROR_STEP_PX = 1 / 64
_BACKGROUND = (0.055, 0.06, 0.07)
# COLMAP's: pair_id = id of the first · this + id of the second.
_MOST_IMAGES = 2147483647


class SceneView(View):
    """Attributes:
    selected: name of the view that a person stands in; empty before.
    """

    selected = traitlets.Unicode().tag(sync=True)


def view_scene(scene: SparseScene, *, most: int = MOST_POINTS, height_px: int = 480, title: str = "") -> SceneView:
    """Show solved cameras.

    Args:
        most: points shown; of more, those that most frames see.

    Raises:
        ArtifactError: a picture of the scene is gone.
        MissingDependencyError: anywidget is not installed.
    """
    points, points_info, note = packed_points(scene, most)
    shown = evenly(len(scene.views), _MOST_PICTURES)
    pictures = [jpeg_bytes(thumbnail(scene.image_path(scene.views[i]), _THUMBNAIL_PX), 70) for i in shown]
    cameras = [
        {
            "name": view.name,
            "width": (camera := scene.camera(view)).width,
            "height": camera.height,
            "pose": pose_data(view.cam_from_world, half_tan(scene, view)),
            "extent": _extent(camera),
        }
        for view in (scene.views[i] for i in shown)
    ]
    if len(shown) < len(scene.views):
        note = f"{note}\nShowing {len(shown)} of {len(scene.views)} cameras.".strip()
    facts = (
        f"{len(scene.views)} of {scene.num_frames} frames · {len(scene.points_xyz):,} points · "
        f"{scene.mean_reprojection_error_px:.2f} px"
    )
    info = {
        "title": title or "Cameras",
        "facts": facts,
        "note": note,
        **start_outside_scene(scene).to_data(),
        "background": list(_BACKGROUND),
        "points": points_info,
        "cameras": cameras,
        "thumbnails": [len(picture) for picture in pictures],
        "links": _links(scene, [scene.views[i].name for i in shown]),
    }
    return SceneView(
        kind="scene",
        info=info,
        blobs=[points, b"".join(pictures)],
        still=lambda: png_bytes(camera_plot(scene)),
        text=describe(scene),
        height_px=height_px,
    )


def packed_points(scene: SparseScene, most: int = MOST_POINTS) -> tuple[bytes, dict[str, Any], str]:
    """Points for the front end, gzipped, and what it needs to read them, and a note where points were left out.

    float32 xyz [P, 3] · uint8 rgb [P, 3] · uint8 error [P] in 1/64 px · uint8 track length [P], 255: that or more.
    Points that are not finite are left out.
    """
    kept = np.flatnonzero(np.isfinite(scene.points_xyz).all(axis=1))
    note = ""
    if len(kept) > most:
        note = f"Showing the {most:,} of {len(kept):,} points that most frames see."
        longest = np.argpartition(-scene.point_track_lengths[kept], most - 1)[:most]
        kept = kept[np.sort(longest)]
    errors = np.clip(np.nan_to_num(scene.point_errors_px[kept]) / _ERROR_STEP_PX, 0, 255)
    columns = (
        scene.points_xyz[kept].astype("<f4"),
        scene.points_rgb[kept],
        np.round(errors).astype(np.uint8),
        np.clip(scene.point_track_lengths[kept], 0, 255).astype(np.uint8),
    )
    data = gzip.compress(b"".join(np.ascontiguousarray(column).tobytes() for column in columns), 4, mtime=0)
    return data, {"count": len(kept), "error_step_px": _ERROR_STEP_PX}, note


def matches_between(database: Path) -> dict[tuple[str, str], int]:
    """Verified matches between pictures by name, from COLMAP's database. Raises ArtifactError: it cannot be read."""
    query = "SELECT pair_id, rows FROM two_view_geometries WHERE rows > 0"
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            names = dict(connection.execute("SELECT image_id, name FROM images"))
            pairs = connection.execute(query).fetchall()
    except sqlite3.Error as error:
        raise ArtifactError(f"{database} cannot be read", why=str(error)) from error
    found = {}
    for pair_id, rows in pairs:
        second = pair_id % _MOST_IMAGES
        first = (pair_id - second) // _MOST_IMAGES
        if first in names and second in names:
            found[names[first], names[second]] = rows
    return found


def _links(scene: SparseScene, names: list[str]) -> list[list[int]]:
    """The strongest links [camera, other, matches]; none where the database is gone or damaged, which is logged."""
    database = scene.directory / "database.db"
    if not database.exists():
        return []
    try:
        matches = matches_between(database)
    except ArtifactError as error:
        logger.warning("the view does not show which cameras share points: %s", error)
        return []
    index = {name: i for i, name in enumerate(names)}
    links = [[index[a], index[b], rows] for (a, b), rows in matches.items() if a in index and b in index]
    return sorted(links, key=lambda link: -link[2])[:_MOST_LINKS]


def _extent(camera: Camera) -> list[float]:
    """Left, top, right and bottom edge of the picture at depth 1; of a distorted lens, of its pinhole."""
    edges: npt.NDArray[np.float64] = np.array([0.0, 0.0, camera.width, camera.height])
    center, focal = np.array([camera.cx, camera.cy] * 2), np.array([camera.fx, camera.fy] * 2)
    return ((edges - center) / focal).tolist()
