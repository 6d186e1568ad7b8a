r"""The exact score of noisy data whose density is known.

A mixture of Gaussians remains one on a Gaussian path: with components N(m_j, s_j² I) of weight w_j,

    p_t(x) = Σ_j w_j N(x; α·m_j, v_j I),    v_j = α²·s_j² + σ²,
    ∇ log p_t(x) = Σ_j γ_j(x)·(α·m_j − x)/v_j,    γ_j(x) = p(j | x).

A noisy curve is a mixture at its quadrature points.  Data of unknown density are a mixture at the data points (s_j =
0), whose p_t is Parzen's estimate with a Gaussian window (Vincent 2011, eq. 6).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo_core.datasets.densities import DENSITIES, Mixture, NoisyCurves
from zoo_core.errors import IncompatibleError
from zoo_core.paths import GaussianPath

__all__ = ["ExactScore"]


class ExactScore:
    """The score ∇ log p_t of a mixture of Gaussians.

    Args:
        means: means m_j, ``(k, *shape)``.
        scales: standard deviations s_j, ``(k,)``.
        log_weights: logarithms of the weights w_j, ``(k,)``.
    """

    def __init__(self, means: Tensor, scales: Tensor, log_weights: Tensor) -> None:
        self.means, self.scales, self.log_weights = means.double(), scales.double(), log_weights.double()

    @classmethod
    def of(cls, density: str) -> ExactScore:
        """Makes the score of one of the core's densities, by its name as a data set (``two-moons``, …).

        Raises:
            IncompatibleError: there is no such density, or its score has no closed form.
        """
        found = DENSITIES.get(density)
        if isinstance(found, Mixture):
            return cls(found.means, found.scales, found.weights.log())
        if isinstance(found, NoisyCurves):
            points, log_weights = found.quadrature
            return cls(points, torch.full((len(points),), found.scale), log_weights)
        known = [name for name, d in DENSITIES.items() if isinstance(d, (Mixture, NoisyCurves))]
        raise IncompatibleError(f"density = {density!r} has no score in closed form; expected {', '.join(known)}")

    @classmethod
    def parzen(cls, x: Tensor) -> ExactScore:
        """Makes the score of the mixture at data points ``x``, ``(k, *shape)``."""
        zeros = torch.zeros(len(x), device=x.device)
        return cls(x, zeros, zeros - math.log(len(x)))

    def __call__(self, path: GaussianPath, x_t: Tensor, t: Tensor) -> Tensor:
        """Computes the score at points ``(n, *shape)`` and times ``(n,)`` in float64; returns the type of ``x_t``."""
        x, means = x_t.flatten(1).double(), self.means.to(x_t.device).flatten(1)
        alpha, sigma = (torch.as_tensor(c) for c in path.coefficients(t, like=x))
        variance = alpha**2 * self.scales.to(x) ** 2 + sigma**2  # (n, k)
        distance = (x.square().sum(1, keepdim=True) - 2 * alpha * (x @ means.T)) + alpha**2 * means.square().sum(1)
        d = x.shape[1]
        share = torch.softmax(self.log_weights.to(x) - 0.5 * (distance / variance + d * variance.log()), dim=1)
        pull = share / variance
        return (alpha * (pull @ means) - pull.sum(1, keepdim=True) * x).view(x_t.shape).to(x_t)
