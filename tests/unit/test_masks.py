"""Masks from the capture's own alpha channel, and from a user's pictures matched by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from splatlib.artifacts import FrameSet, MaskSet
from splatlib.capture import extract_frames
from splatlib.config import FramesConfig, MasksConfig
from splatlib.errors import MasksError
from splatlib.masks import mask_frames
from splatlib.samples.panorama import PanoramaSample, make_panoramas
from splatlib.workspace import Workspace
from tests.unit.capture.media import HEIGHT, WIDTH, scene, scenes, write_photos, write_video

BOX = (slice(60, 180), slice(80, 240))
BOX_SHARE = 120 * 160 / (WIDTH * HEIGHT)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def frames(tmp_path: Path, ws: Workspace) -> FrameSet:
    """Four opaque photos, IMG_1.jpg to IMG_4.jpg."""
    return extract_frames(write_photos(tmp_path / "photos", scenes(4)), ws)


def box(inside: int = 255, outside: int = 0) -> np.ndarray:
    mask = np.full((HEIGHT, WIDTH), outside, np.uint8)
    mask[BOX] = inside
    return mask


def folder_of_masks(path: Path, names: list[str], mask: np.ndarray | None = None) -> MasksConfig:
    write_photos(path, [box() if mask is None else mask] * len(names), names)
    return MasksConfig(backend="folder", folder=str(path))


def read(masks: MaskSet, name: str) -> np.ndarray:
    path = masks.mask_path(name)
    assert path is not None
    picture = Image.open(path)
    assert picture.mode == "L"
    return np.asarray(picture)


def message(frames: FrameSet, ws: Workspace, config: MasksConfig) -> str:
    with pytest.raises(MasksError) as caught:
        mask_frames(frames, ws, config)
    assert ws.masks is None
    return str(caught.value)


def test_alpha(tmp_path, ws):
    cut = [np.dstack([picture, box()]) for picture in scenes(4)]
    folder = write_photos(tmp_path / "photos", [*cut, scene(60)], [f"{n}.png" for n in range(5)])
    frames = extract_frames(folder, ws, FramesConfig(max_long_side_px=160))
    masks = mask_frames(frames, ws)
    assert masks.backend == "alpha"  # what auto means for such a capture
    assert masks.names == tuple(f"00000{n}.jpg" for n in range(1, 5))
    assert masks.mask_path("000005.jpg") is None
    mask = read(masks, "000002.jpg")
    assert mask.shape == (120, 160)
    assert set(np.unique(mask)) == {0, 255}
    assert masks.mean_coverage == pytest.approx(BOX_SHARE, abs=0.02)
    assert masks.warnings == ("Frames without a mask, which count whole: 1 of 5, the first is 000005.jpg.",)
    assert MaskSet.load(masks.directory) == masks


def test_alpha_of_an_opaque_capture(frames, ws):
    text = message(frames, ws, MasksConfig(backend="alpha"))
    assert "none of the 4 frames has an alpha channel" in text
    assert "backend 'grabcut'" in text and "backend 'folder'" in text


@pytest.mark.parametrize("pattern", ["IMG_{}.png", "IMG_{}.jpg.png", "IMG_{}.PNG", "sub/IMG_{}.tif", "00000{}.png"])
def test_masks_are_found_by_name(tmp_path, ws, frames, pattern):
    config = folder_of_masks(tmp_path / "my masks", [pattern.format(n) for n in range(1, 5)])
    masks = mask_frames(frames, ws, config)
    assert masks.names == tuple(f.name for f in frames.frames)
    assert masks.warnings == ()
    assert np.array_equal(read(masks, "000003.jpg"), box())
    assert masks.mean_coverage == pytest.approx(BOX_SHARE)


def test_masks_of_a_video_are_named_like_its_frames(tmp_path, ws):
    frames = extract_frames(write_video(tmp_path / "walk.mp4", scenes(6)), ws)
    config = folder_of_masks(tmp_path / "masks", ["000001.png", "000002.jpg.png", "walk.png"])
    assert mask_frames(frames, ws, config).names == ("000001.jpg", "000002.jpg")


def test_photos_of_the_same_name_need_masks_in_the_same_sub_folders(tmp_path, ws):
    names = ["left/1.jpg", "left/2.jpg", "right/1.jpg", "right/2.jpg"]
    frames = extract_frames(write_photos(tmp_path / "photos", scenes(4), names), ws)
    config = folder_of_masks(tmp_path / "masks", ["left/1.png", "right/1.png"])
    masks = mask_frames(frames, ws, config)
    assert masks.names == ("000001.jpg", "000003.jpg")
    other = folder_of_masks(tmp_path / "other", ["a/1.png", "b/1.png"])
    with pytest.raises(MasksError, match=r"2 pictures could be the mask of left/1\.jpg"):
        mask_frames(frames, ws, other)


def test_scaled_frames_get_scaled_masks(tmp_path, ws):
    folder = write_photos(tmp_path / "photos", scenes(4))
    frames = extract_frames(folder, ws, FramesConfig(max_long_side_px=200))
    masks = mask_frames(frames, ws, folder_of_masks(tmp_path / "masks", ["IMG_1.png"]))
    mask = read(masks, "000001.jpg")
    assert mask.shape == (150, 200)
    assert set(np.unique(mask)) == {0, 255}
    assert (mask > 0).mean() == pytest.approx(BOX_SHARE, abs=0.01)


def test_a_mask_turns_by_its_own_exif_orientation(tmp_path, ws, frames):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    upright = box()
    upright[:30] = 255
    stored = np.ascontiguousarray(np.rot90(upright, 1))
    write_photos(tmp_path / "masks", [stored], ["IMG_1.png"], exif=exif)
    masks = mask_frames(frames, ws, MasksConfig(backend="folder", folder=str(tmp_path / "masks")))
    assert np.array_equal(read(masks, "000001.jpg"), upright)


@pytest.mark.parametrize("kind", ["grey", "16-bit", "colour", "alpha", "opaque alpha", "palette"])
def test_masks_of_any_mode(tmp_path, ws, frames, kind):
    picture = {
        "grey": Image.fromarray(box()),
        "16-bit": Image.fromarray(box().astype(np.uint16) * 257),
        "colour": Image.fromarray(np.dstack([box()] * 3)),
        "alpha": Image.fromarray(np.dstack([scene(0), box()])),
        "opaque alpha": Image.fromarray(np.dstack([box()] * 3 + [np.full_like(box(), 255)])),
        "palette": Image.fromarray(box()).convert("P"),
    }[kind]
    (tmp_path / "masks").mkdir()
    picture.save(tmp_path / "masks" / "IMG_1.png")
    masks = mask_frames(frames, ws, MasksConfig(backend="folder", folder=str(tmp_path / "masks")))
    assert np.array_equal(read(masks, "000001.jpg"), box())


def test_threshold(tmp_path, ws, frames):
    config = folder_of_masks(tmp_path / "masks", ["IMG_1.png"], box(inside=100, outside=20))
    assert "the masks leave nothing of the frames" in message(frames, ws, config)
    low = config.model_copy(update={"threshold": 0.3})
    assert mask_frames(frames, ws, low).mean_coverage == pytest.approx(BOX_SHARE)


def test_one_black_mask_is_a_warning(tmp_path, ws, frames):
    write_photos(tmp_path / "masks", [box(), box(0)], ["IMG_1.png", "IMG_2.png"])
    masks = mask_frames(frames, ws, MasksConfig(backend="folder", folder=str(tmp_path / "masks")))
    assert any(
        "Masks that leave nothing of their frame: 1, the first is that of 000002.jpg" in w for w in masks.warnings
    )


def test_everything_but(tmp_path, ws, frames):
    config = folder_of_masks(tmp_path / "masks", ["IMG_1.png"]).model_copy(update={"keep": "everything_but"})
    masks = mask_frames(frames, ws, config)
    assert np.array_equal(read(masks, "000001.jpg"), 255 - box())
    assert masks.outside == "ignore", "what is left out hides something"


def test_everything_but_of_white_masks_leaves_nothing(tmp_path, ws, frames):
    config = folder_of_masks(tmp_path / "masks", ["IMG_1.png"], box(255, 255))
    text = message(frames, ws, config.model_copy(update={"keep": "everything_but"}))
    assert "the masks leave nothing of the frames" in text and "keep 'object'" in text


def test_grow_px_moves_the_outline(tmp_path, ws, frames):
    config = folder_of_masks(tmp_path / "masks", ["IMG_1.png"])
    for pixels in (5, -5):
        mask = read(mask_frames(frames, ws, config.model_copy(update={"grow_px": pixels})), "000001.jpg")
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert (rows[0], rows[-1]) == (60 - pixels, 179 + pixels)
        assert (columns[0], columns[-1]) == (80 - pixels, 239 + pixels)


def test_min_area_takes_islands_and_holes_but_only_where_asked(tmp_path, ws, frames):
    spotted = box()
    spotted[5:10, 5:10], spotted[100:105, 100:105] = 255, 0
    config = folder_of_masks(tmp_path / "masks", ["IMG_1.png"], spotted)
    assert np.array_equal(read(mask_frames(frames, ws, config), "000001.jpg"), spotted)
    tidy = mask_frames(frames, ws, config.model_copy(update={"min_area": 0.001}))
    assert np.array_equal(read(tidy, "000001.jpg"), box())


def test_missing_folder(tmp_path, ws, frames):
    config = MasksConfig(backend="folder", folder=str(tmp_path / "nowhere"))
    assert "there is no folder of masks at" in message(frames, ws, config)


def test_no_mask_belongs_to_a_frame(tmp_path, ws, frames):
    config = folder_of_masks(tmp_path / "masks", ["a.png", "b.png"])
    text = message(frames, ws, config)
    assert "belongs to a frame" in text
    assert "for instance IMG_1.png" in text


def test_a_mask_of_another_shape(tmp_path, ws, frames):
    config = folder_of_masks(tmp_path / "masks", ["IMG_1.png"], box().T.copy())
    text = message(frames, ws, config)
    assert "IMG_1.png does not fit its frame" in text
    assert "it is 240x320, the frame IMG_1.jpg is 320x240" in text


def test_a_damaged_mask(tmp_path, ws, frames):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "IMG_1.png").write_text("no picture")
    config = MasksConfig(backend="folder", folder=str(tmp_path / "masks"))
    assert "the mask IMG_1.png cannot be read" in message(frames, ws, config)


def test_masks_are_made_again_when_they_change(tmp_path, ws, frames):
    config = folder_of_masks(tmp_path / "masks", ["IMG_1.png"])
    first = mask_frames(frames, ws, config)
    assert mask_frames(frames, ws, config) == first
    folder_of_masks(tmp_path / "masks", ["IMG_1.png"], box(0, 255))
    second = mask_frames(frames, ws, config)
    assert second.digest != first.digest
    assert second.mean_coverage == pytest.approx(1 - BOX_SHARE)


@pytest.fixture(scope="module")
def panoramas(tmp_path_factory: pytest.TempPathFactory) -> PanoramaSample:
    return make_panoramas(tmp_path_factory.mktemp("panoramas") / "walk", num_panoramas=4, width=512)


@pytest.mark.parametrize("scale, max_side_px", [(1, 1600), (2, 1600), (1, 64)])
def test_masks_of_panoramas_are_rendered_to_their_faces_as_the_pictures_are(
    tmp_path, ws, panoramas, scale, max_side_px
):
    """A mask that is the panorama's own red shows in each face where that face is red."""
    frames = extract_frames(panoramas.path, ws, FramesConfig(max_long_side_px=max_side_px))
    (tmp_path / "masks").mkdir()
    for name in panoramas.names:
        red = Image.open(panoramas.path / name).convert("RGB").getchannel("R")
        red.resize((red.width * scale, red.height * scale)).save(tmp_path / "masks" / f"{Path(name).stem}.png")
    masks = mask_frames(frames, ws, MasksConfig(backend="folder", folder=str(tmp_path / "masks")))
    assert masks.names == tuple(frame.name for frame in frames.frames) and len(masks.names) > len(panoramas.names)
    for frame in frames.frames:
        red = np.asarray(Image.open(frames.image_path(frame)).convert("RGB").getchannel("R")).astype(int)
        certain = abs(red - 127.5) > 20  # JPEG, and the pictures' sharper interpolation
        assert (((read(masks, frame.name) > 0) == (red > 127.5)) | ~certain).mean() > 0.995, frame.name


def test_a_panorama_s_mask_of_a_wrong_shape_is_refused(tmp_path, ws, panoramas):
    frames = extract_frames(panoramas.path, ws)
    config = folder_of_masks(tmp_path / "masks", [f"{Path(panoramas.names[0]).stem}.png"])  # 4:3
    assert "does not fit its frame" in message(frames, ws, config)


@pytest.mark.captures
def test_cattoy(captures: Path, ws):
    frames = extract_frames(captures / "cattoy_720", ws, FramesConfig(max_frames=8, max_long_side_px=360))
    masks = mask_frames(frames, ws)
    assert len(masks.names) == 8
    assert 0.02 < masks.mean_coverage < 0.5
    picture = np.asarray(Image.open(frames.image_path(frames.frames[0])).convert("L"))
    mask = read(masks, "000001.jpg")
    assert picture[mask == 0].mean() < 5 < picture[mask > 0].mean()
