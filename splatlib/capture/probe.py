"""What kind of capture a path is. Every wrong one gets its own plain sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from splatlib.capture.archive import Archive, ZipPhotos
from splatlib.capture.listing import (
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    FolderPhotos,
    PhotoCollection,
    file_digest,
    files_below,
    media_among,
    suffix_counts,
)
from splatlib.capture.poses import CopyTo, pose_names
from splatlib.errors import CaptureNotFoundError, CaptureUnreadableError, CaptureUnusableError
from splatlib.files import digest_of

_KINDS = "a capture is a video (mp4, mov), a folder of photos, or a zip of photos"
# Boxes an ISO base media file (mp4, mov) can begin with.
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


@dataclass(frozen=True)
class Video:
    """A video of a capture: a file, or a member of a zip.

    Attributes:
        name: path inside the folder or zip; of a file its name.
        path: of the file; None while it is packed.
        archive: that it is a member of, under ``member``.
    """

    name: str
    path: Path | None = None
    archive: Archive | None = None
    member: str = ""

    def at(self, scratch: Path) -> Path:
        """A file to read it from; a packed one is unpacked below ``scratch``, once."""
        if self.path is not None:
            return self.path
        assert self.archive is not None
        key = digest_of([self.archive.digest(), self.member])
        path = scratch / "unpacked" / key / PurePosixPath(self.member).name
        if not path.is_file() or path.stat().st_size != self.archive.size_bytes(self.member):
            self.archive.unpack(self.member, path)
        return path


@dataclass(frozen=True)
class Found:
    """What one place holds.

    Attributes:
        name: of the file or folder.
        root: its absolute path.
        media: photos (at most one collection, first) and videos.
        digest: of the content.
        poses: files with camera poses, by the path that they get (``splatlib.capture.poses``), with their sizes.
        notes: what was left out beside what ``media`` say themselves, in plain sentences.
    """

    name: str
    root: Path
    media: tuple[PhotoCollection | Video, ...]
    digest: Callable[[], str]
    poses: dict[str, tuple[CopyTo, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def probe(capture: str | Path, ignore: Path) -> Found:
    """The videos and photos that a path stands for.

    Args:
        capture: a video, or a folder or zip of photos, of videos, or of both.
        ignore: a folder to pass over, should it lie inside the capture: the workspace.

    Raises CaptureNotFoundError, CaptureUnreadableError, CaptureUnsafeError, CaptureUnusableError.
    """
    path = Path(capture).expanduser()
    if not str(capture).strip():
        raise CaptureNotFoundError("the capture's path is empty", hint=_KINDS)
    try:
        if not path.exists():
            raise CaptureNotFoundError(
                f"there is no capture at {path}",
                why=_missing_part(path),
                hint=f"check the spelling; {_KINDS}",
            )
        return _probe_folder(path, ignore) if path.is_dir() else _probe_file(path)
    except OSError as error:
        raise CaptureUnreadableError(
            f"{path} cannot be read", why=error.strerror or str(error), hint="check the path and its permissions"
        ) from error


def _missing_part(path: Path) -> str:
    parent = next((p for p in path.absolute().parents if p.exists()), None)
    return f"the last folder on the way that exists is {parent}" if parent is not None else ""


def _probe_folder(path: Path, ignore: Path) -> Found:
    files = {file.relative_to(path).as_posix(): file for file in files_below(path, ignore)}
    chosen = media_among(files)
    photos = FolderPhotos(path, chosen) if chosen.pictures else None
    poses = {
        target: (partial(_copy, files[name]), files[name].stat().st_size) for target, name in pose_names(files).items()
    }
    true, notes = _true_videos(chosen.videos, lambda name: _head(files[name]), lenient=photos is not None)
    videos = [Video(name, files[name]) for name in true]
    if photos is None and not videos:
        raise CaptureUnreadableError(
            f"the folder {path} holds no pictures",
            why=f"it holds {suffix_counts(files)}" if files else "it is empty",
            hint="pictures are read as JPEG, PNG, WebP, HEIC, TIFF or BMP; export raw photos to one of these",
        )
    if photos is not None and not videos:
        return Found(photos.name, path.absolute(), (photos,), photos.digest, poses, notes)
    if photos is None and len(videos) == 1:
        (file,) = (files[video.name] for video in videos)
        return Found(file.name, file.absolute(), (Video(file.name, file),), partial(file_digest, file), poses, notes)

    def digest() -> str:
        of_videos = [[video.name, file_digest(files[video.name])] for video in videos]
        return digest_of([photos.digest() if photos is not None else None, of_videos])

    media = (*([photos] if photos is not None else []), *videos)
    return Found(path.resolve().name, path.absolute(), media, digest, poses, notes)


def _true_videos(
    names: Iterable[str], head_of: Callable[[str], bytes], lenient: bool
) -> tuple[list[str], tuple[str, ...]]:
    """Those that are videos by their content, and notes on the others; the first of these is an error where nothing
    else is there, and ``lenient`` is off."""
    videos, errors = [], []
    for name in names:
        try:
            _require_video(PurePosixPath(name).name, head_of(name))
            videos.append(name)
        except CaptureUnreadableError as error:
            errors.append(error)
    if errors and not videos and not lenient:
        raise errors[0]
    return videos, tuple(f"{error.what} and was left out: {error.why}." for error in errors)


def _probe_file(path: Path) -> Found:
    head = _head(path)
    if path.suffix.lower() == ".zip" or head.startswith(b"PK"):
        return _probe_zip(path)
    if path.suffix.lower() in PICTURE_SUFFIXES:
        raise CaptureUnusableError(
            f"{path.name} is one picture",
            why="a reconstruction needs many pictures of the same scene from different places",
            hint=f"pass the folder that holds them: {path.parent}",
        )
    _require_video(path.name, head)
    return Found(path.name, path.absolute(), (Video(path.name, path),), partial(file_digest, path))


def _probe_zip(path: Path) -> Found:
    archive = Archive(path)
    chosen = media_among(archive.names)
    poses = pose_names(archive.names)
    archive.refuse_unreadable([*chosen.pictures, *chosen.videos, *poses.values()])
    if not chosen.pictures and not chosen.videos:
        raise CaptureUnreadableError(
            f"{path.name} holds no pictures",
            why=f"it holds {suffix_counts(archive.names)}" if archive.names else "it is empty",
            hint="pictures are read as JPEG, PNG, WebP, HEIC, TIFF or BMP, videos as mp4 or mov",
        )
    true, notes = _true_videos(chosen.videos, archive.head, lenient=bool(chosen.pictures))
    media: list[PhotoCollection | Video] = [ZipPhotos(archive, chosen)] if chosen.pictures else []
    media += [Video(name, archive=archive, member=name) for name in true]
    copies = {target: (partial(archive.unpack, member), archive.size_bytes(member)) for target, member in poses.items()}
    return Found(path.name, path.absolute(), tuple(media), archive.digest, copies, notes)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)


def _require_video(name: str, head: bytes) -> None:
    """By content, not by name: FFmpeg would also open text as a picture of that text, or as a list of addresses."""
    if not head:
        raise CaptureUnreadableError(
            f"{name} is empty", why="it has 0 bytes", hint="copy or download the capture again"
        )
    if _is_video(head):
        return
    content = "text" if _is_text(head) else "data of an unknown kind"
    named = "is named like a video but " if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES else ""
    raise CaptureUnreadableError(f"{name} {named}is not a video or a zip", why=f"it holds {content}", hint=_KINDS)


def _is_video(head: bytes) -> bool:
    return (
        head[4:8] in _MP4_BOXES
        or head.startswith((b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x30\x26\xb2\x75", b"FLV"))
        or (head.startswith(b"RIFF") and head[8:12] == b"AVI ")
        or (head[:1] == b"\x47" and head[188:189] == b"\x47")
        or (head[4:5] == b"\x47" and head[196:197] == b"\x47")
    )


def _is_text(head: bytes) -> bool:
    return b"\x00" not in head and sum(byte < 0x20 and byte not in b"\t\n\r\f" for byte in head) == 0
