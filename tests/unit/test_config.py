"""Laws of the configuration models: JSON round trips, presets, overrides, and what is refused and how."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatlib.config import (
    NOT_IN_DIGEST,
    TRAIN_PRESETS,
    CamerasConfig,
    ExportConfig,
    FramesConfig,
    Job,
    MasksConfig,
    ResolvedTrainConfig,
    TrainConfig,
)
from splatlib.errors import ConfigError

DEVICE_KINDS = ("cpu", "cuda")
LEFT_TO_THE_PRESET = {
    "max_long_side_px",
    "steps",
    "max_gaussians",
    "pixels_per_gaussian",
    "sh_degree",
    "strategy",
    "preview_every_steps",
}
MODELS = (FramesConfig, CamerasConfig, TrainConfig, ExportConfig)

frames_configs = st.builds(
    FramesConfig,
    max_frames=st.integers(3, 10_000),
    start_s=st.floats(0, 1e6),
    max_long_side_px=st.integers(64, 16_384),
    drop_blurred=st.booleans(),
)
train_settings = st.fixed_dictionaries(
    {"preset": st.sampled_from(sorted(TRAIN_PRESETS))},
    optional={
        "steps": st.integers(1, 1_000_000),
        "sh_degree": st.integers(0, 3),
        "ssim_weight": st.floats(0, 1),
        "background": st.sampled_from(["black", "white", "random"]),
        "strategy": st.sampled_from(["budget", "default", "mcmc"]),
        "preview_every_steps": st.integers(0, 5000),
        "seed": st.integers(0, 2**63),
    },
)
jobs = st.builds(
    Job,
    capture=st.text(min_size=1) | st.lists(st.text(min_size=1), min_size=2).map(tuple),
    frames=frames_configs,
    masks=st.none() | st.just(MasksConfig()) | st.builds(MasksConfig, backend=st.just("folder"), folder=st.just("m")),
    train=train_settings.map(TrainConfig.from_dict),
    export=st.builds(ExportConfig, formats=st.sampled_from([("ply",), ("spz",), ("ply", "spz")])),
    run=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True),
)


@given(job=jobs)
def test_a_job_survives_json(job: Job) -> None:
    assert Job.from_json(job.to_json()) == job
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job


@given(settings=train_settings, kind=st.sampled_from(DEVICE_KINDS))
def test_a_preset_fills_what_is_not_set_and_only_that(settings: dict[str, Any], kind: str) -> None:
    config = TrainConfig.from_dict(settings)
    resolved = config.resolved(kind)
    expected = {**TRAIN_PRESETS[settings["preset"]][kind], **settings, "device": kind}
    assert {name: getattr(resolved, name) for name in expected} == expected
    assert None not in resolved.to_dict().values()
    left = config.to_dict().keys() - expected.keys() - LEFT_TO_THE_PRESET
    assert {name: getattr(resolved, name) for name in left} == {name: getattr(config, name) for name in left}


@given(settings=train_settings, kind=st.sampled_from(DEVICE_KINDS))
def test_a_resolved_config_resolves_to_itself(settings: dict[str, Any], kind: str) -> None:
    resolved = TrainConfig.from_dict(settings).resolved(kind)
    assert resolved.resolved(kind) == resolved
    assert ResolvedTrainConfig.from_json(resolved.to_json()) == resolved


@pytest.mark.parametrize("kind", DEVICE_KINDS)
def test_presets_cost_more_from_one_to_the_next(kind: str) -> None:
    for name in ("max_long_side_px", "steps", "max_gaussians", "sh_degree"):
        values = [TRAIN_PRESETS[preset][kind][name] for preset in ("preview", "balanced", "high", "reference")]
        assert values == sorted(values), name
        assert values[0] < values[-1], name


@pytest.mark.parametrize("kind", DEVICE_KINDS)
@pytest.mark.parametrize("preset", TRAIN_PRESETS)
def test_every_preset_sets_the_same_fields_and_only_those_that_it_may(preset: str, kind: str) -> None:
    assert TRAIN_PRESETS[preset].keys() == set(DEVICE_KINDS)
    assert TRAIN_PRESETS[preset][kind].keys() - {"strategy"} == TRAIN_PRESETS["preview"]["cpu"].keys()
    assert TRAIN_PRESETS[preset][kind].keys() <= LEFT_TO_THE_PRESET


@pytest.mark.parametrize("kind", DEVICE_KINDS)
def test_the_reference_is_the_published_schedule(kind: str) -> None:
    """Kerbl et al. 2023 and gsplat's simple_trainer: 30,000 steps, degree 3, densification by gsplat's default rules,
    pictures not larger than 1600 pixels, loss 0.8 L1 + 0.2 (1 - SSIM), before black."""
    reference = TrainConfig(preset="reference").resolved(kind)
    assert (reference.steps, reference.sh_degree, reference.strategy) == (30_000, 3, "default")
    assert (reference.max_long_side_px, reference.ssim_weight, reference.background) == (1600, 0.2, "black")


@given(job=jobs, steps=st.integers(1, 1_000_000), seed=st.integers(0, 100))
def test_overrides_change_the_named_fields_and_no_others(job: Job, steps: int, seed: int) -> None:
    changed = job.with_overrides([f"train.steps={steps}", f"cameras.seed={seed}"])
    expected = job.to_dict()
    expected["train"]["steps"], expected["cameras"]["seed"] = steps, seed
    assert changed.to_dict() == expected
    assert changed == job.with_overrides({"train.steps": steps, "cameras.seed": seed})


@given(job=jobs)
def test_no_overrides_change_nothing(job: Job) -> None:
    assert job.with_overrides([]) == job


def test_defaults_are_the_preview_preset_on_the_best_device() -> None:
    defaults = {name: field.default for name, field in TrainConfig.model_fields.items()}
    assert TrainConfig().to_dict() == defaults
    assert (defaults["preset"], defaults["device"]) == ("preview", "auto")
    assert {name for name, default in defaults.items() if default is None} == LEFT_TO_THE_PRESET


def test_overriding_the_preset_brings_its_values() -> None:
    job = Job.from_json(Job(capture="x").to_json())  # every field is set, as in a workspace's job.json
    assert job.with_overrides(["train.preset=balanced"]).train == TrainConfig(preset="balanced")
    changed = job.with_overrides(["train.preset=balanced", "train.steps=7", "train.seed=3"])
    assert changed.train == TrainConfig(preset="balanced", steps=7, seed=3)


def test_overrides_reach_an_absent_section() -> None:
    job = Job(capture="x").with_overrides(["masks.threshold=0.25"])
    assert job.masks == MasksConfig(threshold=0.25)
    assert job.with_overrides(["masks=null"]).masks is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=5", "train.stepz: unknown field, did you mean steps?"),
        ("trian.steps=5", "trian: unknown field, did you mean train?"),
        ("qqq=5", "qqq: unknown field"),
        ("train.steps=many", "train.steps: Input should be a valid integer"),
        ("train.steps=0", "train.steps: Input should be greater than or equal to 1, got 0"),
        ("train.steps=true", "train.steps: a number is wanted, got True"),
        ("train.steps=1.5", "train.steps: Input should be a valid integer"),
        ("train.ssim_weight=NaN", "train.ssim_weight: Input should be a finite number"),
        ("train.preset=best", "train.preset: Input should be 'preview', 'balanced', 'high' or 'reference', got 'best'"),
        ("train.preset=[1]", "train.preset: Input should be 'preview', 'balanced', 'high' or 'reference', got [1]"),
        ("train.device=tpu", "train.device: Input should be 'auto', 'cpu' or 'cuda', got 'tpu'"),
        ("train.strategy=best", "train.strategy: Input should be 'budget', 'default' or 'mcmc', got 'best'"),
        ("train=5", "train: Input should be a valid dictionary"),
        ("capture.name=5", "capture has no field 'name'"),
        ("masks.backend=folder", "masks: backend 'folder' needs the field folder"),
        ("export.formats=[]", "export.formats: Tuple should have at least 1 item"),
        ('export.formats=["obj"]', "export.formats.0: Input should be 'ply', 'compressed_ply', "),
        ("run=../up", "run: String should match pattern"),
        ("steps", "override 'steps' is not of the form FIELD=VALUE"),
        ("=5", "override '=5' is not of the form FIELD=VALUE"),
    ],
)
def test_a_bad_override_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Job(capture="x").with_overrides([override])
    assert message in str(caught.value)


def test_an_unknown_field_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="the fields of frames are max_frames, start_s"):
        Job(capture="x").with_overrides(["frames.fps=2"])
    with pytest.raises(ConfigError, match="the fields of TrainConfig are preset, backend, device"):
        TrainConfig.from_dict({"iterations": 5})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Job is not valid JSON"),
        ("[]", "Job wants an object, got list"),
        ("{}", "capture: missing"),
        ('{"capture": ""}', "capture: the path of a source is empty"),
        ('{"capture": []}', "capture: the list of sources is empty"),
        ('{"capture": ["a.mov", ""]}', "capture: the path of a source is empty"),
        ('{"capture": 7}', "capture: a path, or a list of paths, is wanted, got 7"),
        ('{"capture": ["a.mov", 7]}', "capture: a path, or a list of paths, is wanted"),
        ('{"capture": "x", "version": 2}', "version: unknown field"),
    ],
)
def test_a_bad_job_document_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Job.from_json(text)
    assert message in str(caught.value)


def test_configs_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        TrainConfig().steps = 5  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("model", MODELS)
def test_result_fields_are_all_but_the_marked_ones(model: type[Any]) -> None:
    marked = {name for name, field in model.model_fields.items() if field.json_schema_extra == NOT_IN_DIGEST}
    assert model().result_fields().keys() == model.model_fields.keys() - marked


@given(settings=train_settings)
def test_overriding_the_preset_forgets_all_that_presets_set(settings: dict[str, Any]) -> None:
    """Else a job.json that was once resolved would keep the old preset's numbers under the new one's name."""
    for kind in DEVICE_KINDS:
        resolved = TrainConfig.from_dict(settings).resolved(kind).to_dict()
        job = Job(capture="x", train=TrainConfig.from_dict(resolved)).with_overrides({"train.preset": "high"})
        for name, value in TRAIN_PRESETS["high"][kind].items():
            assert getattr(job.train.resolved(kind), name) == value


def test_how_often_to_look_does_not_change_the_result() -> None:
    often = TrainConfig(preview_every_steps=1, checkpoint_every_s=0)
    assert often.result_fields() == TrainConfig().result_fields()


def test_the_schema_refuses_unknown_fields_at_every_level() -> None:
    schema = Job.model_json_schema()
    assert all(part["additionalProperties"] is False for part in (schema, *schema["$defs"].values()))


def test_holding_out_every_view_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="held_out_every 1 would hold out every view"):
        TrainConfig(held_out_every=1)


def test_a_list_of_one_source_is_that_source() -> None:
    job = Job.from_dict({"capture": ["a.mov"]})
    assert job == Job(capture="a.mov") and job.sources == ("a.mov",)
    several = Job.from_dict({"capture": ["a.mov", "photos"]})
    assert several.capture == several.sources == ("a.mov", "photos")
    assert several.with_overrides(["capture=b.mov"]).sources == ("b.mov",)
    assert several.with_overrides(['capture=["b.mov", "c.mov"]']).sources == ("b.mov", "c.mov")
