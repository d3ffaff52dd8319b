"""One Gaussian on sliders: each number does in the picture what its name says."""

from __future__ import annotations

from typing import Any

import IPython.display
import numpy as np
import pytest

from splatlib.widgets import one_gaussian
from splatlib.widgets.one_gaussian import OneGaussian


def pixels(**changed: Any) -> np.ndarray:
    return np.asarray(OneGaussian(**changed).picture(200)).astype(float)


def spread_px(picture: np.ndarray) -> tuple[float, float]:
    """Standard deviations across and down, of what is lit."""
    light = picture.sum(axis=2)
    down, across = (np.average((np.arange(200) - 99.5) ** 2, weights=light.sum(axis=axis)) ** 0.5 for axis in (1, 0))
    return float(across), float(down)


def test_lengths_are_standard_deviations_seen_through_the_lens() -> None:
    across, down = spread_px(pixels(lengths=(0.4, 0.2, 0.2), turned_deg=(0, 0, 0), opacity=0.5))
    assert across == pytest.approx(1.1 * 200 * 0.4 / 5, rel=0.08)
    assert down == pytest.approx(1.1 * 200 * 0.2 / 5, rel=0.08)


def test_turning_it_and_walking_round_it() -> None:
    lying = spread_px(pixels(lengths=(0.6, 0.15, 0.3), turned_deg=(0, 0, 0)))
    standing = spread_px(pixels(lengths=(0.6, 0.15, 0.3), turned_deg=(0, 0, 90)))
    assert standing == pytest.approx(lying[::-1], rel=0.02)
    beside = spread_px(pixels(lengths=(0.6, 0.15, 0.3), turned_deg=(0, 0, 0), seen_from_deg=90))
    assert beside[0] == pytest.approx(lying[0] / 2, rel=0.1) and beside[1] == pytest.approx(lying[1], rel=0.1)


def test_opacity_and_colours_from_both_sides() -> None:
    red, blue = (0.9, 0.2, 0.1), (0.1, 0.2, 0.9)
    for angle, color in ((0, red), (180, blue)):
        middle = pixels(color=red, color_behind=blue, opacity=0.8, seen_from_deg=angle)[100, 100] / 255
        np.testing.assert_allclose(middle, 0.8 * np.array(color), atol=0.02)


def test_the_sliders_hold_what_they_are_given_and_draw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLATLIB_PROGRESS", "auto")
    start = OneGaussian(lengths=(0.5, 0.3, 0.1), turned_deg=(10, 20, 30), opacity=0.6, seen_from_deg=45)
    sliders = one_gaussian._sliders(start)
    again = one_gaussian._from_values({name: slider.value for name, slider in sliders.items()})
    assert again.lengths == start.lengths and again.turned_deg == start.turned_deg and again.opacity == start.opacity
    np.testing.assert_allclose(again.color, start.color, atol=1 / 255)

    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append(bundle))
    monkeypatch.setattr(one_gaussian, "_sliders", lambda start: sliders)
    one_gaussian.play(start)
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= shown[0].keys()


def test_a_batch_run_shows_pictures_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLATLIB_PROGRESS", "text")
    picture = one_gaussian.play()
    assert picture.width > 700 and picture.height > 480
