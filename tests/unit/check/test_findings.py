"""What is said about a capture, from frames and links written by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splatlib.artifacts import CheckedFrame, Finding, FrameLink
from splatlib.artifacts.check import unlinked_steps
from splatlib.check.bridges import weak_links
from splatlib.check.findings import findings_of
from splatlib.check.growth import Growth
from splatlib.check.reasons import closes, reasons_of, verdict_of

GOOD = CheckedFrame("", "", "places", 90, 500, 0.5, 120.0, 0.01, 0.0, 0.8)


def frames(outlooks: str) -> tuple[CheckedFrame, ...]:
    """``p``laces, ``d``oubtful, ``l``ost."""
    words = {"p": "places", "d": "doubtful", "l": "lost"}
    return tuple(
        replace(GOOD, name=f"{i:06d}.jpg", label=f"{i}.jpg", outlook=words[letter]) for i, letter in enumerate(outlooks)
    )


def chain(first: int, last: int, motion: str = "moved") -> list[FrameLink]:
    """Each frame linked with its next two."""
    return [
        FrameLink(i, j, 100, motion) for i in range(first, last + 1) for j in (i + 1, i + 2) if j <= last
    ]  # fmt: skip


def told(checked: tuple[CheckedFrame, ...], links: list[FrameLink], in_order: bool = True) -> tuple[Finding, ...]:
    sure = [index for index, frame in enumerate(checked) if frame.outlook == "places"]
    growth = Growth(sure, [], [], np.zeros(len(checked), np.intp))
    return findings_of(reasons_of(checked, links, growth), links, growth, in_order)


def test_verdicts() -> None:
    assert verdict_of(frames("p" * 20)) == "good"
    assert verdict_of(frames("p" * 19 + "l")) == "good"
    assert verdict_of(frames("p" * 9 + "d")) == "weak"
    assert verdict_of(frames("p" * 4 + "l" * 6)) == "bad"
    assert verdict_of(frames("p" * 4 + "d" * 6)) == "weak"
    assert verdict_of(frames("d" * 10)) == "bad"


def test_a_jump_is_named_with_both_its_frames_and_how_to_film_it() -> None:
    links = [*chain(0, 9), *chain(10, 19)]
    assert unlinked_steps(links, 20) == [9]
    finding = told(frames("p" * 10 + "l" * 10), links)[0]
    assert finding.severity == "reshoot"
    assert finding.title.startswith("10 frames, 10.jpg to 19.jpg, will not connect")
    assert "Between 9.jpg and 10.jpg the camera jumped: film again from there, slowly" in finding.advice
    assert {9, 10, 19} <= set(finding.frames)


def test_a_jump_between_frames_that_connect_another_way_is_only_weak() -> None:
    links = [*chain(0, 9), *chain(10, 19), FrameLink(0, 19, 80, "moved"), FrameLink(1, 18, 80, "moved")]
    finding = told(frames("p" * 20), links)[0]
    assert (finding.severity, finding.frames) == ("weak", (9, 10))
    assert "what lies between was not filmed" in finding.advice


def test_a_blurred_stretch_says_so() -> None:
    checked = tuple(
        replace(f, sharpness=0.1) if 8 <= i <= 10 else f for i, f in enumerate(frames("p" * 8 + "lll" + "p" * 9))
    )
    finding = told(checked, [*chain(0, 7), *chain(11, 19)])[0]
    assert finding.title.startswith("3 frames, 8.jpg to 10.jpg, will not connect with the rest: blurred")
    assert "slower and with more light" in finding.advice


def test_a_turn_on_the_spot_says_so() -> None:
    links = [*chain(0, 9), *chain(9, 19, "turned")]
    finding = told(frames("p" * 10 + "l" * 10), links)[0]
    assert "the camera only turned" in finding.title and "step sideways" in finding.advice
    everything = told(frames("l" * 20), chain(0, 19, "turned"))
    assert everything[0].title == "The camera only turned on the spot."


def test_one_frame_that_holds_two_parts_together_is_named() -> None:
    links = [*chain(0, 9), *chain(9, 19)]
    assert [(weak.frame, weak.num_beyond) for weak in weak_links(range(20), links)] == [(9, 9)]
    assert any(f.title == "9.jpg alone holds 9 frames to the other 10." for f in told(frames("p" * 20), links))
    assert weak_links(range(20), chain(0, 19)) == []


def test_a_path_that_closes() -> None:
    assert not closes(chain(0, 19), 20)
    assert closes([*chain(0, 19), FrameLink(0, 19, 20, "moved")], 20)


def test_a_good_capture_needs_nothing() -> None:
    assert told(frames("p" * 20), [*chain(0, 19), FrameLink(0, 19, 20, "moved")]) == ()


def test_photos_in_no_order_are_told_without_one() -> None:
    finding = told(frames("p" * 18 + "dd"), chain(0, 17), in_order=False)[0]
    assert finding.title.startswith("2 frames, 18.jpg, 19.jpg, may not connect")
    assert finding.advice.startswith("Take pictures in between")


def test_exposure_that_wanders_is_noted() -> None:
    checked = tuple(replace(f, exposure_ev=i / 10) for i, f in enumerate(frames("p" * 20)))
    assert any("by 1.7 stops" in finding.title for finding in told(checked, chain(0, 19)))
