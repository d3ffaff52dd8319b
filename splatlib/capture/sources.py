"""The sources of a capture: what was named, looked at, told apart, and fetched if it lies in S3.

Every video is a source of its own, and so are the photos of each folder or zip. A source is a camera: structure from
motion shares lenses within it, never with another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path, PurePosixPath

from splatlib import s3
from splatlib.capture.listing import PICTURE_SUFFIXES, VIDEO_SUFFIXES, FolderPhotos, PhotoCollection, is_hidden
from splatlib.capture.poses import CopyTo, pose_names
from splatlib.capture.probe import Found, Video, probe
from splatlib.errors import CaptureNotFoundError, CaptureUnreadableError, CaptureUnusableError
from splatlib.files import digest_of
from splatlib.workspace import Workspace

_NAMED_IN_CAPTURE = 3


@dataclass(frozen=True)
class Source:
    """One camera: a video, or photos.

    Attributes:
        label: distinct in the capture; None where the capture is this source alone.
    """

    label: str | None
    media: PhotoCollection | Video


@dataclass(frozen=True)
class Capture:
    """What was named, before anything is fetched or unpacked.

    Attributes:
        places: each a file or folder that was looked at, or a place in S3 that was listed.
        digest: of the content; of one file or folder the same as ever.
    """

    places: tuple[Found | _InS3, ...]
    digest: str
    ws: Workspace

    @property
    def name(self) -> str:
        names = [place.name for place in self.places]
        more = f" and {len(names) - _NAMED_IN_CAPTURE} more" if len(names) > _NAMED_IN_CAPTURE else ""
        return ", ".join(names[:_NAMED_IN_CAPTURE]) + more

    def poses(self) -> dict[str, tuple[CopyTo, int]]:
        """Files with camera poses; empty where none came along, or several places have some: whose would they be?"""
        with_poses = [poses for place in self.places if (poses := place.poses)]
        return with_poses[0] if len(with_poses) == 1 else {}

    def sources(self) -> tuple[list[Source], list[str]]:
        """All sources, fetched from S3 where they lie there; and notes on what was left out.

        Raises:
            CaptureUnusableError: two of them are the same.
        """
        found = [place if isinstance(place, Found) else place.fetched() for place in self.places]
        notes = [note for place in found for note in place.notes]
        if len(found) == 1 and len(found[0].media) == 1:
            return [Source(None, found[0].media[0])], notes
        sources = [
            (place, Source(_label(place, media, alone=len(found) == 1), media))
            for place in found
            for media in place.media
        ]
        _refuse_the_same([source.media for _, source in sources])
        return _distinct(sources, [str(place.root) for place, _ in sources]), notes


@dataclass(frozen=True)
class _InS3:
    """A place in S3: what of it may matter, and the folder that it is copied to."""

    url: str
    objects: tuple[s3.S3Object, ...]
    folder: Path

    @property
    def name(self) -> str:
        return PurePosixPath(self.url.removeprefix("s3://")).name

    @property
    def poses(self) -> dict[str, tuple[CopyTo, int]]:
        """Copied as soon as they are asked for: these are small, and a finished stage needs no more."""
        by_name = {found.name: found for found in self.objects}
        chosen = {target: by_name[name] for target, name in pose_names(by_name).items()}
        return {target: (partial(self._copy, found), found.size_bytes) for target, found in chosen.items()}

    def _copy(self, found: s3.S3Object, target: Path) -> None:
        (file,) = s3.download([found], self.folder, f"fetching {found.name}")
        target.write_bytes(file.read_bytes())

    def fetched(self) -> Found:
        files = s3.download(self.objects, self.folder, f"fetching {self.url}", exact=True)
        is_one = len(self.objects) == 1 and self.objects[0].url == self.url
        found = probe(files[0] if is_one else self.folder, ignore=self.folder / ".s3")
        return replace(found, name=self.name, root=Path(self.url.removeprefix("s3:/")))


def look_at_capture(capture: str | Path | Sequence[str | Path], ws: Workspace) -> Capture:
    """Look at all that was named: which files are there, and their digest. Nothing is fetched.

    Raises:
        CaptureNotFoundError, CaptureUnreadableError, CaptureUnsafeError, CaptureUnusableError: see ``extract_frames``.
        S3Error: a place in S3 cannot be listed.
    """
    named = [capture] if isinstance(capture, str | Path) else list(capture)
    if not named:
        raise CaptureNotFoundError(
            "the list of sources is empty", hint="name a video, a folder of photos or a zip, or several of them"
        )
    twice = [name for name, number in Counter(_resolved(name) for name in named).items() if number > 1]
    if twice:
        raise CaptureUnusableError(
            f"the source {twice[0]} is named more than once",
            why="the same pictures twice show nothing new",
            hint="name each source once",
        )
    places = tuple(_in_s3(str(name), ws) if s3.is_s3_url(name) else probe(name, ws.root) for name in named)
    digests = [place.digest() if isinstance(place, Found) else s3.digest_of_objects(place.objects) for place in places]
    for first, second in combinations(range(len(digests)), 2):
        if digests[first] == digests[second]:
            raise CaptureUnusableError(
                f"the sources {named[first]} and {named[second]} hold the same",
                why="the same pictures twice show nothing new",
                hint="name one of them",
            )
    return Capture(places, digests[0] if len(digests) == 1 else digest_of(digests), ws)


def _in_s3(url: str, ws: Workspace) -> _InS3:
    objects = s3.list_objects(url)
    if not (len(objects) == 1 and objects[0].url == url):
        poses = set(pose_names(found.name for found in objects).values())
        wanted = [found for found in objects if found.name in poses or _is_media(found.name)]
        if not any(_is_media(found.name) for found in wanted):
            raise CaptureUnreadableError(
                f"{url} holds no pictures and no videos",
                why=f"of {len(objects)} objects the first is {objects[0].name}",
                hint="name a prefix with pictures or videos below it, or the key of a zip or a video",
            )
        objects = wanted
    return _InS3(url, tuple(objects), ws.capture_directory / "s3" / digest_of(url))


def _is_media(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES | VIDEO_SUFFIXES and not is_hidden(name)


def _resolved(name: str | Path) -> str:
    return str(name).rstrip("/") if s3.is_s3_url(name) else str(Path(name).expanduser().resolve())


def _label(place: Found, media: PhotoCollection | Video, alone: bool) -> str:
    """By its file or folder; a video in a folder or zip beside others by its path in there."""
    if not isinstance(media, Video) or len(place.media) == 1:
        return place.name
    return media.name if alone else f"{place.name}/{media.name}"


def _distinct(sources: list[tuple[Found, Source]], roots: list[str]) -> list[Source]:
    """Labels that are there twice get the folders above in front, as many as it takes."""
    labels = [str(source.label) for _, source in sources]
    above = [list(Path(root).parts[:-1]) for root in roots]
    while twice := {label for label, number in Counter(labels).items() if number > 1}:
        for index, label in enumerate(labels):
            if label in twice:
                folder = above[index].pop() if above[index] else str(index + 1)
                labels[index] = f"{folder.strip('/')}/{label}"
    return [replace(source, label=label) for (_, source), label in zip(sources, labels, strict=True)]


def _refuse_the_same(media: list[PhotoCollection | Video]) -> None:
    """Files that come in two sources, such as a video named beside the folder that holds it."""
    seen: set[Path] = set()
    for one in media:
        if isinstance(one, Video):
            files = {one.path.resolve()} if one.path is not None else set()
        else:
            files = {file.resolve() for file in one.files} if isinstance(one, FolderPhotos) else set()
        if both := sorted(files & seen):
            raise CaptureUnusableError(
                f"{both[0]} is in two sources of the capture",
                why="a source is a camera, and a picture was taken by one",
                hint="name the folder, or the files in it, not both",
            )
        seen |= files
