"""What goes wrong in the AWS guidance that this project succeeds, fault by fault, and the tests that it does not here.

The faults were read from its published code (July 2025). Most have their test beside the code that they are about;
this file names them, fails where one is gone, and tests the rest.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from tests.infra.world import World

ROOT = Path(__file__).parents[2]

# Number of the fault, what it is, and the tests, below tests/.
FAULTS: list[tuple[int, str, list[str]]] = [
    (1, "the blur filter extracts N frames and keeps N of N", [
        "unit/capture/test_extract_frames.py::test_duplicates_and_blur_are_dropped_in_a_capture_of_photos",
        "unit/capture/test_extract_frames.py::test_the_sample_video_loses_its_blurred_and_repeated_frames",
    ]),
    (2, "training.enable is sent under another name than is read", [
        "unit/test_toolbox.py::test_every_key_is_mapped_or_spoken_of",
        "unit/test_toolbox.py::test_what_cannot_be_had_is_refused_by_name",
    ]),
    (2, "sfm.enable=false crashes", ["unit/test_toolbox.py::test_no_structure_from_motion_needs_known_poses"]),
    (3, "human removal passes the picture as its own mask", [
        "unit/masks/test_networks.py::test_people_are_left_out_and_what_they_hide_is_unknown_not_empty",
        "unit/test_toolbox.py::test_removing_people_keeps_everything_but_them",
    ]),
    (3, "its UI sends a model's name that its code does not know", [
        "infra/test_guidance_faults.py::test_both_spellings_of_the_human_model",
    ]),
    (4, "poseIsWorldToCam=false is a text that is true", [
        "unit/test_toolbox.py::test_false_is_false_in_every_spelling",
    ]),
    (4, "a transforms.json without depth is refused", [
        "unit/cameras/test_priors.py::test_a_transforms_json_is_opengl_camera_to_world",
    ]),
    (4, "COLMAP priors are matched by row", [
        "unit/cameras/test_priors.py::test_colmap_models_are_matched_by_name",
        "unit/cameras/test_priors.py::test_names_are_matched_whatever_slashes_folders_and_suffixes",
    ]),
    (5, "the resize of 4K is computed and discarded", [
        "unit/capture/test_extract_frames.py::test_frames_of_a_video_are_scaled_down",
        "unit/capture/test_photos.py::test_large_pictures_are_scaled_down_and_small_ones_left",
    ]),
    (5, "a zip whose first entry is .JPG is refused; __MACOSX can become the folder of images", [
        "unit/capture/test_extract_frames.py::test_a_zip_of_photos",
        "unit/capture/test_extract_frames.py::test_photos_in_sub_folders_with_mixed_suffixes",
    ]),
    (6, "rotating takes channel-major SH for RGB triples and leaves degrees 2 and 3", [
        "unit/test_gaussians.py::test_a_turned_function_keeps_its_values",
        "unit/test_similarity.py::test_render_after_moving_is_the_moved_render",
    ]),
    (6, "cameras are not rotated with the splat", [
        "unit/export/test_upright.py::test_cameras_see_the_same_of_the_moved_scene",
    ]),
    (7, "names with &, $, ; fail in the middle of a run", [
        "unit/capture/test_extract_frames.py::test_hard_names_of_folders_zips_and_videos",
        "unit/test_report.py::test_commands_survive_odd_paths",
    ]),
    (7, "'time to train' is always 0 s", [
        "unit/test_report.py::test_report_json_keeps_its_contract",
        "infra/test_functions.py::test_success_with_figures",
    ]),
    (8, "a failed job is a succeeded execution; success is a log without the word error", [
        "infra/test_chain.py::test_record_execution_training_and_mail",
        "infra/test_functions.py::test_every_end_reaches_the_record_by_event_bridge",
        "infra/test_guidance_faults.py::test_success_is_what_sagemaker_says_whatever_the_log_does",
    ]),
    (8, "retries reuse the training job's name", [
        "infra/test_chain.py::test_a_lack_of_capacity_is_tried_again_under_new_names_on_other_instances",
    ]),
    (8, "a bad JSON leaves no record and sends no mail", [
        "infra/test_intake.py::test_what_cannot_be_run_is_recorded_and_mailed_with_the_field",
    ]),
    (8, "a duplicate uuid crashes and stays in progress", [
        "infra/test_intake.py::test_a_job_is_recorded_and_started_once",
        "infra/test_intake.py::test_the_same_uuid_with_other_content_leaves_the_first_alone",
    ]),
    (8, "two fields of status disagree", ["infra/test_guidance_faults.py::test_a_record_has_one_status"]),
    (9, "a lifecycle rule moves the weights to Glacier", [
        "infra/test_stack.py::test_no_rule_touches_the_weights",
        "infra/test_guidance_faults.py::test_terraforms_rules_leave_the_weights_too",
    ]),
    (10, "names are random at each synthesis: a redeployment replaces bucket and table", [
        "infra/test_stack.py::test_synthesis_is_the_same_every_time",
        "infra/test_stack.py::test_data_survives_the_stack_and_its_name_stays",
        "infra/test_life.py::test_the_second_deployment_changes_nothing",
        "infra/test_terraform.py::test_a_second_plan_changes_nothing",
    ]),
    (10, "Terraform's phase 'post' destroys the infrastructure", [
        "infra/test_terraform.py::test_data_cannot_be_destroyed_by_accident",
    ]),
    (11, "SageMakerFullAccess, ECRFullAccess and PutRolePolicy on every role", [
        "infra/test_stack.py::test_roles_may_do_what_their_files_say_and_nothing_else",
        "infra/test_stack.py::test_no_policy_has_a_wildcard_action",
        "infra/test_life.py::test_roles_may_do_what_they_do_and_nothing_else",
        "infra/test_guidance_faults.py::test_no_role_can_give_rights",
    ]),
    (11, "its web UI listens on all addresses without a login", [
        "infra/test_guidance_faults.py::test_nothing_listens_on_all_addresses",
    ]),
    (12, "no spot, no checkpoints", [
        "infra/test_chain.py::test_record_execution_training_and_mail",
        "unit/launch/test_sagemaker.py::test_a_spot_instance_that_is_taken_away_goes_on_from_its_checkpoint",
    ]),
    (12, "no quality figure, no cost", ["infra/test_functions.py::test_success_with_figures"]),
    (12, "an image of unpinned clones", [
        "unit/test_container_files.py::test_every_locked_version_has_the_hash_of_its_wheel",
        "unit/test_container_files.py::test_every_base_is_a_build_argument_with_a_tag",
    ]),
]  # fmt: skip


def test_every_fault_has_its_tests() -> None:
    assert {number for number, _, _ in FAULTS} == set(range(1, 13)) and all(tests for _, _, tests in FAULTS)
    known = {
        f"{path.relative_to(ROOT / 'tests').as_posix()}::{node.name}"
        for path in {ROOT / "tests" / test.partition("::")[0] for _, _, tests in FAULTS for test in tests}
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    gone = {test for _, _, tests in FAULTS for test in tests} - known
    assert not gone, gone


@pytest.mark.parametrize("spelling", ["u2net_human", "u2net-human"])
def test_both_spellings_of_the_human_model(spelling: str) -> None:
    from splatlib.config.toolbox import read_toolbox
    from tests.unit.test_toolbox import changed

    masks = read_toolbox(changed(segmentation__backgroundRemovalModel=spelling)).job.masks
    assert masks is not None and (masks.backend, masks.u2net_model) == ("u2net", "human")


def test_success_is_what_sagemaker_says_whatever_the_log_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training whose every line says error, and which SageMaker says has completed."""
    from infra.completion.runtime import outcome

    job = {
        "TrainingJobName": "splatlib-loud-a1",
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "ResourceConfig": {"InstanceType": "ml.g5.xlarge"},
        "TrainingTimeInSeconds": 100,
        "BillableTimeInSeconds": 40,
    }
    said: list[str] = []
    monkeypatch.setattr(outcome, "_described", lambda name: {**job, "TrainingJobStatus": said[-1]})
    monkeypatch.setattr(outcome, "last_log_lines", lambda name: ["ERROR: mean reprojection error 0.4 px"])
    record = {"id": "loud", "training_jobs": ["splatlib-loud-a1"]}
    for status, wanted in (("Completed", "SUCCEEDED"), ("Failed", "FAILED")):
        said.append(status)
        assert outcome.outcome_of(record, outcome.End(), world.settings).status == wanted


