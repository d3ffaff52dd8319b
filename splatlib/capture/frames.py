"""The first stage: a capture in, frames worth reconstructing from out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from splatlib.artifacts import Frame, FrameSet
from splatlib.config import FramesConfig
from splatlib.files import os_errors_translated
from splatlib.progress import logger
from splatlib.workspace import Workspace

_DEFAULT = FramesConfig()


def extract_frames(
    capture: str | Path | Sequence[str | Path], ws: Workspace, config: FramesConfig = _DEFAULT
) -> FrameSet:
    """Choose frames from a capture and write them as upright RGB JPEGs, named in order.

    Pictures with transparency are put over black; their alpha goes to ``alpha/<stem>.png``. Panoramas (how they are
    told: ``splatlib.capture.panorama_detect``) become square faces ``000001_front.jpg`` … that share a group.

    A capture may have several sources, in the order named: each video is one, and so are the photos of each folder or
    zip. Each is a camera of its own (``Frame.source_group``) and gets its share of ``max_frames``
    (``splatlib.capture.shares``).

    Args:
        capture: a video (mp4, mov, …), a folder or zip of photos, videos or both, one of these in S3
            (``s3://bucket/key``, ``s3://bucket/prefix/``), or a list of them.
        ws: where to work. What has to be fetched or unpacked goes into its folder ``capture``.
        config: how to choose.

    Raises:
        CaptureNotFoundError: nothing is there.
        CaptureUnreadableError: it is not media, is cut off, encrypted, or holds no pictures.
        CaptureUnsafeError: an archive that escapes its folder, links, or explodes.
        CaptureUnusableError: fewer than three pictures, the camera never moved, a panorama is not 2:1, or a source is
            there twice.
        S3Error: a place in S3 cannot be read.
        WorkspaceError: the workspace is full, busy, or cannot be written.
    """
    # here, and not above: these load OpenCV and Pillow, which planning a job does not need
    from splatlib.capture.check import refuse_hopeless, warnings_for
    from splatlib.capture.choose import exposure_jumps
    from splatlib.capture.poses import put_poses
    from splatlib.capture.several import harvest_all
    from splatlib.capture.sources import look_at_capture

    found = look_at_capture(capture, ws)
    poses = found.poses()
    with os_errors_translated(ws.root):
        copies = {name: copy for name, (copy, _) in poses.items()}
        put_poses(copies, (size_bytes for _, size_bytes in poses.values()), ws.poses_directory)
    stage = ws.stage(FrameSet, config, inputs={"capture": found.digest})
    if (frames := stage.reuse()) is not None:
        return frames
    with stage.work() as directory:
        sources, notes = found.sources()
        images = directory / "images"
        images.mkdir()
        harvest = harvest_all(sources, images, directory / "alpha", ws.capture_directory, config)
        moments = harvest.moments()
        kind = _kind(harvest.frames)
        refuse_hopeless(harvest.tally, len(moments), harvest.num_readable, harvest.num_unreadable, found.name)
        jumps = exposure_jumps(harvest.tally.exposure_steps_ev)
        # of a panorama one face, always the same: it moves as an ordinary camera would
        pictures = [images / moment[0].name for moment in moments]
        found_wrong = warnings_for(harvest.tally, pictures, sum(jumps), harvest.num_blurred, kind == "video")
        warnings = [*notes, *harvest.notes, *found_wrong]
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


def _kind(frames: Sequence[Frame]) -> str:
    kinds = {"video" if frame.is_of_video else "photos" for frame in frames}
    return kinds.pop() if len(kinds) == 1 else "mixed"
