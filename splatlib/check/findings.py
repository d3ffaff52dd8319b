"""What is wrong with a capture and what to film again, in plain words."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence

from splatlib.artifacts import CheckedFrame, Finding, FrameLink
from splatlib.artifacts.check import unlinked_steps
from splatlib.check.bridges import weak_links
from splatlib.check.features import FEW_FEATURES
from splatlib.check.growth import Growth
from splatlib.check.reasons import DARK, WHITE_SHARE, closes, is_blurred

# Between the darkest and the brightest twentieth of the frames.
_EXPOSURE_RANGE_EV = 1.0
_SHORT_TURN = 4
_MOST_NAMED_BRIDGES = 3
_THIN_COVER = 0.3
_MANY = 0.2

_SLOWLY = "slowly, so that each picture shares two thirds of its view with the one before"
_STEP = "step sideways while you turn; depth needs movement"

_ADVICE_ON = {
    "blurred": "Film this part again, slower and with more light: what is smeared cannot be matched.",
    "dark": "Film this part again with more light.",
    "white": "Film this part again with the exposure locked on the subject.",
    "turned": f"Film this part again and {_STEP}.",
    "texture": "Put something with a pattern into view (newspaper, a patterned cloth), or show more of the room.",
}


def findings_of(
    frames: Sequence[CheckedFrame], links: Sequence[FrameLink], growth: Growth, in_order: bool
) -> tuple[Finding, ...]:
    """The worst first."""
    gaps = unlinked_steps(links, len(frames)) if in_order else []
    found = [
        *_turning_only(links, len(frames)),
        *_missing(frames, growth, gaps, in_order),
        *_gaps(frames, gaps),
        *_bridges(frames, links),
        *_turns(frames, links, in_order),
        *_pictures(frames),
        *_path(frames, links, in_order),
    ]
    order = {"reshoot": 0, "weak": 1, "note": 2}
    return tuple(sorted(found, key=lambda finding: order[finding.severity]))


def _turning_only(links: Sequence[FrameLink], num_frames: int) -> list[Finding]:
    motions = [link.motion for link in links if link.motion != "still"]
    if not motions or motions.count("turned") < 0.9 * len(motions):
        return []
    return [
        Finding(
            "reshoot",
            "The camera only turned on the spot.",
            "Film again and walk: around the subject, or sideways past it. Depth needs movement.",
            _spread(range(num_frames)),
        )
    ]


def _missing(frames: Sequence[CheckedFrame], growth: Growth, gaps: list[int], in_order: bool) -> list[Finding]:
    """What will not place, or may not, stretch by stretch."""
    absent = [index for index, frame in enumerate(frames) if frame.outlook != "places"]
    found = []
    for run in _runs(absent) if in_order else _by_part(absent, growth):
        first, last = run[0], run[-1]
        is_lost = any(frames[index].outlook == "lost" for index in run)
        jumps = [step for step in gaps if step in (first - 1, last)]
        count = (
            f"{len(run)} frames, {_span(frames, run, in_order)}," if len(run) > 1 else f"Frame {_name(frames, run[0])}"
        )
        verb = "will" if is_lost else "may"
        reason = _main_reason(frames, run)
        title = f"{count} {verb} not connect with the rest: {reason}."
        shown = _spread(run, 4)
        if in_order:
            around = [first - 1, *shown, last + 1]
            shown = tuple(dict.fromkeys(i for i in around if 0 <= i < len(frames)))
        found.append(
            Finding("reshoot" if is_lost else "weak", title, _advice(frames, run, reason, jumps, in_order), shown)
        )
    return found


def _main_reason(frames: Sequence[CheckedFrame], run: Sequence[int]) -> str:
    """Up to two that most frames of the stretch have."""
    counts: dict[str, int] = {}
    for index in run:
        for reason in frames[index].reasons:
            counts[reason] = counts.get(reason, 0) + 1
    usual = [reason for reason, count in counts.items() if 2 * count >= len(run)]
    return ", ".join(usual[:2]) or "shares too few points"


def _advice(frames: Sequence[CheckedFrame], run: Sequence[int], reason: str, jumps: list[int], in_order: bool) -> str:
    for word, advice in _ADVICE_ON.items():
        if word in reason:
            return advice
    if jumps:
        return " ".join(_gap_advice(frames, step) for step in jumps)
    if in_order:
        start, end = max(0, run[0] - 1), min(len(frames) - 1, run[-1] + 1)
        return f"Film again from {_name(frames, start)} to {_name(frames, end)}, {_SLOWLY}."
    return "Take pictures in between, from here step by step to where the others were taken."


def _gap_advice(frames: Sequence[CheckedFrame], step: int) -> str:
    before, after = _name(frames, step), _name(frames, step + 1)
    return f"Between {before} and {after} the camera jumped: film again from there, {_SLOWLY}."


def _gaps(frames: Sequence[CheckedFrame], gaps: list[int]) -> list[Finding]:
    """Jumps between frames that both find their place, by another way round."""
    return [
        Finding(
            "weak",
            f"The camera jumped between {_name(frames, step)} and {_name(frames, step + 1)}.",
            f"Both sides connect another way, but what lies between was not filmed. Film it, {_SLOWLY}.",
            (step, step + 1),
        )
        for step in gaps
        if frames[step].outlook == frames[step + 1].outlook == "places"
    ]


def _bridges(frames: Sequence[CheckedFrame], links: Sequence[FrameLink]) -> list[Finding]:
    safe = {index for index, frame in enumerate(frames) if frame.outlook == "places"}
    found = []
    for weak in weak_links(safe, links)[:_MOST_NAMED_BRIDGES]:
        name = _name(frames, weak.frame)
        found.append(
            Finding(
                "weak",
                f"{name} alone holds {weak.num_beyond} frames to the other {len(safe) - 1 - weak.num_beyond}.",
                f"If it is misplaced, the capture falls apart there. A few more pictures around {name} make it safe.",
                tuple(i for i in (weak.frame - 1, weak.frame, weak.frame + 1) if 0 <= i < len(frames)),
            )
        )
    return found


def _turns(frames: Sequence[CheckedFrame], links: Sequence[FrameLink], in_order: bool) -> list[Finding]:
    """Stretches in which the camera only turned though the frames find their place."""
    if not in_order:
        return []
    motions: dict[int, set[str]] = {}
    for link in links:
        if link.motion != "still" and link.other - link.one <= 5:
            motions.setdefault(link.one, set()).add(link.motion)
    turning = [i for i, seen in sorted(motions.items()) if seen == {"turned"} and frames[i].outlook == "places"]
    return [
        Finding(
            "note",
            f"The camera only turned on the spot, {_span(frames, run, True)}.",
            f"Next time {_STEP}; what comes into view only there stays without depth.",
            _spread(run, 3),
        )
        for run in _runs(turning)
        if len(run) > _SHORT_TURN
    ]


def _pictures(frames: Sequence[CheckedFrame]) -> list[Finding]:
    """What is wrong with many pictures at once."""
    found = []
    scores = [frame.sharpness for frame in frames if frame.sharpness is not None]
    usual = statistics.median(scores) if scores else 0.0
    blurred = [i for i, frame in enumerate(frames) if is_blurred(frame, usual)]
    if len(blurred) > _MANY * len(frames):
        found.append(
            Finding(
                "weak",
                f"{len(blurred)} of {len(frames)} frames are blurred.",
                "The splat will be soft there. Move more slowly, add light, or clean the lens.",
                _spread(blurred, 4),
            )
        )
    found += _share(frames, lambda f: f.brightness < DARK, "very dark", "Add light: noise hides the features.")
    found += _share(
        frames,
        lambda f: f.white_share > WHITE_SHARE,
        "largely pure white",
        "Nothing can be matched there. Lower the exposure, or choose another background.",
    )
    found += _share(
        frames,
        lambda f: f.features < FEW_FEATURES,
        "short of texture",
        "Cameras hold on to corners and patterns: put some into the scene.",
    )
    known = sorted((frame.exposure_ev, i) for i, frame in enumerate(frames) if frame.exposure_ev is not None)
    tail = len(known) // 20
    if known and (range_ev := known[-1 - tail][0] - known[tail][0]) > _EXPOSURE_RANGE_EV:
        found.append(
            Finding(
                "note",
                f"The same points get brighter and darker by {range_ev:.1f} stops over the capture.",
                "Lock the exposure, or train with train.appearance=affine, which evens it out.",
                (known[tail][1], known[-1 - tail][1]),
            )
        )
    return found


def _share(
    frames: Sequence[CheckedFrame], is_so: Callable[[CheckedFrame], bool], what: str, advice: str
) -> list[Finding]:
    affected = [index for index, frame in enumerate(frames) if is_so(frame)]
    if len(affected) <= _MANY * len(frames):
        return []
    return [Finding("weak", f"{len(affected)} of {len(frames)} frames are {what}.", advice, _spread(affected, 4))]


def _path(frames: Sequence[CheckedFrame], links: Sequence[FrameLink], in_order: bool) -> list[Finding]:
    found = []
    if in_order and not closes(links, len(frames)):
        found.append(
            Finding(
                "note",
                "The path does not return to where it began.",
                "Round an object, go on until the first view comes again: then errors cannot add up along the way.",
                (0, len(frames) - 1),
            )
        )
    covered = statistics.fmean(frame.covered for frame in frames)
    if covered < _THIN_COVER:
        least = sorted(range(len(frames)), key=lambda index: frames[index].covered)
        found.append(
            Finding(
                "weak",
                f"Only {covered:.0%} of what the pictures show lies near points that three frames agree on.",
                "Plain, shiny or moving things give none. Take more pictures of the same parts, nearer to one another.",
                tuple(least[:4]),
            )
        )
    return found


def _by_part(absent: Sequence[int], growth: Growth) -> list[list[int]]:
    """Without order: the parts that hold together, then all the rest."""
    parts = [[index for index in part if index in set(absent)] for part in growth.elsewhere]
    rest = sorted(set(absent) - {index for part in parts for index in part})
    return [sorted(part) for part in parts if part] + ([rest] if rest else [])


def _runs(indices: Iterable[int]) -> list[list[int]]:
    """Stretches of consecutive numbers."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def _spread(indices: Sequence[int], most: int = 3) -> tuple[int, ...]:
    """Some of them, first and last among them."""
    if len(indices) <= most:
        return tuple(indices)
    return tuple(indices[round(i * (len(indices) - 1) / (most - 1))] for i in range(most))


def _name(frames: Sequence[CheckedFrame], index: int) -> str:
    return frames[index].label


def _span(frames: Sequence[CheckedFrame], run: Sequence[int], in_order: bool) -> str:
    if len(run) == 1:
        return _name(frames, run[0])
    if in_order:
        return f"{_name(frames, run[0])} to {_name(frames, run[-1])}"
    named = ", ".join(_name(frames, index) for index in run[:3])
    return named + (", …" if len(run) > 3 else "")
