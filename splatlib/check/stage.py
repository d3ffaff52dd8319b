"""``check_capture``: frames in, a forecast and what to film again out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from splatlib.artifacts import CaptureCheck, CheckedFrame, Frame, FrameLink, FrameSet, MaskSet
from splatlib.artifacts.check import unlinked_steps
from splatlib.check.coverage import covered_shares, exposures_ev
from splatlib.check.features import Picture, look_at_frames
from splatlib.check.findings import findings_of
from splatlib.check.growth import Growth, grow, tracks_of
from splatlib.check.links import Match, match_pictures, pairs_of
from splatlib.check.reasons import closes, reasons_of, verdict_of
from splatlib.config import Config
from splatlib.matching.order import moments, taken_in_order
from splatlib.progress import logger
from splatlib.workspace import Workspace

# Photos of which one in ten shares nothing with the next were not taken along a path.
_MOST_GAPS = 0.1


def check_capture(frames: FrameSet, ws: Workspace | None = None, masks: MaskSet | None = None) -> CaptureCheck:
    """Predict which frames solve_cameras will place, and say in plain words what to film again.

    SIFT features of small copies (400 px) are matched between neighbours and look-alikes; each pair is verified and
    tells whether the camera moved (``splatlib.check.links``). Then incremental structure from motion is played
    through with the counts of shared points (``splatlib.check.growth``). The faces of a panorama are matched each and
    count together. It takes about 0.15 CPU-seconds a frame.

    Args:
        frames: what to check.
        ws: where the result is kept and reused; by default the workspace that the frames lie in.
        masks: only features where these are not 0 count, as in solve_cameras; by default the frames' alpha.

    Raises:
        ArtifactError: a picture or mask is missing or damaged.
        WorkspaceError: the workspace is full, busy, or cannot be written.
    """
    ws = Workspace(frames.directory.parent) if ws is None else ws
    inputs = {"frames": frames.digest} | ({"masks": masks.digest} if masks is not None else {})
    stage = ws.stage(CaptureCheck, Config(), inputs)
    if (check := stage.reuse()) is not None:
        return check
    with stage.work() as directory:
        taken = moments(frames)
        in_order = taken_in_order(frames)
        pictures = look_at_frames(frames, masks)
        matches = match_pictures(pictures, pairs_of(pictures, taken, in_order))
        tracks = tracks_of(pictures, matches, taken)
        growth = grow(tracks, matches, taken)
        links = _links(matches, taken)
        if not all(
            frame.is_of_video for frame in frames.frames
        ):  # numbered photos may still have been taken here and there
            in_order = in_order and _jumps(links, len(taken)) <= _MOST_GAPS * len(taken)
        covered = covered_shares(pictures, tracks)
        moment_of = {index: number for number, moment in enumerate(taken) for index in moment}
        exposures = exposures_ev(matches, moment_of, len(taken))
        outlooks = _outlooks(growth, links, len(taken))
        checked = tuple(
            CheckedFrame(
                name=frames.frames[moment[0]].name,
                label=_label(frames.frames[moment[0]]),
                outlook=outlooks[number],
                known_points=int(growth.points[number]),
                features=sum(len(pictures[index]) for index in moment),
                sharpness=_sharpness(frames, moment),
                brightness=_mean(pictures, moment, "brightness"),
                white_share=_mean(pictures, moment, "white_share"),
                exposure_ev=exposures[number],
                covered=float(np.mean(covered[moment])),
            )
            for number, moment in enumerate(taken)
        )
        checked = reasons_of(checked, links, growth)
        check = CaptureCheck(
            directory=directory,
            capture=frames.capture,
            verdict=verdict_of(checked),
            frames=checked,
            links=links,
            findings=findings_of(checked, links, growth, in_order),
            in_order=in_order,
            closes=closes(links, len(checked)) if in_order else None,
        )
        for finding in check.findings:
            if finding.severity != "note":
                logger.warning("check: %s %s", finding.title, finding.advice)
        count = {outlook: len(check.with_outlook(outlook)) for outlook in ("places", "doubtful", "lost")}
        logger.info(
            "check: %s; of %d frames %d should find their place, %d are in doubt, %d will not",
            check.verdict,
            len(check),
            *count.values(),
        )
        return stage.finish(check)


def _outlooks(growth: Growth, links: Sequence[FrameLink], num_moments: int) -> list[str]:
    """``places``; ``doubtful``: too few points here, but linked to what places; ``lost``: not even that."""
    linked = set(growth.sure) | set(growth.unsure)
    neighbours: dict[int, list[int]] = {}
    for link in links:
        if link.motion in ("moved", "flat"):
            neighbours.setdefault(link.one, []).append(link.other)
            neighbours.setdefault(link.other, []).append(link.one)
    waiting = list(linked)
    while waiting:
        for other in neighbours.get(waiting.pop(), ()):
            if other not in linked:
                linked.add(other)
                waiting.append(other)
    sure = set(growth.sure)
    return ["places" if i in sure else "doubtful" if i in linked else "lost" for i in range(num_moments)]


def _links(matches: Sequence[Match], taken: Sequence[Sequence[int]]) -> tuple[FrameLink, ...]:
    """Between moments: the matches of their pictures together, the motion of the pair with most."""
    moment_of = {index: number for number, moment in enumerate(taken) for index in moment}
    between: dict[tuple[int, int], list[Match]] = {}
    for match in matches:
        a, b = sorted((moment_of[match.one], moment_of[match.other]))
        between.setdefault((a, b), []).append(match)
    return tuple(
        FrameLink(a, b, sum(map(len, found)), max(found, key=len).motion) for (a, b), found in sorted(between.items())
    )


def _jumps(links: Sequence[FrameLink], num_moments: int) -> int:
    """Steps without a link between frames that have links elsewhere: a frame that nothing is linked with tells none."""
    linked = {end for link in links for end in (link.one, link.other)}
    return sum(step in linked and step + 1 in linked for step in unlinked_steps(links, num_moments))


def _label(frame: Frame) -> str:
    """Names of photos and times of videos repeat in other sources of a capture."""
    if frame.timestamp_s is None:
        return frame.source if frame.source_group else Path(frame.source).name
    return f"{frame.source_group}: {frame.timestamp_s:.1f} s" if frame.source_group else f"{frame.timestamp_s:.1f} s"


def _sharpness(frames: FrameSet, moment: Sequence[int]) -> float | None:
    known = [score for index in moment if (score := frames.frames[index].sharpness) is not None]
    return statistics.median(known) if known else None


def _mean(pictures: Sequence[Picture], moment: Sequence[int], name: str) -> float:
    return float(np.mean([getattr(pictures[index], name) for index in moment]))
