"""What changes while training: resolution, views a step, learning rates, SH degree, and when Gaussians are refined."""

from __future__ import annotations

from dataclasses import dataclass, replace

from splatlib.config import ResolvedTrainConfig

MIN_LONG_SIDE_PX = 64
PUBLISHED_STEPS = 30_000  # of 3D Gaussian Splatting


@dataclass(frozen=True)
class Recipe:
    """The numbers of a schedule, all as shares of the number of steps or per step.

    Attributes:
        resolution_shares: (scale, share of the steps), coarse to fine.
        views_at_scale: views a step at each scale, where the renderer prefers batches.
        means_rate, rates: first learning rates; those of the means are in units of the scene's extent.
        means_final, final: last rate as a share of the first; decay is exponential.
        first_sh_degree: in use from the first step, where the config has as many.
        sh_degree_every: share of the steps after which one more SH degree is used; 0: all at once.
        refine_from, refine_until: shares of the steps between which Gaussians are added and removed.
        refine_every: in steps. min_refinements: short trainings refine at least so often.
        growth_exponent: the budget rises to its full size as this power of the time to the last refinement; 0: at once.
        average_share: the result is a running mean of the parameters over about this share of the steps; 0: as they
            are at the end.
        opacity_weight, scale_weight: in the loss, of the means of all opacities and of all widths in scene extents.
        trusted_points: start from the points that are seen well only.
        initial_opacity: of the first Gaussians.
    """

    resolution_shares: tuple[tuple[int, float], ...]
    views_at_scale: tuple[int, ...]
    means_rate: float
    means_final: float
    rates: dict[str, float]
    final: float
    first_sh_degree: int
    sh_degree_every: float
    refine_from: float
    refine_until: float
    refine_every: int
    min_refinements: int
    growth_exponent: float
    average_share: float
    opacity_weight: float
    scale_weight: float
    trusted_points: bool
    initial_opacity: float


# As published (Kerbl et al. 2023) and implemented by gsplat's simple_trainer.
PUBLISHED_RATES = {
    "scales": 5e-3,
    "quats": 1e-3,
    "opacities": 5e-2,
    "sh0": 2.5e-3,
    "shN": 2.5e-3 / 20,
}


def published() -> Recipe:
    """3D Gaussian Splatting's schedule: full resolution throughout, only the means' rate decays."""
    return Recipe(
        resolution_shares=((1, 1.0),),
        views_at_scale=(1,),
        means_rate=1.6e-4,
        means_final=0.01,
        rates=PUBLISHED_RATES,
        final=1.0,
        first_sh_degree=0,
        sh_degree_every=1000 / PUBLISHED_STEPS,
        refine_from=500 / PUBLISHED_STEPS,
        refine_until=0.5,
        refine_every=100,
        min_refinements=0,
        growth_exponent=0.0,
        average_share=0.0,
        opacity_weight=0.0,
        scale_weight=0.0,
        trusted_points=False,
        initial_opacity=0.1,
    )


def fast(steps: int) -> Recipe:
    """Short schedules.

    Coarse pictures first: they are cheap and place the Gaussians (DashGaussian, Chen et al. 2025). The published
    rates times a factor that grows as the schedule shrinks; only the means' rate decays. The noise that a small last
    rate would quieten is taken away by a running mean of the parameters, and high rates learn more until then: 2,000
    steps on two CPU cores gained 1.8 dB on fox and 2.3 dB on video_fruits over rates that decay to a twentieth. A more
    opaque start than the published 0.1 fits short schedules.

    A GPU draws two views a step at full resolution: as good as twice the steps with one view, in two thirds of the
    time. Opacities are pulled down a little (Kheradmand et al. 2024), more in longer schedules: what the photos do not
    hold up by many views then fades instead of fitting their noise. In 15,000 steps that gained 0.5 dB on fox, which
    over-fits, and cost 0.1 dB on video_fruits, which does not; in 1,600 steps it would take Gaussians that are needed.
    """
    # What a parameter can travel is about rate · steps: a shorter schedule moves it as far, within limits.
    means_factor = min(7.0, max(2.5, 0.28 * PUBLISHED_STEPS / steps))
    factor = min(4.0, max(2.0, 5000 / steps))
    return Recipe(
        resolution_shares=((4, 0.07), (2, 0.36), (1, 0.57)),
        views_at_scale=(4, 2, 2),
        means_rate=1.6e-4 * means_factor,
        means_final=0.2,
        rates={name: factor * rate for name, rate in PUBLISHED_RATES.items()},
        final=1.0,
        first_sh_degree=1,
        sh_degree_every=0.1,
        refine_from=0.0,
        refine_until=0.7,
        refine_every=100,
        min_refinements=8,
        growth_exponent=0.0,
        average_share=0.05,
        opacity_weight=min(0.01, 1e-6 * steps),
        scale_weight=0.0,
        trusted_points=True,
        initial_opacity=0.3,
    )


