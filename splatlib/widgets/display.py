"""What a notebook shows for an artefact that is a cell's last line."""

from __future__ import annotations

from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from splatlib.artifacts import Artifact, CaptureCheck, ExportBundle, FrameSet, MaskSet, SparseScene, Splat
from splatlib.errors import ArtifactError
from splatlib.events import read_progress
from splatlib.progress import in_notebook
from splatlib.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image


def mimebundle(artifact: Artifact) -> dict[str, Any]:
    """A line of text, and a PNG (for exported files a table); with a kernel and anywidget, a live view too.

    Raises ArtifactError if its pictures are gone.
    """
    text = describe(artifact)
    if isinstance(artifact, ExportBundle):
        return {"text/plain": text, "text/html": _table(artifact)}

    if isinstance(artifact, CaptureCheck):
        from splatlib.widgets.checkup import check_html

        return {"text/plain": text, "text/html": check_html(artifact, frames_of(artifact))}

    if has_live_views():
        from splatlib.widgets.views import view_of

        if (view := view_of(artifact)) is not None:
            data, _ = view._repr_mimebundle_()
            return data

    from splatlib.widgets.pictures import png_bytes

    picture = _picture(artifact)
    return {"text/plain": text} if picture is None else {"text/plain": text, "image/png": png_bytes(picture)}


def _picture(artifact: Artifact) -> Image.Image | Figure | None:
    from splatlib.widgets import stills

    match artifact:
        case FrameSet():
            return stills.contact_sheet(artifact)
        case MaskSet():
            return stills.mask_sheet(artifact, frames_of(artifact))
        case SparseScene():
            return stills.camera_plot(artifact)
        case Splat(held_out=(_, *_)):
            return stills.held_out_sheet(artifact)
        case Splat():
            return stills.training_curves(read_progress(artifact.metrics_path))
    return None


def has_live_views() -> bool:
    """Whether this is a notebook's kernel, and anywidget is installed: elsewhere a view has nobody to talk to."""
    return in_notebook() and find_spec("anywidget") is not None


def describe(artifact: Artifact) -> str:
    """What the artefact holds, with its warnings, a line each."""
    match artifact:
        case FrameSet():
            size = f"{artifact.frames[0].width}x{artifact.frames[0].height}" if artifact.frames else "none"
            line = f"FrameSet: {len(artifact)} frames ({size}) of {artifact.capture}, {len(artifact.dropped)} dropped"
        case MaskSet():
            line = f"MaskSet: {len(artifact.names)} masks ({artifact.backend}), {artifact.mean_coverage:.0%} in use"
            if artifact.mean_iou is not None:
                line += f", IoU with the alpha channel {artifact.mean_iou:.3f} (worst {artifact.min_iou:.3f})"
        case CaptureCheck():
            places, doubtful, lost = (len(artifact.with_outlook(word)) for word in ("places", "doubtful", "lost"))
            line = (
                f"CaptureCheck: {artifact.verdict}; of {len(artifact)} frames {places} should find their place, "
                f"{doubtful} are in doubt, {lost} will not"
            )
            told = [f"  {finding.severity}: {finding.title} {finding.advice}" for finding in artifact.findings]
            line = "\n".join([line, *told])
        case SparseScene():
            line = (
                f"SparseScene: {len(artifact.views)} of {artifact.num_frames} frames registered ({artifact.mapper}), "
                f"{len(artifact.points_xyz):,} points, {artifact.mean_reprojection_error_px:.2f} px"
            )
        case Splat(mesh=str()):
            line = (
                f"Splat: a mesh ({artifact.mesh}) by {artifact.backend}, {artifact.steps:,} steps{_quality(artifact)}"
            )
        case Splat():
            line = (
                f"Splat: {artifact.num_gaussians:,} Gaussians, SH degree {artifact.sh_degree}, {artifact.steps:,} steps"
            )
            if artifact.stopped:
                line += f" of {artifact.settings['steps']:,}, stopped by hand"
            line += _quality(artifact)
        case ExportBundle():
            files = ", ".join(f"{file.name} ({file.bytes / 1e6:.2f} MB)" for file in artifact.files)
            line = f"ExportBundle: {files} in {artifact.directory}"
        case _:
            line = repr(artifact)
    warnings: tuple[str, ...] = getattr(artifact, "warnings", ())
    return "\n".join([line, *(f"  warning: {warning}" for warning in warnings)])


def _quality(splat: Splat) -> str:
    if splat.psnr_db is None or splat.ssim is None:
        return ""
    words = f", held-out PSNR {splat.psnr_db:.2f} dB, SSIM {splat.ssim:.3f}"
    if splat.trainer:
        words += f" by the renderer of {splat.trainer}"
    if splat.psnr_by_splatlib_db is not None:
        words += f", {splat.psnr_by_splatlib_db:.2f} dB by splatlib's"
    return words


def frames_of(artifact: MaskSet | CaptureCheck) -> FrameSet | None:
    """The frames of the workspace that holds masks or a check, if they are still there."""
    try:
        return Workspace.open(artifact.directory.parent).frames
    except ArtifactError:
        return None


def _table(bundle: ExportBundle) -> str:
    rows = "".join(
        f"<tr><td>{escape(file.name)}</td><td>{file.bytes / 1e6:.2f} MB</td><td>{escape(file.frame)}</td>"
        f"<td>{'' if file.num_gaussians is None else f'{file.num_gaussians:,}'}</td>"
        f"<td>{_decibels(file.psnr_loss_db)}</td><td>{_decibels(file.render_psnr_db)}</td></tr>"
        for file in bundle.files
    )
    heads = ("file", "size", "axes", "Gaussians", "lost against the photos", "likeness to the splat (PSNR)")
    head = "".join(f"<th>{name}</th>" for name in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div style="overflow-x:auto">{table}</div><p>{escape(str(bundle.directory))}</p>'


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} dB"
