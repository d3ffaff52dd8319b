"""The AWS guidance's job JSON: what each key becomes, what is refused, what is said of the rest."""

from __future__ import annotations

import copy
from typing import Any, get_args

import pytest

from splatlib.config import Job
from splatlib.config.toolbox import is_toolbox_document, read_toolbox
from splatlib.config.train import Backend
from splatlib.errors import ConfigError
from splatlib.train.external import trainer_for
from splatlib.train.external.settings import require_honoured

# As the guidance's own documents look: every leaf is text.
TOOLBOX: dict[str, Any] = {
    "uuid": "0b0c1d2e-0000-4000-8000-000000000000",
    "instanceType": "ml.g5.4xlarge",
    "logVerbosity": "debug",
    "s3": {"bucketName": "jobs", "inputPrefix": "media-input", "inputKey": "bench.mov", "outputPrefix": "out"},
    "videoProcessing": {"maxNumImages": "250"},
    "imageProcessing": {"filterBlurryImages": "false"},
    "sfm": {
        "enable": "true",
        "softwareName": "colmap",
        "enableEnhancedFeatureExtraction": "true",
        "matchingMethod": "vocab",
        "posePriors": {
            "usePosePriorColmapModelFiles": "false",
            "usePosePriorTransformJson": {
                "enable": "true",
                "sourceCoordinateName": "opencv",
                "poseIsWorldToCam": "false",
            },
        },
    },
    "training": {
        "enable": "true",
        "maxSteps": "15000",
        "model": "splatfacto-mcmc",
        "enableMultiGpu": "true",
        "rotateSplat": "true",
    },
    "sphericalCamera": {
        "enable": "true",
        "cubeFacesToRemove": "['down', 'up']",
        "optimizeSequentialFrameOrder": "true",
    },
    "segmentation": {
        "removeBackground": "true",
        "backgroundRemovalModel": "u2net-human",
        "maskThreshold": "0.6",
        "removeHumanSubject": "false",
    },
}


def changed(**paths: Any) -> dict[str, Any]:
    """The document with leaves replaced: ``sfm__enable=False``."""
    document = copy.deepcopy(TOOLBOX)
    for path, value in paths.items():
        *parents, leaf = path.split("__")
        target = document
        for parent in parents:
            target = target[parent]
        target[leaf] = value
    return document


def test_every_key_is_mapped_or_spoken_of() -> None:
    read = read_toolbox(TOOLBOX)
    job = read.job
    assert (read.uuid, read.instance) == (TOOLBOX["uuid"], "ml.g5.4xlarge")
    assert job.capture == "s3://jobs/media-input/bench.mov"
    assert (job.frames.max_frames, job.frames.drop_blurred) == (250, False)
    assert (job.frames.projection, job.frames.panorama_drop) == ("equirectangular", ("down", "up"))
    assert (job.cameras.mapper, job.cameras.matching, job.cameras.upsample_features) == (
        "incremental", "retrieval", True,
    )  # fmt: skip
    assert (job.cameras.priors, job.cameras.priors_mode) == ("capture", "refine")
    assert (job.cameras.priors_convention, job.cameras.priors_direction) == ("opencv", "camera_to_world")
    assert (job.train.steps, job.train.backend, job.train.strategy) == (15000, "splatfacto-mcmc", None)
    assert job.masks is not None
    assert (job.masks.backend, job.masks.u2net_model, job.masks.threshold) == ("u2net", "human", 0.6)
    told = {note.partition(":")[0] for note in read.notes}
    assert told == {
        "logVerbosity", "s3.outputPrefix", "sfm.enableEnhancedFeatureExtraction", "training.enableMultiGpu",
        "training.rotateSplat",
    }  # fmt: skip


def test_what_is_left_out_is_as_the_job_has_it() -> None:
    job = read_toolbox({"s3": {"bucketName": "b", "inputKey": "a/fox.zip"}}).job
    assert job == Job.from_dict(
        {
            "capture": "s3://b/a/fox.zip",
            "cameras": {"mapper": "global", "matching": "sequential"},
            "train": {"preset": "balanced"},
        }
    )


