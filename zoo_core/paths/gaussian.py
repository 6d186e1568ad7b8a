r"""A Gaussian path, its time grids, and the stochastic differential equation with the same marginals.

dx = f(t)·x dt + g(t) dw,      f = α′/α,      g² = 2σσ′ − 2fσ²          (Song et al. 2021; Kingma et al. 2021)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError

__all__ = ["GaussianPath", "Spacing", "broadcast"]

Spacing = Literal["trailing", "leading", "quadratic", "log-snr", "karras"]

LEAST_RATIO, GREATEST_RATIO = 0.002, 80.0
"""The range of σ/α of ``log-snr`` and ``karras`` grids (Karras et al. 2022, table 1), cut to that of the path."""


class GaussianPath(ABC):
    """x_t = α(t)·x + σ(t)·ε for t in [0, 1], in Python floats (float64).

    Attributes:
        independent: whether noise and data are drawn independently.  Where they are coupled (minibatch optimal
            transport, reflow) −ε̂/σ is not the score, and only ODE samplers are valid.
        t_min: least t at which the network was trained.
        t_max: greatest t at which the network's output determines x̂ (a noise or score prediction does not at α = 0).
    """

    independent: bool = True
    t_min: float = 0.0
    t_max: float = 1.0

    @abstractmethod
    def alpha(self, t: float) -> float:
        """Returns α(t), the coefficient of the data."""

    @abstractmethod
    def sigma(self, t: float) -> float:
        """Returns σ(t), the coefficient of the noise."""

    def alpha_dot(self, t: float) -> float:
        """Returns α′(t); by a central difference unless a path overrides it."""
        return _central_difference(self.alpha, t)

    def sigma_dot(self, t: float) -> float:
        """Returns σ′(t); by a central difference unless a path overrides it."""
        return _central_difference(self.sigma, t)

    def log_snr(self, t: float) -> float:
        """Returns log(α²/σ²), strictly decreasing in t; ±inf at the ends where σ or α is 0."""
        alpha, sigma = self.alpha(t), self.sigma(t)
        if sigma == 0.0:
            return math.inf
        return 2.0 * (math.log(alpha) - math.log(sigma)) if alpha > 0.0 else -math.inf

    def time_of_log_snr(self, log_snr: float) -> float:
        """Returns the t with log(α²/σ²) = ``log_snr``, or the nearer end of [0, 1]; by bisection unless overridden."""
        low, high = 0.0, 1.0  # log_snr decreases in t
        if log_snr >= self.log_snr(low):
            return low
        if log_snr <= self.log_snr(high):
            return high
        while (middle := 0.5 * (low + high)) not in (low, high):
            low, high = (middle, high) if self.log_snr(middle) > log_snr else (low, middle)
        return high

    def drift(self, t: float) -> float:
        """Returns f(t) = α′/α; −∞ where α is 0."""
        alpha = self.alpha(t)
        return self.alpha_dot(t) / alpha if alpha > 0.0 else -math.inf

    def diffusion_squared(self, t: float) -> float:
        """Returns g²(t) = 2σσ′ − 2(α′/α)σ², the rate at which the forward equation adds variance; +∞ where α is 0."""
        alpha, sigma = self.alpha(t), self.sigma(t)
        if alpha == 0.0:
            return math.inf
        return 2.0 * sigma * (self.sigma_dot(t) - self.alpha_dot(t) / alpha * sigma)

    def times(self, steps: int, spacing: Spacing = "trailing") -> list[float]:
        """Returns the time grid of a sampler: ``steps`` decreasing times at which the network is evaluated, then 0.

        Args:
            steps: number of solver steps, at least 1.
            spacing: ``trailing`` begins at pure noise, t_max·(1 − i/steps); ``leading`` ends at t_min and begins one
                stride below the noise (the names and the numbers are those of Lin et al. 2024, table 2);
                ``quadratic`` begins at t_max and has equal steps of √t down to t_min; ``log-snr`` has equal steps of
                log(σ/α), and ``karras`` of (σ/α)^(1/7) (Karras et al. 2022, eq. 5), both ends included.

        Raises:
            IncompatibleError: an unknown spacing.
        """
        if spacing == "trailing":
            return [self.t_max * (1.0 - i / steps) for i in range(steps)] + [0.0]
        if spacing == "leading":
            stride = (self.t_max - self.t_min) / steps
            return [self.t_min + i * stride for i in reversed(range(steps))] + [0.0]
        shares = [i / max(steps - 1, 1) for i in range(steps)]
        if spacing == "quadratic":
            first, last = math.sqrt(self.t_max), math.sqrt(max(self.t_min, 1e-4))
            return [(first + share * (last - first)) ** 2 for share in shares] + [0.0]
        if spacing in ("log-snr", "karras"):
            first, last = self._ratios()
            if spacing == "log-snr":
                ratios = [first * (last / first) ** share for share in shares]
            else:
                root = 1.0 / 7.0
                ratios = [(first**root + share * (last**root - first**root)) ** 7.0 for share in shares]
            times = [self.time_of_log_snr(-2.0 * math.log(ratio)) for ratio in ratios]
            return [min(max(t, self.t_min), self.t_max) for t in times] + [0.0]
        raise IncompatibleError(f"unknown spacing {spacing!r}; expected one of {', '.join(get_args(Spacing))}")

    def _ratios(self) -> tuple[float, float]:
        """Returns the greatest and the least σ/α of a ``log-snr`` or ``karras`` grid."""
        greatest = math.exp(-0.5 * self.log_snr(self.t_max)) if self.alpha(self.t_max) > 0.0 else math.inf
        least = self.sigma(self.t_min) / self.alpha(self.t_min)
        return min(greatest, GREATEST_RATIO), max(least, LEAST_RATIO)

    def diffuse(self, x: Tensor, noise: Tensor, t: float | Tensor) -> Tensor:
        """Returns x_t from data and noise of one shape ``(n, …)``; ``t`` is one time or one per sample ``(n,)``."""
        alpha, sigma = self.coefficients(t, like=x)
        return alpha * x + sigma * noise

    def coefficients(self, t: float | Tensor, like: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """Returns α(t) and σ(t), which broadcast against ``like``: floats, or ``(n, 1, …)`` for ``t`` ``(n,)``."""
        return _beside(self.alpha, t, like), _beside(self.sigma, t, like)

    def rates(self, t: float | Tensor, like: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """Returns α′(t) and σ′(t), in the shapes of :meth:`coefficients`."""
        return _beside(self.alpha_dot, t, like), _beside(self.sigma_dot, t, like)


def _beside(function: Callable[[float], float], t: float | Tensor, like: Tensor) -> Tensor | float:
    """Returns the values at t, in a shape that broadcasts against ``like``."""
    if not isinstance(t, Tensor):
        return function(t)
    values = torch.tensor([function(u) for u in t.tolist()], dtype=like.dtype, device=like.device)
    return broadcast(values, like)


def broadcast(values: Tensor, like: Tensor) -> Tensor:
    """Returns one number per sample, ``(n,)``, in the shape ``(n, 1, …)`` that multiplies samples.

    Args:
        values: numbers or truth values, ``(n,)`` or ``(1,)``.
        like: samples, ``(n, …)``.
    """
    return values.view(-1, *[1] * (like.ndim - 1))


def _central_difference(function: Callable[[float], float], t: float, step: float = 1e-5) -> float:
    low, high = max(t - step, 0.0), min(t + step, 1.0)
    return (function(high) - function(low)) / (high - low)
