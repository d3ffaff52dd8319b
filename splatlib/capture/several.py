"""Frames of all sources of a capture, read one after the other, as one harvest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from splatlib.artifacts import DroppedFrame, Frame
from splatlib.capture.check import Tally
from splatlib.capture.from_photos import harvest_photos
from splatlib.capture.from_video import harvest_video
from splatlib.capture.harvest import Harvest
from splatlib.capture.listing import PhotoCollection
from splatlib.capture.photos import size_of_photo
from splatlib.capture.probe import Video
from splatlib.capture.shares import (
    Appetite,
    appetite_of_photos,
    appetite_of_video,
    refuse_too_few,
    share_of_first,
)
from splatlib.capture.sources import Source
from splatlib.capture.video import VideoReader
from splatlib.config import FramesConfig
from splatlib.errors import CaptureUnreadableError
from splatlib.progress import logger

# Photos that are opened to learn the shape of a collection's pictures.
_PHOTOS_ASKED = 5


def harvest_all(sources: Sequence[Source], images: Path, alpha: Path, scratch: Path, config: FramesConfig) -> Harvest:
    """Choose among the sources and write the chosen pictures, named in the order of the sources.

    Args:
        sources: one, or several with labels.
        images, alpha: as of ``harvest_photos``.
        scratch: where packed videos are unpacked.
        config: how to choose; ``max_frames`` is shared as ``splatlib.capture.shares`` says, ``start_s`` and ``end_s``
            hold for each video, from its own beginning.
    """
    readers = [_reader(source.media, images, alpha, scratch) for source in sources]
    if len(sources) == 1:
        return readers[0](config, 1)
    refuse_too_few(config.max_frames, len(sources))
    appetites = [_appetite(source.media, scratch, config) for source in sources]
    parts: list[Harvest] = []
    left, first_number = config.max_frames, 1
    for index, (source, read) in enumerate(zip(sources, readers, strict=True)):
        share = share_of_first(left, appetites[index:])
        part = read(config.model_copy(update={"max_frames": share}), first_number)
        logger.info("frames: %d of %s", len(part.frames), source.label)
        first_number += len(part.moments())
        # a panorama comes with all of its faces, and there are three at the least
        left = max(left - len(part.frames), len(sources) - index - 1)
        parts.append(_labelled(part, str(source.label), isinstance(source.media, Video)))
    return Harvest(
        frames=[frame for part in parts for frame in part.frames],
        dropped=[frame for part in parts for frame in part.dropped],
        tally=Tally.joined([part.tally for part in parts]),
        num_readable=sum(part.num_readable for part in parts),
        num_unreadable=sum(part.num_unreadable for part in parts),
        num_blurred=sum(part.num_blurred for part in parts),
        notes=[note for part in parts for note in part.notes],
        faces=next((part.faces for part in parts if part.faces), ()),
    )


def _reader(
    media: PhotoCollection | Video, images: Path, alpha: Path, scratch: Path
) -> Callable[[FramesConfig, int], Harvest]:
    if isinstance(media, Video):
        return lambda config, first_number: harvest_video(media.at(scratch), images, config, first_number)
    return lambda config, first_number: harvest_photos(media, images, alpha, config, first_number)


def _appetite(media: PhotoCollection | Video, scratch: Path, config: FramesConfig) -> Appetite:
    if isinstance(media, Video):
        return appetite_of_video(VideoReader(media.at(scratch), config.start_s, config.end_s), config)
    return appetite_of_photos(len(media.names), _first_size(media), config)


def _first_size(photos: PhotoCollection) -> tuple[int, int] | None:
    for index in range(min(_PHOTOS_ASKED, len(photos.names))):
        try:
            return size_of_photo(photos.read(index), photos.names[index])
        except CaptureUnreadableError:
            continue  # the survey says so
    return None


def _labelled(part: Harvest, label: str, is_video: bool) -> Harvest:
    """With the source's name: a video is called by it, a photo's path begins with it."""

    def name(source: str) -> str:
        return label if is_video else f"{label}/{source}"

    frames: list[Frame] = [replace(f, source=name(f.source), source_group=label) for f in part.frames]
    dropped: list[DroppedFrame] = [replace(f, source=name(f.source)) for f in part.dropped]
    notes = [f"{label}: {note}" for note in part.notes]
    if not frames:
        reasons = ", ".join(f"{n} were {reason}" for reason, n in Counter(f.reason for f in dropped).items())
        notes.append(f"{label} gave no frame; of its pictures, {reasons or 'none could be read'}.")
    return replace(part, frames=frames, dropped=dropped, notes=notes)