MODELS = ("splatfacto", "splatfacto-big", "splatfacto-mcmc", "splatfacto-w-light", "nerfacto", "3dgut", "3dgrt")


@pytest.mark.parametrize("model", MODELS)
def test_each_model_is_trained_by_the_backend_of_its_name(model: str) -> None:
    """With settings that the backend does not refuse, and undistorted pictures unless it draws lenses."""
    read = read_toolbox(changed(training__model=model, training__maxSteps="1200"))
    train = read.job.train
    assert (train.backend, train.steps) == (model, 1200)
    require_honoured(trainer_for(model), train)
    assert read.job.cameras.undistort == (model not in ("3dgut", "3dgrt"))
    assert f"training.enableMultiGpu: {model} trains on one GPU" in read.notes


def test_the_models_are_all_backends_but_our_own() -> None:
    assert {*MODELS, "splatlib"} == set(get_args(Backend))


def test_no_model_is_our_own_trainer() -> None:
    document = changed()
    del document["training"]["model"]
    read = read_toolbox(document)
    assert (read.job.train.backend, read.job.train.preset, read.job.train.steps) == ("splatlib", "balanced", 15000)
    assert "training.enableMultiGpu: all GPUs of the instance are used" in read.notes


def test_leaves_may_have_their_types_too() -> None:
    typed = changed(
        videoProcessing__maxNumImages=250,
        imageProcessing__filterBlurryImages=False,
        sphericalCamera__cubeFacesToRemove=["down", "up"],
        sfm__posePriors__usePosePriorTransformJson__poseIsWorldToCam=False,
        training__maxSteps=15000,
        segmentation__maskThreshold=0.6,
    )
    assert read_toolbox(typed).job == read_toolbox(TOOLBOX).job


@pytest.mark.parametrize("said", ["false", "False", "FALSE", False])
def test_false_is_false_in_every_spelling(said: Any) -> None:
    """In the guidance, "false" was a text that is true."""
    job = read_toolbox(changed(sfm__posePriors__usePosePriorTransformJson__poseIsWorldToCam=said)).job
    assert job.cameras.priors_direction == "camera_to_world"


def test_removing_people_keeps_everything_but_them() -> None:
    job = read_toolbox(changed(segmentation__removeBackground="false", segmentation__removeHumanSubject="true")).job
    assert job.masks is not None and (job.masks.u2net_model, job.masks.keep) == ("human", "everything_but")


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ({"training__enable": "false"}, "training.enable"),
        ({"training__model": "best"}, "training.model"),
        ({"training__maxSteps": "fast"}, "training.maxSteps"),
        ({"training__maxSteps": 5}, "training.maxSteps"),
        ({"training__steps": 5}, "training.steps: unknown field"),
        ({"segmentation__removeHumanSubject": "true"}, "segmentation.removeHumanSubject"),
        ({"sphericalCamera__cubeFacesToRemove": "['floor']"}, "sphericalCamera.cubeFacesToRemove"),
        ({"sphericalCamera__cubeFacesToRemove": "__import__('os')"}, "sphericalCamera.cubeFacesToRemove"),
        ({"sfm__enable": "perhaps"}, "sfm.enable"),
        ({"s3__inputKey": ""}, "s3.inputKey"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(paths: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        read_toolbox(changed(**paths))


def test_no_structure_from_motion_needs_known_poses() -> None:
    assert read_toolbox(changed(sfm__enable="false")).job.cameras.priors_mode == "trust"
    document = changed(sfm__enable="false", sfm__posePriors__usePosePriorTransformJson__enable="false")
    with pytest.raises(ConfigError, match=r"sfm\.enable"):
        read_toolbox(document)


def test_it_is_told_from_a_job() -> None:
    assert is_toolbox_document(TOOLBOX)
    assert not is_toolbox_document(Job(capture="a.mov").to_dict())


def test_the_job_says_what_it_could_not_map() -> None:
    with pytest.warns(UserWarning, match=r"training\.enableMultiGpu"):
        job = Job.from_toolbox(TOOLBOX)
    assert job == read_toolbox(TOOLBOX).job
