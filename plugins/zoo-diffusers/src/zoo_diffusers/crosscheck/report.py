"""All comparisons that apply to a model, and what came of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Denoiser, Model, Streams
from zoo_diffusers.crosscheck.own_paths import PATH_CHECKS
from zoo_diffusers.crosscheck.tables import TABLE_CHECKS, run_theirs
from zoo_diffusers.crosscheck.trajectory import Draws, radius, run_ours, table_grid

__all__ = ["Row", "crosscheck"]

EXACT, ROUNDED = 1e-8, 1e-4
"""Tolerances on states of unit variance: where theirs computes in float64, and where it rounds the state or its table
to float32.  A network may stretch a rounding of 1e-7 at each of twenty steps."""


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        sampler: ours, as it is written at the terminal.
        scheduler: theirs.
        steps: of both.
        differences: the largest absolute difference after each step, in states of unit variance.
        tolerance: for the largest of them.
    """

    sampler: str
    scheduler: str
    steps: int
    differences: list[float]
    tolerance: float

    @property
    def largest(self) -> float:
        """Over the whole trajectory; infinite where a number is not finite."""
        return max(value if math.isfinite(value) else math.inf for value in self.differences)

    @property
    def agrees(self) -> bool:
        """Whether the trajectories agree."""
        return self.largest <= self.tolerance


def crosscheck(
    model: Model, *, n: int = 2, steps: int = 20, seed: int = 0, clip: bool = False, only: str = ""
) -> Iterator[Row]:
    """Runs every comparison that applies to a model.

    Args:
        model: a path model on the CPU; best in float64, in which rounding stays small.
        n: samples.
        steps: at most; those of the table schedulers divide its length.
        seed: of the noise.
        clip: whether x̂ is held in [-1, 1]: DDPM and DDIM only, both deriving ε̂ anew.
        only: a part of the name of our sampler or of theirs.

    Raises:
        IncompatibleError: the model is no path model, fewer than two steps, nothing to clip to, or no diffusers.
    """
    if not isinstance(model, Denoiser):
        raise IncompatibleError(f"crosscheck needs Denoiser, which {type(model).__name__} is not")
    if n < 1 or steps < 2:
        raise IncompatibleError(f"n = {n} and steps = {steps}; expected at least 1 and at least 2")
    if clip and model.space.low is None:
        raise IncompatibleError("clip = true, but the model's sample space has no range to clip to")
    try:
        import diffusers  # noqa: F401
    except ImportError as err:
        raise IncompatibleError("crosscheck compares with diffusers; pip install diffusers") from err
    path = model.path
    y = Streams(seed, "crosscheck", 0, n, dtype=model.dtype).normal(
        *[int(v) for v in model.space.shape if v is not None]
    )
    unit = all(abs(radius(path, t) - 1.0) < 1e-9 for t in path.times(2))
    with torch.inference_mode():
        for check in TABLE_CHECKS:
            applies = (path.independent or not check.stochastic) and (unit or not check.unit_only)
            clippable = check.scheduler in ("DDPMScheduler", "DDIMScheduler")
            if not applies or (clip and not clippable) or only not in f"{check.name} {check.scheduler}":
                continue
            grid = table_grid(path, steps, check.spacing)
            count = len(grid.indices)
            draws = Draws(seed, n, check.noise_dtype or y.dtype, y.dtype)
            ours = run_ours(model, check.ours(count, clip), grid.times, y, draws)
            theirs = run_theirs(model, check, grid, y, seed, clip=clip)
            yield _row(check.name, check.scheduler, ours, theirs, rounded=check.rounded or y.dtype != torch.float64)
        for own in PATH_CHECKS:
            applies = own.fits(path) and (path.independent or not own.stochastic) and not clip
            if not applies or only not in f"{own.name} {own.scheduler}":
                continue
            ours, theirs = own.run(cast(Denoiser, model), y, steps, seed)
            yield _row(own.name, own.scheduler, ours, theirs, rounded=own.rounded or y.dtype != torch.float64)


def _row(sampler: str, scheduler: str, ours: list[torch.Tensor], theirs: list[torch.Tensor], *, rounded: bool) -> Row:
    differences = [(a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True)]
    return Row(sampler, scheduler, len(differences), differences, ROUNDED if rounded else EXACT)
