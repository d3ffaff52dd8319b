"""What changes while training: resolution, learning rates, SH degree, and how many Gaussians are allowed."""

from __future__ import annotations

from dataclasses import dataclass

from splatlib.config import TrainConfig

# Share of the steps spent at each scale, coarse to fine. Coarse steps are cheap and place the Gaussians; the idea
# is DashGaussian's (Chen et al. 2025), the shares were measured on two CPU cores (benchmarks/cpu_train.py).
RESOLUTION_SHARES = ((4, 0.07), (2, 0.36), (1, 0.57))
MIN_LONG_SIDE_PX = 64

# Rates of 3D Gaussian Splatting (Kerbl et al. 2023) times a factor for schedules a tenth as long; decay is
# exponential to the given share of the first rate.
MEANS_RATE, MEANS_FACTOR, MEANS_FINAL = 1.6e-4, 7.0, 0.1
RATES = {"scales": 5e-3, "quats": 1e-3, "opacities": 5e-2, "sh0": 2.5e-3, "shN": 2.5e-3 / 20}
FACTOR, FINAL = 1.5, 0.05

REFINE_EVERY = 100  # steps; short trainings refine at least MIN_REFINEMENTS times
MIN_REFINEMENTS = 8
REFINE_UNTIL = 0.7  # share of the steps after which the number of Gaussians stays


@dataclass(frozen=True)
class Schedule:
    """Pure functions of the step, 0 … steps - 1."""

    config: TrainConfig
    scene_extent: float

    @property
    def long_sides_px(self) -> list[int]:
        """The resolutions in use, coarse to fine."""
        return sorted({self.long_side_px(step) for step in self._stage_starts()})

    def _stage_starts(self) -> list[int]:
        starts, share = [], 0.0
        for _, part in RESOLUTION_SHARES:
            starts.append(min(round(share * self.config.steps), self.config.steps - 1))
            share += part
        return starts

    def long_side_px(self, step: int) -> int:
        """Long side of the pictures at a step."""
        full = self.config.max_long_side_px
        stage = sum(step >= start for start in self._stage_starts()) - 1
        return min(full, max(MIN_LONG_SIDE_PX, full // RESOLUTION_SHARES[stage][0]))

    def learning_rates(self, step: int) -> dict[str, float]:
        """Of every parameter."""
        progress = step / self.config.steps
        rates = {name: rate * FACTOR * FINAL**progress for name, rate in RATES.items()}
        return {"means": MEANS_RATE * MEANS_FACTOR * self.scene_extent * MEANS_FINAL**progress, **rates}

    def sh_degree(self, step: int) -> int:
        """Degree in use: one more every tenth of the steps."""
        return min(self.config.sh_degree, 1 + int(10 * step / self.config.steps)) if self.config.sh_degree else 0

    def refines_at(self, step: int) -> bool:
        """Whether Gaussians are added and removed after this step."""
        until = REFINE_UNTIL * self.config.steps
        every = max(1, min(REFINE_EVERY, int(until / (MIN_REFINEMENTS + 1))))
        return 0 < step < until and step % every == 0
