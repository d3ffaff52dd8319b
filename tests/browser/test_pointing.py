"""Mouse, fingers and keys move a camera as they should: what is drawn is what the rasteriser draws from there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from splatlib.render import render_image
from splatlib.widgets.page import write_splat_page
from splatlib.widgets.viewing import start_round_gaussians
from tests.browser.made import room
from tests.browser.pages import CANVAS, VIEW, Watched, alike, canvas_pixels, drawn, wait_for_change, wait_for_pixels

GAUSSIANS = room(4000, 1)
START = start_round_gaussians(GAUSSIANS)
TURN_PER_PX = 0.0065  # as in controls.ts
Pose = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def opened(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A splat's page from disk, on a screen that can be touched."""
    path = tmp_path_factory.mktemp("pointing") / "splat.html"
    write_splat_page(GAUSSIANS, path, height_px=440)
    context = chromium.new_context(viewport={"width": 900, "height": 500}, has_touch=True, offline=True)
    watched = Watched(context.new_page())
    watched.open_file(path)
    drawn(watched.page)
    yield watched
    context.close()
    assert watched.errors == [] and watched.requests == []


@pytest.fixture
def page(opened: Watched) -> Iterator[Any]:
    """As it was opened."""
    yield opened.page
    opened.page.locator(".viewport").focus()
    if opened.page.get_by_role("button", name="Fly").get_attribute("aria-pressed") == "true":
        opened.page.keyboard.press("f")
    opened.page.keyboard.press("r")
    wait_for_drawing(opened.page, START.cam_from_world)


def wait_for_drawing(page: Any, cam_from_world: Pose) -> None:
    """Until the view shows what is seen from there."""
    canvas = page.locator(CANVAS)
    drawn(page)
    box = canvas.bounding_box()
    camera = START.camera(round(box["width"]), round(box["height"]))
    expected = render_image(GAUSSIANS, camera, cam_from_world)
    wait_for_pixels(canvas, lambda now: alike(expected, now, 32))


def turned(angle: float) -> npt.NDArray[np.float64]:
    """[3, 3] the first camera's rotation, turned about the way up."""
    up = START.up
    cross = np.cross(np.eye(3), up)  # cross @ v = up × v
    by = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return START.cam_from_world[:3, :3] @ by.T


def pose(rotation: npt.NDArray[np.float64], center: npt.NDArray[np.float64]) -> Pose:
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3], cam_from_world[:3, 3] = rotation, -rotation @ center
    return cam_from_world


def first_center() -> npt.NDArray[np.float64]:
    return -START.cam_from_world[:3, :3].T @ START.cam_from_world[:3, 3]


def orbited(angle: float) -> Pose:
    """Round the target."""
    rotation = turned(angle)
    return pose(rotation, START.target - rotation[2] * np.linalg.norm(START.target - first_center()))


def drag(page: Any, by_x: float) -> None:
    box = page.locator(".viewport").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by_x, y, steps=5)
    page.mouse.up()


def touch(page: Any, *paths: list[tuple[float, float]]) -> None:
    """Fingers that go from point to point of the page, together."""
    session = page.context.new_cdp_session(page)

    def send(kind: str, at: int | None) -> None:
        points = [] if at is None else [{"x": path[at][0], "y": path[at][1], "id": n} for n, path in enumerate(paths)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", 0)
    for step in range(1, len(paths[0])):
        send("touchMove", step)
    send("touchEnd", None)
    session.detach()


def test_a_drag_turns_round_the_middle(page: Any) -> None:
    drag(page, 80)
    wait_for_drawing(page, orbited(-80 * TURN_PER_PX))


def test_one_finger_turns_as_a_mouse_does(page: Any) -> None:
    box = page.locator(".viewport").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch(page, [(x + 10 * step, y) for step in range(9)])
    wait_for_drawing(page, orbited(-80 * TURN_PER_PX))
    assert page.evaluate("() => window.scrollY") == 0


def test_two_fingers_come_nearer(page: Any) -> None:
    box = page.locator(".viewport").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    reach = np.linspace(60, 90, 31)
    touch(page, [(x - r, y) for r in reach], [(x + r, y) for r in reach])
    nearer = START.target + (first_center() - START.target) * reach[0] / reach[-1]
    wait_for_drawing(page, pose(START.cam_from_world[:3, :3], nearer))


def test_who_flies_turns_on_the_spot_and_walks_ahead(page: Any) -> None:
    page.locator(".viewport").focus()
    page.keyboard.press("f")
    assert page.get_by_role("button", name="Fly").get_attribute("aria-pressed") == "true"
    drag(page, -60)
    wait_for_drawing(page, pose(turned(-60 * TURN_PER_PX), first_center()))
    before = canvas_pixels(page.locator(CANVAS))
    page.keyboard.down("w")
    wait_for_change(page.locator(CANVAS), before, 22)
    page.keyboard.up("w")


def test_a_wheel_scrolls_the_page_until_the_view_was_clicked(page: Any) -> None:
    before = canvas_pixels(page.locator(CANVAS))
    page.evaluate("() => { document.activeElement?.blur(); document.body.style.paddingBottom = '900px' }")
    page.locator(VIEW).evaluate("view => view.getRootNode().activeElement?.blur()")
    box = page.locator(".viewport").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.wheel(0, 120)
    page.wait_for_function("() => window.scrollY > 50")
    page.evaluate("() => window.scrollTo(0, 0)")
    page.wait_for_function("() => window.scrollY === 0")
    assert alike(before, canvas_pixels(page.locator(CANVAS)), 40)
    page.mouse.click(box["x"] + 300, box["y"] + 200)
    page.mouse.wheel(0, -200)
    nearer = START.target + (first_center() - START.target) * np.exp(-0.3)
    wait_for_drawing(page, pose(START.cam_from_world[:3, :3], nearer))
    assert page.evaluate("() => window.scrollY") == 0


def test_plus_comes_nearer_and_arrows_turn(page: Any) -> None:
    page.locator(".viewport").focus()
    for key in ("+", "ArrowUp"):
        before = canvas_pixels(page.locator(CANVAS))
        page.keyboard.down(key)
        wait_for_change(page.locator(CANVAS), before, 25)
        page.keyboard.up(key)


def test_a_double_click_brings_what_is_there_into_the_middle(page: Any) -> None:
    """Of several places the one that looks least like the middle."""
    canvas = page.locator(CANVAS)
    before, box = canvas_pixels(canvas), canvas.bounding_box()
    middle = patch(before, 0, 0)
    right = max(range(-120, 121, 10), key=lambda x: float(np.abs(patch(before, x, 30) - middle).mean()))
    clicked = patch(before, right, 30)
    assert np.abs(clicked - middle).mean() > 30
    page.mouse.dblclick(box["x"] + box["width"] / 2 + right, box["y"] + box["height"] / 2 + 30)
    wait_for_pixels(canvas, lambda now: np.abs(clicked - patch(now, 0, 0)).mean() < 20)


def patch(pixels: npt.NDArray[np.uint8], right: float, down: float) -> npt.NDArray[np.float64]:
    """[3] the colour about a point, counted from the middle."""
    x, y = round(pixels.shape[1] / 2 + right), round(pixels.shape[0] / 2 + down)
    return pixels[y - 4 : y + 5, x - 4 : x + 5].mean(axis=(0, 1))
