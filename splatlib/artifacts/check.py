"""What the capture check found, before anything expensive is done with the frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from splatlib.artifacts.base import Artifact, tuples

_CROSSING = 2  # frames on either side of a step that may still be linked over it


@dataclass(frozen=True)
class CheckedFrame:
    """One frame, or one panorama with all its faces.

    Attributes:
        name: of the frame; of a panorama its first face.
        label: by which a person knows it: the photo's file name, the time in the video; of several sources, after the
            source's name.
        outlook: ``places``, ``doubtful`` or ``lost``: what solve_cameras is expected to do with it.
        known_points: points it shares with what is placed before it, at the size of the check.
        features: SIFT features found, at the size of the check.
        sharpness: as in the frame; None where there is too little texture to tell.
        brightness: mean grey value, 0 to 255.
        white_share: share of pixels that are burnt out.
        exposure_ev: brightness of the same points against the capture's mean, in stops; None where unknown.
        covered: share of the picture near a point that at least three frames see.
        reasons: why it is not expected to place, in a few words each.
    """

    name: str
    label: str
    outlook: str
    known_points: int
    features: int
    sharpness: float | None
    brightness: float
    white_share: float
    exposure_ev: float | None
    covered: float
    reasons: tuple[str, ...] = ()

    @property
    def short_label(self) -> str:
        """Without the folders: under a small picture."""
        return self.label.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class FrameLink:
    """Two frames that share points.

    Attributes:
        one, other: indices into ``CaptureCheck.frames``, the smaller first.
        matches: that obey one epipolar geometry.
        motion: ``moved``, ``flat`` (moved, before a plane), ``turned`` (on the spot), ``still`` (too little to tell).
    """

    one: int
    other: int
    matches: int
    motion: str


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        severity: ``reshoot`` (part of the capture will be missing), ``weak`` (it may be) or ``note``.
        title: what is wrong, a sentence.
        advice: what to do about it, a sentence or two; empty if nothing.
        frames: indices of the frames to look at.
    """

    severity: str
    title: str
    advice: str
    frames: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CaptureCheck(Artifact):
    """How good a capture is for structure from motion, and what to film again.

    Attributes:
        capture: its name.
        verdict: ``good``, ``weak`` (some frames are in doubt) or ``bad`` (fewer than half are expected to place).
        frames: in the capture's order; one a panorama.
        links: which frames share points.
        findings: the worst first.
        in_order: whether neighbours were taken one after the other.
        closes: whether the last tenth of the path sees what the first saw; None where there is no order.
    """

    stage: ClassVar[str] = "check"

    capture: str
    verdict: str
    frames: tuple[CheckedFrame, ...]
    links: tuple[FrameLink, ...]
    findings: tuple[Finding, ...]
    in_order: bool
    closes: bool | None

    def __len__(self) -> int:
        return len(self.frames)

    def with_outlook(self, outlook: str) -> list[int]:
        """Indices of the frames with an outlook."""
        return [index for index, frame in enumerate(self.frames) if frame.outlook == outlook]

    @classmethod
    def from_data(cls, data: Mapping[str, Any], **own: Any) -> Self:
        frames = tuple(CheckedFrame(**tuples(frame)) for frame in data["frames"])
        links = tuple(FrameLink(**link) for link in data["links"])
        findings = tuple(Finding(**tuples(finding)) for finding in data["findings"])
        return cls(**{**data, "frames": frames, "links": links, "findings": findings}, **own)


def unlinked_steps(links: Sequence[FrameLink], num_frames: int) -> list[int]:
    """Frames after which the camera jumped: no link leads over the step, not even from the next but one."""
    crossed = [False] * max(0, num_frames - 1)
    for link in links:
        for step in range(max(link.one, link.other - 1 - _CROSSING), min(link.other, link.one + 1 + _CROSSING)):
            crossed[step] = True
    return [step for step, is_crossed in enumerate(crossed) if not is_crossed]