def with_mcmc_weights(recipe: Recipe) -> Recipe:
    """MCMC densification moves what has become transparent, so the loss must make it so (Kheradmand et al. 2024)."""
    return replace(recipe, opacity_weight=0.01, scale_weight=0.01)


@dataclass(frozen=True)
class Schedule:
    """Pure functions of the step, 0 … steps - 1."""

    config: ResolvedTrainConfig
    scene_extent: float
    recipe: Recipe

    @property
    def steps(self) -> int:
        return self.config.steps

    @property
    def long_sides_px(self) -> list[int]:
        """The resolutions in use, coarse to fine."""
        return sorted({self.long_side_px(step) for step in self._stage_starts()})

    def _stage_starts(self) -> list[int]:
        starts, share = [], 0.0
        for _, part in self.recipe.resolution_shares:
            starts.append(min(round(share * self.config.steps), self.config.steps - 1))
            share += part
        return starts

    def _stage(self, step: int) -> int:
        return sum(step >= start for start in self._stage_starts()) - 1

    def long_side_px(self, step: int) -> int:
        """Long side of the pictures at a step."""
        full = self.config.max_long_side_px
        return min(full, max(MIN_LONG_SIDE_PX, full // self.recipe.resolution_shares[self._stage(step)][0]))

    def views_per_step(self, step: int) -> int:
        """Views drawn together at a step, for a renderer that prefers batches."""
        return self.recipe.views_at_scale[self._stage(step)]

    def learning_rates(self, step: int) -> dict[str, float]:
        """Of every parameter."""
        recipe, progress = self.recipe, step / self.config.steps
        rates = {name: rate * recipe.final**progress for name, rate in recipe.rates.items()}
        return {"means": recipe.means_rate * self.scene_extent * recipe.means_final**progress, **rates}

    def sh_degree(self, step: int) -> int:
        """Degree in use, one more at a time."""
        every = self.recipe.sh_degree_every
        if not self.config.sh_degree or not every:
            return self.config.sh_degree
        return min(self.config.sh_degree, self.recipe.first_sh_degree + int(step / (every * self.config.steps)))

    def densifies(self, step: int) -> bool:
        """Whether Gaussians may still be added or removed."""
        return step < self.recipe.refine_until * self.config.steps

    def refines_at(self, step: int) -> bool:
        """Whether Gaussians are added and removed after this step."""
        return self.densifies(step) and step > self._refine_from and step % self.refine_every == 0

    def average_weight(self, every_steps: int) -> float:
        """Of the newest parameters in their running mean, updated every so many steps; 0: there is none."""
        share = self.recipe.average_share
        return min(1.0, every_steps / (share * self.config.steps)) if share else 0.0

    @property
    def _refine_from(self) -> float:
        return self.recipe.refine_from * self.config.steps

    @property
    def refine_every(self) -> int:
        """In steps."""
        until = self.recipe.refine_until * self.config.steps
        return max(1, min(self.recipe.refine_every, int(until / (self.recipe.min_refinements + 1))))
