r"""Noise levels of consistency training, their number and distribution, and the pseudo-Huber distance.

The levels are those of Karras et al. (2022, eq. 5) with ρ = 7,

    σ_i = (ε^{1/ρ} + (i/N)·(σ_max^{1/ρ} − ε^{1/ρ}))^ρ,      i = 0 … N,

and their number grows during training (Song & Dhariwal 2024, §3.4): N doubles from s_0 to s_1 at equal intervals of the
K steps,

    N(k) = min(s_0·2^{⌊k/K′⌋}, s_1),      K′ = ⌊K/(log₂⌊s_1/s_0⌋ + 1)⌋.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["discretisation", "levels", "lognormal_weights", "pseudo_huber"]

RHO = 7.0


def levels(count: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Computes σ_0 < … < σ_N with N = ``count``, float64 ``(N + 1,)``."""
    low, high = sigma_min ** (1.0 / RHO), sigma_max ** (1.0 / RHO)
    return (low + torch.linspace(0.0, 1.0, count + 1, dtype=torch.float64) * (high - low)) ** RHO


def discretisation(step: int, steps: int, first: int = 10, last: int = 1280) -> int:
    """Computes N(k), the number of intervals at a step.

    Args:
        step: number k of the step, from 0; steps beyond ``steps`` count as the last.
        steps: number K of all steps.
        first, last: numbers of intervals s_0 and s_1 at the beginning and at the end.
    """
    part = max(steps // (int(math.log2(last // first)) + 1), 1)
    return min(first * 2 ** min(step // part, 40), last)


def lognormal_weights(grid: Tensor, mean: float, spread: float) -> Tensor:
    """Computes the probability of each interval (Song & Dhariwal 2024, eq. 10), float64 ``(N,)``, summing to 1.

    Args:
        grid: noise levels σ_0 … σ_N.
        mean, spread: mean and standard deviation of log σ.
    """
    below = torch.special.ndtr((grid.log() - mean) / spread)
    mass = below.diff()
    return mass / mass.sum()


def pseudo_huber(a: Tensor, b: Tensor, c: float | None = None) -> Tensor:
    """Computes √(‖a − b‖² + c²) − c per sample, ``(n,)``; c = 0.00054·√d unless given (Song & Dhariwal 2024, eq. 9)."""
    gap = (a - b).flatten(1)
    c = 0.00054 * math.sqrt(gap.shape[1]) if c is None else c
    return torch.sqrt(gap.square().sum(1) + c * c) - c
