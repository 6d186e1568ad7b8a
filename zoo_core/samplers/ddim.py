r"""Denoising diffusion implicit models (Song, Meng & Ermon 2021), on any Gaussian path: eqs. 12 and 16.

    x_s = α_s·x̂ + √(σ_s² − c²)·ε̂ + c·z,    c² = η²·(σ_s²/σ_t²)·(σ_t² − (α_t/α_s)²·σ_s²)

η = 0 is deterministic (and is the Euler method on the probability-flow ODE in σ/α); η = 1 is ancestral sampling with
the small variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Denoiser
from zoo_core.paths import Spacing
from zoo_core.samplers.path import PathSampler, Step

__all__ = ["DDIM"]


class DDIM(PathSampler):
    """Sampling in few steps, deterministic unless η > 0.

    Args:
        steps: number of solver steps, each of one network evaluation.
        eta: η in [0, 1], the share of the reverse chain's noise that is added.
        spacing: time grid.
        clip: whether x̂ is held in the range of the data.
    """

    name = "ddim"

    def __init__(
        self, steps: int = 50, eta: float = 0.0, spacing: Spacing = "trailing", clip: bool | None = None
    ) -> None:
        super().__init__(steps, spacing, clip)
        if not 0.0 <= eta <= 1.0:
            raise IncompatibleError(f"eta = {eta}; expected a number in [0, 1]")
        self.eta = eta
        self.stochastic = eta > 0.0

    def plan(self, model: Denoiser, times: Sequence[float]) -> list[Step]:
        path, steps = model.path, []
        for t, s in pairwise(times):
            alpha_s, sigma_s = path.alpha(s), path.sigma(s)
            transition = path.sigma(t) ** 2 - (path.alpha(t) / alpha_s * sigma_s) ** 2
            fresh = self.eta * sigma_s / path.sigma(t) * math.sqrt(max(transition, 0.0))
            steps.append(Step.of(path, t, alpha_s, math.sqrt(max(sigma_s**2 - fresh**2, 0.0)), fresh))
        return steps
