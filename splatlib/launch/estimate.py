"""What a job will take and cost on an instance: a range, before it is submitted.

Measured (``benchmarks/results``): seconds of frames, check and cameras on two EPYC cores (``whole_run``,
``capture_check``); seconds of training on an H100 (``gpu_train``, 2026-11-27). Scaled: training on other GPUs.
Rasterising waits for arithmetic or for memory; the H100's seconds times the ratio of FP32 rates is the low end, times
the ratio of memory bandwidths the high end, their geometric mean what is likely. Assumed, not measured: start-up, and
what share of the on-demand price a spot instance costs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from splatlib.config import Job
from splatlib.errors import BudgetError
from splatlib.launch.baggage import Baggage
from splatlib.launch.prices import Instance, Price

# (low, likely, high)
Range = tuple[float, float, float]

# From "instance is there" to the entry point's first line: pulling an image of 6 to 10 GB, and the capture.
START_S: Range = (60.0, 180.0, 300.0)
SPOT_SHARE: Range = (0.3, 0.45, 0.7)
# Seconds a frame on two cores: fox_540 0.20 (frames 0.015, check 0.04, cameras 0.14), video_fruits 0.45.
FRAME_S: Range = (0.2, 0.35, 0.6)
CORES_MEASURED, EFFICIENCY = 2, 0.8
# A full-size picture is decoded and scaled a few times: 0.02 s a megapixel and core.
DECODE_S_PER_MEGAPIXEL = 0.02
FINISH_S: Range = (5.0, 15.0, 40.0)
# Milliseconds a step of two views on an H100: fox_540 (0.52 MP, 0.15 M Gaussians) 3.66 at full size, of which 2.6 go
# with the pixels; video_fruits (0.59 MP, 1.0 M) 3.1 more than fox with `high`. The coarse first half of the schedule is
# cheaper, which is left out.
STEP_MS, STEP_MS_PER_MEGAPIXEL, STEP_MS_PER_MILLION_GAUSSIANS = 1.06, 5.0, 3.8
H100_FP32_TFLOPS, H100_GB_PER_S = 67.0, 3350.0
GPU_RATES = {"T4": (8.1, 320.0), "A10G": (31.2, 600.0), "L4": (30.3, 300.0), "L40S": (91.6, 864.0)}
# Other trainers take 30,000 steps unless told, of one view at full size; how long one is was not measured. What we need
# for two views, times these.
STEPS_OF_OTHERS, STEP_OF_OTHERS = 30_000, (0.5, 1.0, 3.0)
# Without a GPU: fox_540's balanced took 305 s on two cores for 4,000 steps of 0.23 MP.
CPU_STEP_S_PER_MEGAPIXEL = 0.33
RECOMMENDED = {
    "preview": "ml.g6.xlarge",
    "balanced": "ml.g6.xlarge",
    "high": "ml.g6e.xlarge",
    "reference": "ml.g6e.xlarge",
}
_PICTURES = {".jpg", ".jpeg", ".png", ".heic", ".heif", ".tif", ".tiff", ".webp", ".bmp", ".avif"}
ASSUMED_MEGAPIXELS = 1920 * 1080 / 1e6


@dataclass(frozen=True)
class Estimate:
    """Seconds that are billed and dollars, each low, likely, high.

    Attributes:
        usd: None where no price is known.
        spot: whether the share of a spot instance is in ``usd``.
        basis: what it was reckoned from, for people.
    """

    instance: str
    frames: int
    megapixels: float
    seconds: Range
    usd: Range | None
    spot: bool
    basis: str

    def __str__(self) -> str:
        low, likely, high = (second / 60 for second in self.seconds)
        cost = (
            "price not known" if self.usd is None else f"${self.usd[1]:.2f} (${self.usd[0]:.2f} to ${self.usd[2]:.2f})"
        )
        kind = "spot" if self.spot else "on demand"
        return f"{self.instance} {kind}: {likely:.0f} min ({low:.0f} to {high:.0f}), {cost}; {self.basis}"


def frames_of(job: Job, baggage: Baggage) -> int:
    """How many frames the job will have at most: its photos, or max_frames of a video or of what lies in S3."""
    photos = sum(file.path.suffix.lower() in _PICTURES for file in baggage.files)
    others = photos < len(baggage.files) or any(source.startswith("s3://") for source in job.sources)
    most = job.frames.max_frames
    return most if others or not photos else min(photos, most)


def estimate(
    job: Job,
    instance: Instance,
    price: Price | None,
    *,
    frames: int,
    megapixels: float | None = None,
    spot: bool = True,
) -> Estimate:
    """What a job will take and cost.

    Args:
        price: of an hour on demand; None: not known.
        frames: see ``frames_of``.
        megapixels: of one frame; 1080p unless told.
    """
    megapixels = megapixels or ASSUMED_MEGAPIXELS
    parts = (START_S, _poses_s(frames, megapixels, instance), _training_s(job, frames, megapixels, instance), FINISH_S)
    low, likely, high = (sum(part[index] for part in parts) for index in range(3))
    usd = None
    if price is not None:
        shares = SPOT_SHARE if spot else (1.0, 1.0, 1.0)
        low_usd, likely_usd, high_usd = (
            seconds / 3600 * price.usd_per_hour * share
            for seconds, share in zip((low, likely, high), shares, strict=True)
        )
        usd = (low_usd, likely_usd, high_usd)
    ours = job.train.backend == "splatlib"
    basis = f"{frames} frames of {megapixels:.1f} MP, {job.train.preset if ours else job.train.backend}"
    if not ours:
        basis += " (its time a step is assumed, not measured)"
    if price is not None:
        basis += f", ${price.usd_per_hour:.3f} an hour on demand in {price.region} ({price.date})"
    return Estimate(instance.name, frames, round(megapixels, 2), (low, likely, high), usd, spot, basis)


def refuse_beyond(budget_usd: float | None, estimated: Estimate) -> None:
    """Raises BudgetError where the high end is above the budget, or no price is known to hold against it."""
    if budget_usd is None:
        return
    if estimated.usd is None:
        raise BudgetError(
            f"the budget of ${budget_usd:.2f} cannot be held: no price of {estimated.instance} is known here",
            hint="read AWS's price list with: splat prices update --region REGION; or leave the budget out",
        )
    if estimated.usd[2] > budget_usd:
        raise BudgetError(
            f"the job may cost ${estimated.usd[2]:.2f}, more than the budget of ${budget_usd:.2f}",
            why=str(estimated),
            hint="a smaller preset or instance, fewer frames (frames.max_frames), or a higher budget",
        )


def _poses_s(frames: int, megapixels: float, instance: Instance) -> Range:
    # two vCPUs are one core
    faster = max(1.0, instance.vcpus / 2 / CORES_MEASURED) ** EFFICIENCY
    decoding = DECODE_S_PER_MEGAPIXEL * megapixels
    low, likely, high = (frames * (seconds + decoding) / faster for seconds in FRAME_S)
    return low, likely, high


def _training_s(job: Job, frames: int, megapixels: float, instance: Instance) -> Range:
    settings = job.train.resolved("cuda" if instance.gpus else "cpu")
    side_px = math.sqrt(megapixels * 1e6 * 16 / 9)
    shrink = min(1.0, settings.max_long_side_px / side_px)
    trained_megapixels = megapixels * shrink**2
    if not instance.gpus:
        cores = max(1.0, instance.vcpus / 2)
        likely = settings.steps * trained_megapixels * CPU_STEP_S_PER_MEGAPIXEL * CORES_MEASURED / cores
        return 0.6 * likely, likely, 2 * likely
    gaussians = float(settings.max_gaussians)
    if settings.pixels_per_gaussian:
        gaussians = min(gaussians, frames * trained_megapixels * 1e6 / settings.pixels_per_gaussian)
    step_ms = STEP_MS + STEP_MS_PER_MEGAPIXEL * trained_megapixels + STEP_MS_PER_MILLION_GAUSSIANS * gaussians / 1e6
    ours = job.train.backend == "splatlib"
    h100_s = (settings.steps if ours else job.train.steps or STEPS_OF_OTHERS) * step_ms / 1e3
    fp32, bandwidth = GPU_RATES[instance.gpu]
    by_fp32, by_memory = max(1.0, H100_FP32_TFLOPS / fp32), max(1.0, H100_GB_PER_S / bandwidth)
    low, likely, high = (1.0, 1.0, 1.0) if ours else STEP_OF_OTHERS
    return h100_s * by_fp32 * low, h100_s * math.sqrt(by_fp32 * by_memory) * likely, h100_s * by_memory * high