def test_a_record_has_one_status(world: World) -> None:
    world.submit("jobs/one.json", {"capture": f"s3://{world.bucket}/captures/fox/"})
    world.submit("jobs/two.json", {"capture": 5})
    for record in world.all_records():
        assert [name for name in record if "stat" in name] == ["status"]


def test_terraforms_rules_leave_the_weights_too() -> None:
    text = (ROOT / "infra" / "terraform" / "storage.tf").read_text()
    rules = re.search(r'"aws_s3_bucket_lifecycle_configuration" "jobs" \{(.*?)\n\}', text, re.DOTALL)
    assert rules is not None and "transition" not in rules[1]
    kept = re.findall(r'prefix = "(.*?)"', rules[1]) + re.findall(r"toset\(\[(.*?)\]", rules[1])
    assert kept and not any("models" in prefix for prefix in kept)
    # the one rule for all objects takes broken uploads only
    (for_all,) = [rule for rule in rules[1].split("\n  rule {") if "filter {}" in rule]
    assert "abort_incomplete_multipart_upload" in for_all and "expiration" not in for_all


def test_no_role_can_give_rights() -> None:
    documents = [json.loads(path.read_text()) for path in (ROOT / "infra" / "policies").glob("*.json")]
    actions = {a for document in documents for statement in document["Statement"] for a in statement["Action"]}
    assert len(documents) > 5 and {a for a in actions if a.startswith("iam:")} <= {"iam:PassRole"}


def test_nothing_listens_on_all_addresses() -> None:
    sources = [path for folder in ("splatlib", "infra", "container") for path in (ROOT / folder).rglob("*.*")]
    named = [path for path in sources if path.suffix in (".py", ".sh", ".tf", ".json", ".toml", ".yml")]
    listening = [path for path in named if "node_modules" not in path.parts and "0.0.0.0" in path.read_text()]
    assert len(named) > 100 and listening == []
