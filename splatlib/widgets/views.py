"""Which live view an artefact shows itself by."""

from __future__ import annotations

from splatlib.artifacts import Artifact, FrameSet, MaskSet, SparseScene, Splat
from splatlib.widgets.frames import view_frames
from splatlib.widgets.masks import view_masks
from splatlib.widgets.runtime import View
from splatlib.widgets.scene import view_scene
from splatlib.widgets.splat import view_splat

# What a notebook keeps of a splat that is merely a cell's last line; view_splat shows all of it.
MOST_SHOWN = 300_000


def view_of(artifact: Artifact) -> View | None:
    """The view of an artefact; None where a table or picture says it all. Raises ArtifactError: its files are gone."""
    match artifact:
        case FrameSet():
            return view_frames(artifact)
        case MaskSet():
            return view_masks(None, artifact)
        case SparseScene(views=(_, *_)):
            return view_scene(artifact)
        case Splat():
            return view_splat(artifact, most=MOST_SHOWN)
    return None
