"""The first stage: a capture in, frames worth reconstructing from out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from splatlib.artifacts import Frame, FrameSet
from splatlib.config import FramesConfig
from splatlib.errors import CaptureUnreadableError
from splatlib.files import digest_of_path
from splatlib.progress import logger
from splatlib.workspace import Workspace

_DEFAULT = FramesConfig()


def extract_frames(capture: str | Path, ws: Workspace, config: FramesConfig = _DEFAULT) -> FrameSet:
    """Choose frames from a capture and write them as upright RGB JPEGs, named in order.

    Pictures with transparency are put over black; their alpha goes to ``alpha/<stem>.png``. Panoramas (how they are
    told: ``splatlib.capture.panorama_detect``) become square faces ``000001_front.jpg`` … that share a group.

    Args:
        capture: a video (mp4, mov, …), a folder of photos, a zip of photos, or a folder that holds one video.
        ws: where to work.
        config: how to choose.

    Raises:
        CaptureNotFoundError: nothing is there.
        CaptureUnreadableError: it is not media, is cut off, encrypted, or holds no pictures.
        CaptureUnsafeError: an archive that escapes its folder, links, or explodes.
        CaptureUnusableError: fewer than three pictures, the camera never moved, or a panorama is not 2:1.
        WorkspaceError: the workspace is full, busy, or cannot be written.
    """
    # here, and not above: these load OpenCV and Pillow, which planning a job does not need
    from splatlib.capture.check import refuse_hopeless, warnings_for
    from splatlib.capture.choose import exposure_jumps
    from splatlib.capture.from_photos import harvest_photos
    from splatlib.capture.from_video import harvest_video
    from splatlib.capture.probe import probe

    found = probe(capture, ignore=ws.root)
    digest = _digest(found) if isinstance(found, Path) else found.digest()
    stage = ws.stage(FrameSet, config, inputs={"capture": digest})
    if (frames := stage.reuse()) is not None:
        return frames
    with stage.work() as directory:
        images = directory / "images"
        images.mkdir()
        if isinstance(found, Path):
            kind, harvest = "video", harvest_video(found, images, config)
        else:
            kind, harvest = "photos", harvest_photos(found, images, directory / "alpha", config)
        moments = harvest.moments()
        refuse_hopeless(harvest.tally, len(moments), harvest.num_readable, harvest.num_unreadable, found.name)
        jumps = exposure_jumps(harvest.tally.exposure_steps_ev)
        # of a panorama one face, always the same: it moves as an ordinary camera would
        pictures = [images / moment[0].name for moment in moments]
        found_wrong = warnings_for(harvest.tally, pictures, sum(jumps), harvest.num_blurred, kind == "video")
        warnings = [*harvest.notes, *found_wrong]
        for warning in warnings:
            logger.warning("frames: %s", warning)
        logger.info("frames: kept %d of %d", len(moments), len(moments) + len(harvest.dropped))
        if harvest.faces:
            logger.info("frames: %d pictures, %d faces a panorama", len(harvest.frames), len(harvest.faces))
        return stage.finish(
            FrameSet(
                directory=directory,
                capture=found.name,
                kind=kind,
                frames=tuple(
                    _flagged(frame, jump) for moment, jump in zip(moments, jumps, strict=True) for frame in moment
                ),
                dropped=tuple(harvest.dropped),
                warnings=tuple(warnings),
                faces=harvest.faces,
            )
        )


def _flagged(frame: Frame, jumps: bool) -> Frame:
    return replace(frame, flags=(*frame.flags, "exposure_jump")) if jumps else frame


def _digest(video: Path) -> str:
    try:
        return digest_of_path(video)
    except OSError as error:
        raise CaptureUnreadableError(
            f"{video} cannot be read", why=error.strerror or str(error), hint="check the file's permissions"
        ) from error
