"""Frames from photos: a quick look at all of them, the choice, then the chosen ones at full size."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from splatlib.artifacts import DroppedFrame, Frame
from splatlib.capture.check import Tally
from splatlib.capture.choose import MIN_MOTION_PHOTOS, Candidate, WindowPicker, blurred_and_surplus
from splatlib.capture.exif import PhotoFacts
from splatlib.capture.harvest import Harvest, MotionMeter, Seen, frame_name, group_name
from splatlib.capture.listing import PhotoCollection
from splatlib.capture.panorama import FaceRenderer, frame_of_face, panoramas_within
from splatlib.capture.panorama_detect import edges_meet, is_two_to_one, nearly_all, refuse_wrong_shape, taken_for_note
from splatlib.capture.photos import MIN_SIDE_PX, KeptPhoto, Survey, encode_png, keep_faces, keep_photo, survey_photo
from splatlib.config import FramesConfig
from splatlib.errors import CaptureUnreadableError
from splatlib.progress import bar, logger
from splatlib.threads import in_order


def harvest_photos(
    photos: PhotoCollection, images: Path, alpha: Path, config: FramesConfig, first_number: int = 1
) -> Harvest:
    """Choose among photos and write the chosen ones.

    All are kept up to ``max_frames``, in natural order, but for those that can be read no more, show nothing that
    the one before does not, or are far more blurred than their neighbours. A panorama stays or goes as a whole; each of
    its faces counts as one of ``max_frames``.

    Args:
        photos: in natural order.
        images: folder for the pictures.
        alpha: folder for the transparency of those that have any; made when needed.
        config: how to choose.
        first_number: of the first picture's name.

    Raises CaptureUnusableError for a panorama that is not 2:1.
    """
    sieve = _Sieve(photos, config)
    with bar(len(photos.names), "frames: looking at the photos", unit="photo") as progress:
        for index, looked in enumerate(in_order(lambda i: _survey(photos, i), range(len(photos.names)), "photos")):
            sieve.offer(index, looked)
            progress.update()
    chosen, flags = sieve.choose()
    renderer = FaceRenderer(config)

    def keep(index: int) -> list[KeptPhoto] | CaptureUnreadableError:
        return _keep(photos, index, config, renderer if index in sieve.panoramas else None)

    frames: list[Frame] = []
    made: list[int] = []
    with bar(len(chosen), "frames: writing the photos", unit="photo") as progress:
        for position, kept in zip(chosen, in_order(keep, chosen, "photos"), strict=True):
            progress.update()
            if isinstance(kept, CaptureUnreadableError):
                sieve.drop_unreadable(position, kept)
                continue
            made.append(sieve.order.index(position))
            number = first_number + len(made) - 1
            is_panorama = position in sieve.panoramas
            for photo, face in zip(kept, renderer.faces if is_panorama else (None,), strict=True):
                name = frame_name(number, face.name if face else None)
                (images / name).write_bytes(photo.jpeg)
                if photo.alpha is not None:
                    alpha.mkdir(exist_ok=True)
                    (alpha / name).with_suffix(".png").write_bytes(encode_png(photo.alpha))
                frame = replace(sieve.frame(position, photo, name), flags=flags[position])
                if face is not None:
                    focal_px = renderer.focal_px(photo.width)
                    frame = frame_of_face(frame, face, group=group_name(number), focal_px=focal_px)
                frames.append(frame)

    return Harvest(
        frames=frames,
        dropped=sorted(sieve.dropped, key=lambda frame: frame.source_index),
        tally=sieve.tally.of(made),
        num_readable=len(photos.names) - len(sieve.unreadable),
        num_unreadable=len(sieve.unreadable),
        num_blurred=sieve.num_blurred,
        notes=[*photos.notes, *_unreadable_note(sieve.unreadable), *sieve.notes],
        faces=renderer.faces if any(frame.group for frame in frames) else (),
    )


@dataclass(frozen=True)
class _Known:
    sharpness: float | None
    long_side_px: int
    facts: PhotoFacts
    is_panorama: bool
    may_be_panorama: bool
    edges_meet: bool


class _Sieve:
    """Which photos stay. ``order`` holds the indices of those that differ from one another, ``panoramas`` those of the
    panoramas once ``choose`` was called."""

    def __init__(self, photos: PhotoCollection, config: FramesConfig) -> None:
        self._names, self._config = photos.names, config
        min_motion = MIN_MOTION_PHOTOS if config.drop_duplicates else 0.0
        self._picker: WindowPicker[Seen] = WindowPicker(1.0, min_motion, MotionMeter())
        self._known: dict[int, _Known] = {}
        self._seen_before: set[bytes] = set()
        self.order: list[int] = []
        self.tally = Tally()
        self.dropped: list[DroppedFrame] = []
        self.unreadable: list[str] = []
        self.num_blurred = 0
        self.panoramas: frozenset[int] = frozenset()
        self.notes: list[str] = []

    def offer(self, index: int, looked: tuple[bytes, Survey] | CaptureUnreadableError) -> None:
        """Take the next photo's survey, with the digest of its file."""
        if isinstance(looked, CaptureUnreadableError):
            self.drop_unreadable(index, looked)
            return
        digest, survey = looked
        if survey.is_empty:
            self._drop(index, "empty")
        elif min(survey.width, survey.height) < MIN_SIDE_PX:
            self._drop(index, "too small")
        elif self._config.drop_duplicates and digest in self._seen_before:
            self._drop(index, "duplicate", survey.look.sharpness)
        else:
            self._seen_before.add(digest)
            # without its thumbnail: thousands of photos may come
            self._known[index] = self._known_of(index, survey)
            seen = Seen(survey.look)
            self._take(self._picker.offer(Candidate(index, float(index), survey.look.sharpness, seen)))

    def choose(self) -> tuple[list[int], dict[int, tuple[str, ...]]]:
        """Indices of the photos to keep, and what is odd about each."""
        self._take(self._picker.flush())
        for passed in (*self._picker.duplicates, *self._picker.surplus):
            self._drop(passed.index, "duplicate", passed.sharpness)
        self._find_panoramas()
        scores = [self._known[index].sharpness for index in self.order]
        most = panoramas_within(self._config) if self.panoramas else self._config.max_frames
        kept, blurred, reasons = blurred_and_surplus(scores, most, self._config.drop_blurred)
        self.num_blurred = sum(blurred)
        for position, reason in reasons.items():
            self._drop(self.order[position], reason, scores[position])
        flags = {self.order[position]: ("blurred",) if blurred[position] else () for position in kept}
        return [self.order[position] for position in kept], flags

    def frame(self, index: int, photo: KeptPhoto, name: str) -> Frame:
        known = self._known[index]
        focal_px = known.facts.focal_px
        scale = max(photo.width, photo.height) / known.long_side_px
        return Frame(
            name,
            photo.width,
            photo.height,
            self._names[index],
            index,
            sharpness=known.sharpness,
            focal_px=None if focal_px is None else focal_px * scale,
            gps=known.facts.gps,
            captured_at=known.facts.captured_at,
            has_alpha=photo.alpha is not None,
        )

    def drop_unreadable(self, index: int, error: CaptureUnreadableError) -> None:
        logger.warning("%s was left out: %s", self._names[index], error.why or error.what)
        self.unreadable.append(f"{self._names[index]} ({error.why or error.what})")
        self._drop(index, "unreadable")

    def _known_of(self, index: int, survey: Survey) -> _Known:
        told = self._config.projection == "equirectangular"
        says = told or (survey.says_panorama and self._config.projection == "auto")
        if says:
            refuse_wrong_shape(self._names[index], survey.width, survey.height, told)
        may_be = self._config.projection == "auto" and not says and is_two_to_one(survey.width, survey.height)
        return _Known(
            survey.look.sharpness,
            max(survey.width, survey.height),
            survey.facts,
            is_panorama=says,
            may_be_panorama=may_be,
            edges_meet=may_be and edges_meet(survey.look.thumbnail),
        )

    def _find_panoramas(self) -> None:
        unsure = [index for index, known in self._known.items() if known.may_be_panorama]
        found = {index for index, known in self._known.items() if known.is_panorama}
        if nearly_all([self._known[index].edges_meet for index in unsure]):
            found |= set(unsure)
            self.notes.append(taken_for_note(len(unsure)))
        self.panoramas = frozenset(found)

    def _take(self, winner: Candidate[Seen] | None) -> None:
        if winner is not None:
            self.order.append(winner.index)
            self.tally.add(winner.item.look)

    def _drop(self, index: int, reason: str, sharpness: float | None = None) -> None:
        self.dropped.append(DroppedFrame(self._names[index], index, reason, sharpness=sharpness))


def _survey(photos: PhotoCollection, index: int) -> tuple[bytes, Survey] | CaptureUnreadableError:
    try:
        data = photos.read(index)
        return hashlib.sha256(data).digest(), survey_photo(data, photos.names[index])
    except CaptureUnreadableError as error:
        return error


def _keep(
    photos: PhotoCollection, index: int, config: FramesConfig, renderer: FaceRenderer | None
) -> list[KeptPhoto] | CaptureUnreadableError:
    try:
        data, name = photos.read(index), photos.names[index]
        if renderer is not None:
            return keep_faces(data, name, renderer, config.jpeg_quality)
        return [keep_photo(data, name, config.max_long_side_px, config.jpeg_quality)]
    except CaptureUnreadableError as error:
        return error


def _unreadable_note(unreadable: Sequence[str]) -> list[str]:
    if not unreadable:
        return []
    shown = "; ".join(unreadable[:3]) + ("; …" if len(unreadable) > 3 else "")
    number = "1 picture" if len(unreadable) == 1 else f"{len(unreadable)} pictures"
    return [f"{number} could not be read and was left out: {shown}."]
