"""U2-Net and SAM 2: the real libraries with small random weights, so only the numbers differ; and missing weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from splatlib.config import MaskPrompt, MasksConfig
from splatlib.errors import MasksError
from splatlib.masks import mask_frames
from tests.unit.masks.toy import capture

U2NET = {"backend": "u2net", "u2net_model": "object_small"}
# Random weights say nothing about a picture: any of these thresholds only makes masks that are neither black nor white.
ANYTHING = {"min_area": 0.0, "threshold": 0.4}


@pytest.fixture(autouse=True)
def _no_weights_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPLATLIB_WEIGHTS", raising=False)


@pytest.fixture(scope="session")
def u2net_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("backgroundremover", reason="pip install --no-deps backgroundremover")
    from splatlib.masks.u2net import _networks

    folder = tmp_path_factory.mktemp("u2net")
    torch.manual_seed(0)
    torch.save(_networks().U2NETP(3, 1).state_dict(), folder / "u2netp.pth")
    return folder


@pytest.fixture(scope="session")
def sam2_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = pytest.importorskip("transformers", reason="pip install 'splatlib[masks]'")
    side = 128
    backbone = library.Sam2HieraDetConfig(
        hidden_size=16,
        image_size=[side, side],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 1, 2, 4],
        global_attention_blocks=[3],
    )
    vision = library.Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[128, 64, 32, 16],
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
    )
    config = library.Sam2VideoConfig(
        vision_config=vision,
        image_size=side,
        prompt_encoder_config={"image_size": side},
        memory_attention_rope_feat_sizes=[8, 8],
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=64,
    )
    folder = tmp_path_factory.mktemp("sam2")
    torch.manual_seed(0)
    library.Sam2VideoModel(config).save_pretrained(folder / "sam2.1-hiera-tiny")
    return folder


def test_u2net_runs(tmp_path, u2net_weights, monkeypatch):
    frames, ws, truths = capture(tmp_path, 3)
    monkeypatch.setenv("SPLATLIB_WEIGHTS", str(u2net_weights))
    masks = mask_frames(frames, ws, MasksConfig.from_dict({**U2NET, **ANYTHING}))
    assert masks.backend == "u2net" and len(masks.names) == 3
    mask = np.asarray(Image.open(masks.mask_path("000001.jpg") or ""))
    assert mask.shape == truths[0].shape and set(np.unique(mask)) <= {0, 255}


def test_people_are_left_out_and_what_they_hide_is_unknown_not_empty(tmp_path, u2net_weights):
    """The network for people, with random weights: ``everything_but`` is the rest of what ``object`` is."""
    from splatlib.masks.u2net import _networks

    frames, ws, _ = capture(tmp_path, 3)
    torch.manual_seed(0)
    torch.save(_networks().U2NET(3, 1).state_dict(), tmp_path / "u2net_human_seg.pth")
    fields = {"backend": "u2net", "u2net_model": "human", "weights": str(tmp_path), **ANYTHING}
    people = mask_frames(frames, ws, MasksConfig.from_dict(fields))
    people_masks = [np.asarray(Image.open(people.directory / f"{name}.png")) for name in people.names]
    assert people.outside == "transparent"
    rest = mask_frames(frames, ws, MasksConfig.from_dict({**fields, "keep": "everything_but"}))
    assert rest.outside == "ignore", "something is behind a person"
    for name, mask in zip(rest.names, people_masks, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(rest.directory / f"{name}.png")), 255 - mask)


def test_u2net_computes_what_the_library_computes(tmp_path, u2net_weights):
    from splatlib.masks.thumbnails import read_rgb, scaled
    from splatlib.masks.u2net import U2NetMasks, _networks

    frames, _, _ = capture(tmp_path, 3)
    source = U2NetMasks(frames, MasksConfig.from_dict({**U2NET, "temporal": False, "weights": str(u2net_weights)}))
    source.prepare(lambda: None)
    network = _networks().U2NETP(3, 1)
    network.load_state_dict(torch.load(u2net_weights / "u2netp.pth", weights_only=True))
    # backgroundremover's ToTensorLab(flag=0): picture over its maximum, then ImageNet's statistics
    picture = scaled(read_rgb(frames, frames.frames[0]), (320, 320)).astype(np.float64)
    picture = (picture / picture.max() - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        fused = network.eval()(torch.from_numpy(picture.transpose(2, 0, 1)[None]).float())[0][0, 0].numpy()
    expected = (fused - fused.min()) / (fused.max() - fused.min())
    assert np.abs(source._small["000001.jpg"][1] - expected).max() < 1e-3


def test_other_weights_are_another_digest(tmp_path, u2net_weights):
    frames, ws, _ = capture(tmp_path, 3)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "u2netp.pth").write_bytes((u2net_weights / "u2netp.pth").read_bytes())
    first = mask_frames(frames, ws, MasksConfig.from_dict({**U2NET, **ANYTHING, "weights": str(u2net_weights)}))
    same = mask_frames(frames, ws, MasksConfig.from_dict({**U2NET, **ANYTHING, "weights": str(copy)}))
    assert same == first, "where the weights lie does not matter"
    state = torch.load(copy / "u2netp.pth", weights_only=True)
    torch.save({name: value * 1.01 for name, value in state.items()}, copy / "u2netp.pth")
    other = mask_frames(frames, ws, MasksConfig.from_dict({**U2NET, **ANYTHING, "weights": str(copy)}))
    assert other.digest != first.digest


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 torn"])
def test_damaged_u2net_weights(tmp_path, u2net_weights, content):
    frames, ws, _ = capture(tmp_path, 3)
    (tmp_path / "u2netp.pth").write_bytes(content)
    with pytest.raises(MasksError, match=r"u2netp\.pth holds no weights of U2NETP"):
        mask_frames(frames, ws, MasksConfig.from_dict({**U2NET, "weights": str(tmp_path)}))
    assert ws.masks is None


def test_sam2_follows_a_prompt_both_ways(tmp_path, sam2_weights):
    from splatlib.masks.sam2 import Sam2Masks

    frames, _, _ = capture(tmp_path, 4)
    prompts = {"000002.jpg": MaskPrompt(points=((130, 110, 1),)), "000003.jpg": MaskPrompt(box=(80, 60, 200, 180))}
    config = MasksConfig(backend="sam2", prompts=prompts, weights=str(sam2_weights))
    source, ticks = Sam2Masks(frames, config), []
    source.prepare(lambda: ticks.append(1))
    assert sorted(source._logits) == [frame.name for frame in frames.frames]
    assert len(ticks) == 4 == (source.passes - 1) * len(frames)
    elsewhere = {"000002.jpg": MaskPrompt(points=((20, 20, 1),))}
    other = Sam2Masks(frames, config.model_copy(update={"prompts": elsewhere}))
    other.prepare(lambda: None)
    for name in source._logits:
        assert np.abs(source._logits[name] - other._logits[name]).max() > 1e-4, "prompts reach every frame"


def test_sam2_agrees_with_the_library_s_image_model(tmp_path, sam2_weights):
    from transformers import Sam2Model

    from splatlib.masks.sam2 import Sam2Masks, _network_input
    from splatlib.masks.thumbnails import read_rgb

    frames, _, _ = capture(tmp_path, 3)
    config = MasksConfig(
        backend="sam2",
        temporal=False,
        prompts={frame.name: MaskPrompt(box=(80, 60, 200, 180)) for frame in frames.frames},
        weights=str(sam2_weights),
    )
    source = Sam2Masks(frames, config)
    source.prepare(lambda: None)
    model = Sam2Model.from_pretrained(sam2_weights / "sam2.1-hiera-tiny").eval()
    picture = _network_input(read_rgb(frames, frames.frames[0]), 128)[None]
    box = torch.tensor([[[80 * 128 / 320, 60 * 128 / 240, 200 * 128 / 320, 180 * 128 / 240]]])
    with torch.no_grad():
        expected = model(pixel_values=picture, input_boxes=box, multimask_output=False).pred_masks[0, 0, 0].numpy()
    assert np.corrcoef(source._logits["000001.jpg"].ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("temporal", [True, False])
def test_sam2_without_prompts_starts_from_what_stands_out(tmp_path, sam2_weights, temporal):
    frames, ws, truths = capture(tmp_path, 3)
    fields = {"backend": "sam2", "temporal": temporal, "weights": str(sam2_weights), "min_area": 0, "threshold": 0.4}
    masks = mask_frames(frames, ws, MasksConfig.from_dict(fields))
    assert masks.backend == "sam2" and len(masks.names) == 3
    assert np.asarray(Image.open(masks.mask_path("000002.jpg") or "")).shape == truths[1].shape


def test_sam2_follows_each_face_of_panoramas_by_itself(tmp_path, sam2_weights):
    from splatlib.masks.sam2 import Sam2Masks

    frames, _, _ = capture(tmp_path, 4)
    faces = [replace(frame, face=("front", "back")[n % 2]) for n, frame in enumerate(frames.frames)]
    both = replace(frames, frames=tuple(faces))
    prompts = {"000001.jpg": MaskPrompt(points=((130, 110, 1),))}
    config = MasksConfig(backend="sam2", prompts=prompts, weights=str(sam2_weights))
    source, ticks = Sam2Masks(both, config), []
    source.prepare(lambda: ticks.append(1))
    assert sorted(source._logits) == ["000001.jpg", "000003.jpg"], "nobody pointed at anything in the other face"
    assert len(ticks) == 4 and not source.mask(both.frames[1]).any()
    alone = Sam2Masks(replace(both, frames=tuple(faces[::2])), config)
    alone.prepare(lambda: None)
    np.testing.assert_allclose(source._logits["000003.jpg"], alone._logits["000003.jpg"], atol=1e-5)


def test_a_folder_that_holds_no_sam2(tmp_path, sam2_weights):
    frames, ws, _ = capture(tmp_path, 3)
    (tmp_path / "sam2.1-hiera-tiny").mkdir()
    with pytest.raises(MasksError, match="holds no SAM 2 model"):
        mask_frames(frames, ws, MasksConfig(backend="sam2", weights=str(tmp_path)))
