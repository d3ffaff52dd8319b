"""What kind of capture a path is. Every wrong one gets its own plain sentence."""

from __future__ import annotations

from pathlib import Path

from splatlib.capture.archive import ZipPhotos
from splatlib.capture.listing import (
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    FolderPhotos,
    PhotoCollection,
    files_below,
    suffix_counts,
)
from splatlib.errors import CaptureNotFoundError, CaptureUnreadableError, CaptureUnusableError

_KINDS = "a capture is a video (mp4, mov), a folder of photos, or a zip of photos"
# Boxes an ISO base media file (mp4, mov) can begin with.
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def probe(capture: str | Path, ignore: Path) -> Path | PhotoCollection:
    """The video file, or the photos, that a path stands for.

    Args:
        capture: video file, folder of photos, zip of photos, or a folder that holds one video and no pictures.
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


def _probe_folder(path: Path, ignore: Path) -> Path | PhotoCollection:
    files = files_below(path, ignore)
    photos = FolderPhotos(path, files)
    if photos.names:
        return photos
    videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    if len(videos) == 1:
        return _probe_file(videos[0])
    if videos:
        raise CaptureUnusableError(
            f"the folder {path} holds {len(videos)} videos and no pictures",
            why="frames of different videos have no common order in time",
            hint=f"pass one of them, for instance {videos[0]}",
        )
    raise CaptureUnreadableError(
        f"the folder {path} holds no pictures",
        why=f"it holds {suffix_counts(file.name for file in files)}" if files else "it is empty",
        hint="pictures are read as JPEG, PNG, WebP, HEIC, TIFF or BMP; export raw photos to one of these",
    )


def _probe_file(path: Path) -> Path | PhotoCollection:
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise CaptureUnreadableError(
            f"{path.name} is empty", why="it has 0 bytes", hint="copy or download the capture again"
        )
    if path.suffix.lower() == ".zip" or head.startswith(b"PK"):
        return ZipPhotos(path)
    if path.suffix.lower() in PICTURE_SUFFIXES:
        raise CaptureUnusableError(
            f"{path.name} is one picture",
            why="a reconstruction needs many pictures of the same scene from different places",
            hint=f"pass the folder that holds them: {path.parent}",
        )
    if _is_video(head):
        return path
    content = "text" if _is_text(head) else "data of an unknown kind"
    named = "is named like a video but " if path.suffix.lower() in VIDEO_SUFFIXES else ""
    raise CaptureUnreadableError(f"{path.name} {named}is not a video or a zip", why=f"it holds {content}", hint=_KINDS)


def _is_video(head: bytes) -> bool:
    """By content, not by name: FFmpeg would also open text as a picture of that text, or as a list of addresses."""
    return (
        head[4:8] in _MP4_BOXES
        or head.startswith((b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x30\x26\xb2\x75", b"FLV"))
        or (head.startswith(b"RIFF") and head[8:12] == b"AVI ")
        or (head[:1] == b"\x47" and head[188:189] == b"\x47")
        or (head[4:5] == b"\x47" and head[196:197] == b"\x47")
    )


def _is_text(head: bytes) -> bool:
    return b"\x00" not in head and sum(byte < 0x20 and byte not in b"\t\n\r\f" for byte in head) == 0
