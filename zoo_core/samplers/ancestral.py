r"""Ancestral sampling: the reverse Markov chain of the path, with steps of any length (Ho et al. 2020, algorithm 2).

From t to s the forward transition has variance β = σ_t² − (α_t/α_s)²·σ_s², and the posterior q(x_s | x_t, x̂) has

    mean  α_s·x̂ + √(σ_s² − β̃)·ε̂,      variance  β̃ = β·σ_s²/σ_t².

The chain adds noise of variance β̃ (``fixed_small``), β (``fixed_large``), or what the network learned
between the two.  On the whole table of a DDPM these are the paper's β_k and β̃_k.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Denoiser
from zoo_core.paths import DiscretePath, Spacing
from zoo_core.samplers.path import PathSampler, Step

__all__ = ["Ancestral"]

VarianceChoice = Literal["model", "fixed_small", "fixed_large", "learned"]


class Ancestral(PathSampler):
    """Ancestral sampling along the reverse Markov chain.

    Args:
        steps: number of solver steps, each of one network evaluation; all T of a discrete path unless given, 1000 on
            a continuous one.
        variance: ``model`` (the one that the model was trained for), ``fixed_small``, ``fixed_large`` or ``learned``.
        spacing: time grid.
        clip: whether x̂ is held in the range of the data.
    """

    name = "ancestral"
    adds_noise = True

    def __init__(
        self,
        steps: int | None = None,
        variance: VarianceChoice = "model",
        spacing: Spacing = "trailing",
        clip: bool | None = None,
    ) -> None:
        if variance not in get_args(VarianceChoice):
            raise IncompatibleError(f"variance = {variance!r}; expected one of {', '.join(get_args(VarianceChoice))}")
        super().__init__(1000 if steps is None else steps, spacing, clip)
        self.all_steps = steps is None
        self.variance: VarianceChoice = variance

    def fits(self, model: Denoiser) -> str | None:
        if self.variance == "learned" and model.variance != "learned":
            return f"cannot use variance = 'learned': this model was trained with {model.variance}"
        return super().fits(model)

    def times(self, model: Denoiser) -> list[float]:
        path = model.path
        steps = path.steps if self.all_steps and isinstance(path, DiscretePath) else self.steps
        return path.times(steps, self.spacing)

    def plan(self, model: Denoiser, times: Sequence[float]) -> list[Step]:
        variance = model.variance if self.variance == "model" else self.variance
        path, steps = model.path, []
        for t, s in pairwise(times):
            alpha_s, sigma_s = path.alpha(s), path.sigma(s)
            large = math.sqrt(max(path.sigma(t) ** 2 - (path.alpha(t) / alpha_s * sigma_s) ** 2, 0.0))
            small = large * sigma_s / path.sigma(t)
            kept = math.sqrt(max(sigma_s**2 - small**2, 0.0))
            last = sigma_s == 0.0
            fresh = 0.0 if last else large if variance == "fixed_large" else small
            steps.append(Step.of(path, t, alpha_s, kept, fresh, large if variance == "learned" else None))
        return steps
