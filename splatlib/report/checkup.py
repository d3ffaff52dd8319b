"""The capture check as a page of its own, and as a section of the report."""

from __future__ import annotations

import shlex
from typing import Any

from splatlib._version import __version__
from splatlib.artifacts import CaptureCheck, FrameSet
from splatlib.report.templates import templates
from splatlib.widgets import checkup
from splatlib.widgets.display import frames_of
from splatlib.widgets.pictures import ACCENT, data_uri, jpeg_bytes, png_bytes, svg_bytes, thumbnail
from splatlib.workspace import Workspace

_TILE_PX = 280


def check_page(ws: Workspace, check: CaptureCheck) -> str:
    """The whole page. Raises ArtifactError where a picture that it shows is gone."""
    return (
        templates()
        .get_template("check.html")
        .render(
            title=check.capture,
            version=__version__,
            checkup=section_of(check, frames_of(check)),
            commands=_commands(ws, check),
        )
    )


def section_of(check: CaptureCheck, frames: FrameSet | None) -> dict[str, Any]:
    """What ``checkup.html`` shows."""
    return {
        "check": check,
        "headline": checkup.headline(check),
        "noun": "panoramas" if frames is not None and frames.faces else "frames",
        "legend": checkup.legend(check),
        "turns": any(link.motion == "turned" for link in check.links),
        "turn_color": "#{:02x}{:02x}{:02x}".format(*ACCENT),
        "findings": [
            {
                "severity": finding.severity,
                "title": finding.title,
                "advice": finding.advice,
                "tiles": [
                    {
                        "label": check.frames[index].short_label,
                        "is_after_jump": is_after_jump,
                        "picture": _jpeg(frames, check.frames[index].name),
                    }
                    for index, is_after_jump in checkup.frames_to_look_at(check, finding)
                ]
                if frames is not None
                else [],
            }
            for finding in check.findings
        ],
        "ring": data_uri("image/png", png_bytes(checkup.overlap_ring(check, frames))),
        "along": [
            data_uri("image/svg+xml", svg_bytes(checkup.along_the_capture(check, narrow=narrow)))
            for narrow in (False, True)
        ],
    }


def _jpeg(frames: FrameSet, name: str) -> str:
    return data_uri("image/jpeg", jpeg_bytes(thumbnail(frames.images_directory / name, _TILE_PX)))


def _commands(ws: Workspace, check: CaptureCheck) -> list[tuple[str, str]]:
    if check.verdict == "bad" or not ws.job_path.exists():
        return []
    return [("Reconstruct; frames and check are reused", f"splat resume {shlex.quote(str(ws.root.absolute()))}")]
