"""Configuration of the third stage, solve_cameras."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from splatlib.config.base import NOT_IN_DIGEST, Config

# The value of ``priors`` that means the poses that came along with the capture. A file of that name is ``./capture``.
PRIORS_OF_CAPTURE = "capture"


class CamerasConfig(Config):
    """How cameras are solved (structure from motion by COLMAP)."""

    mapper: Literal["auto", "incremental", "global"] = Field(
        default="auto", description="one frame after the other, or all at once; auto tries the other where one fails"
    )
    matching: Literal["auto", "sequential", "retrieval", "exhaustive"] = Field(
        default="auto",
        description="which frames are compared: neighbours in time, those that look alike, or all with all",
    )
    camera_model: Literal[
        "SIMPLE_RADIAL",
        "RADIAL",
        "OPENCV",
        "FULL_OPENCV",
        "PINHOLE",
        "SIMPLE_PINHOLE",
        "SIMPLE_RADIAL_FISHEYE",
        "RADIAL_FISHEYE",
        "OPENCV_FISHEYE",
    ] = Field(
        default="OPENCV",
        description="COLMAP's lens model; OPENCV has four distortion terms, fisheye lenses need a FISHEYE model",
    )
    undistort: bool = Field(
        default=True,
        description="train on undistorted pictures; off: on the pictures as they are, which needs a GPU",
    )
    max_features: int = Field(default=2048, ge=256, le=32_768, description="SIFT features kept per frame")
    max_feature_image_px: int = Field(
        default=1600, ge=256, le=8192, description="frames are scaled down to this for SIFT"
    )
    upsample_features: bool = Field(
        default=False,
        description="SIFT from a picture of twice the size: slower, more points, for low-texture scenes",
    )
    sequential_overlap: int = Field(
        default=5, ge=2, le=100, description="neighbours in time each frame is matched with"
    )
    loop_closure: bool = Field(default=True, description="sequential: also match frames that look alike")
    refine_principal_point: bool = Field(
        default=True, description="find the lens' principal point too, where at least 20 frames share a lens"
    )
    priors: str | None = Field(
        default=None,
        min_length=1,
        description="known camera poses: a transforms.json, a JSON or CSV of poses, or a folder with a COLMAP model; "
        "capture: those in the capture itself",
        json_schema_extra=NOT_IN_DIGEST,  # its content is an input of the stage
    )
    priors_mode: Literal["trust", "refine", "pairs"] = Field(
        default="trust",
        description="take the poses as they are, adjust them to the pictures, or only choose pairs by them",
    )
    priors_convention: Literal["auto", "opencv", "opengl", "arkit", "arcore", "ros"] = Field(
        default="auto", description="the camera axes of the poses; auto: what the file's format says"
    )
    priors_direction: Literal["auto", "camera_to_world", "world_to_camera"] = Field(
        default="auto", description="what the poses map from and to; auto: what the file's format says"
    )
    gps: bool = Field(
        default=True,
        description="use the photos' GPS places, if they can be believed: neighbours in space are compared, and the "
        "world is in metres, east, north and up",
        json_schema_extra=NOT_IN_DIGEST,  # the places, where they are used, are an input of the stage
    )
    allow_partial: bool = Field(default=False, description="go on when fewer than half of the frames were registered")
    min_registered: float = Field(default=0.5, ge=0, le=1, description="share of frames that must be registered")
    seed: int = Field(default=0, ge=0, description="of all random choices")
