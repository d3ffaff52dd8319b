"""The nouns between the verbs: FrameSet, MaskSet, SparseScene, Splat, ExportBundle; and CaptureCheck, a look ahead.

An artefact is a small frozen record beside the files in its folder. Paths inside it are relative to the
folder, so a workspace can be moved or copied. ``artifact.json`` is written by the workspace, last.
"""

from splatlib.artifacts.base import ARTIFACT_FILE as ARTIFACT_FILE
from splatlib.artifacts.base import Artifact as Artifact
from splatlib.artifacts.check import CaptureCheck as CaptureCheck
from splatlib.artifacts.check import CheckedFrame as CheckedFrame
from splatlib.artifacts.check import Finding as Finding
from splatlib.artifacts.check import FrameLink as FrameLink
from splatlib.artifacts.export import ExportBundle as ExportBundle
from splatlib.artifacts.export import ExportedFile as ExportedFile
from splatlib.artifacts.frames import DroppedFrame as DroppedFrame
from splatlib.artifacts.frames import Frame as Frame
from splatlib.artifacts.frames import FrameSet as FrameSet
from splatlib.artifacts.frames import RigFace as RigFace
from splatlib.artifacts.masks import MaskSet as MaskSet
from splatlib.artifacts.scene import Camera as Camera
from splatlib.artifacts.scene import Distortion as Distortion
from splatlib.artifacts.scene import SparseScene as SparseScene
from splatlib.artifacts.scene import View as View
from splatlib.artifacts.splat import HeldOutView as HeldOutView
from splatlib.artifacts.splat import Splat as Splat
