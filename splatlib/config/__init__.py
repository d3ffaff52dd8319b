"""Frozen configuration models: one per stage, and the Job that holds them all.

The Job is the single schema for Python, the command line, ``job.json``, the notebooks' parameters and the docs.
Unknown keys are refused. A preset is a named constant; any field set beside it overrides the preset.
"""

from splatlib.config.base import NOT_IN_DIGEST as NOT_IN_DIGEST
from splatlib.config.base import Config as Config
from splatlib.config.cameras import PRIORS_OF_CAPTURE as PRIORS_OF_CAPTURE
from splatlib.config.cameras import CamerasConfig as CamerasConfig
from splatlib.config.export import CropBox as CropBox
from splatlib.config.export import ExportConfig as ExportConfig
from splatlib.config.frames import FramesConfig as FramesConfig
from splatlib.config.frames import panorama_face_names as panorama_face_names
from splatlib.config.job import Job as Job
from splatlib.config.masks import DOWNLOAD as DOWNLOAD
from splatlib.config.masks import MaskPrompt as MaskPrompt
from splatlib.config.masks import MasksConfig as MasksConfig
from splatlib.config.submission import Submission as Submission
from splatlib.config.submission import read_submission as read_submission
from splatlib.config.train import TRAIN_PRESETS as TRAIN_PRESETS
from splatlib.config.train import Backend as Backend
from splatlib.config.train import ResolvedTrainConfig as ResolvedTrainConfig
from splatlib.config.train import TrainConfig as TrainConfig
