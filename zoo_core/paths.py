r"""Gaussian paths: the common language of DDPM, score SDEs, flow matching and consistency models.

A path takes data x to noise ε through

    x_t = α(t)·x + σ(t)·ε,        t = 0: data,   t = 1: noise,   ε ~ N(0, I),

and a network that sees x_t answers in one of several currencies.  All of them are affine in (x, ε), so each is worth a
*prediction* (x̂, ε̂), which is all that a sampler, a guide or a likelihood ever sees:

| prediction | the network's output o  | x̂                        | ε̂                        |
|------------|-------------------------|--------------------------|--------------------------|
| noise      | ε                       | (x_t − σo)/α             | o                        |
| data       | x                       | o                        | (x_t − αo)/σ             |
| v          | αε − σx                 | (αx_t − σo)/(α²+σ²)      | (σx_t + αo)/(α²+σ²)      |
| velocity   | α′x + σ′ε               | (σo − σ′x_t)/(α′σ − σ′α) | (α′x_t − αo)/(α′σ − σ′α) |
| score      | ∇ log p_t(x_t) = −ε/σ   | (x_t + σ²o)/α            | −σo                      |

Signs and clocks of the published families differ from this one and are translated here, and nowhere else:

| family                        | its clock                 | here                          |
|-------------------------------|---------------------------|-------------------------------|
| DDPM, index k = 0 … T−1       | k                         | t = (k + 1)/T                 |
| score SDE                     | t from 0 (data) to 1      | t                             |
| flow matching                 | s from 0 (noise) to 1     | t = 1 − s, velocity negated   |
| EDM                           | σ̂ from 0 to σ_max         | σ̂ = σ(t)/α(t)                 |
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError

__all__ = ["DiscretePath", "GaussianPath", "Prediction", "PredictionType", "Spacing", "to_prediction"]

PredictionType = Literal["noise", "data", "v", "velocity", "score"]
Spacing = Literal["trailing", "leading"]


@dataclass(frozen=True)
class Prediction:
    """What a network says about x_t: the data it came from and the noise that was added.

    Attributes:
        data: x̂, the shape of x_t.
        noise: ε̂, the shape of x_t.
        variance_mix: ν in [0, 1] for models that learn the variance of the reverse step,
            log Σ = ν·log β + (1 − ν)·log β̃ (Nichol & Dhariwal 2021, eq. 15); ``None`` for the others.
    """

    data: Tensor
    noise: Tensor
    variance_mix: Tensor | None = None


class GaussianPath(ABC):
    """x_t = α(t)·x + σ(t)·ε for t in [0, 1], in Python floats (float64).

    Attributes:
        independent: whether noise and data are drawn independently.  Where they are coupled (minibatch optimal
            transport, reflow) −ε̂/σ is not the score, and only ODE samplers are right.
        t_min: the least t at which the network was trained.
        t_max: the greatest t at which its head is well conditioned (a noise or score prediction is not where α = 0).
    """

    independent: bool = True
    t_min: float = 0.0
    t_max: float = 1.0

    @abstractmethod
    def alpha(self, t: float) -> float:
        """α(t), the share of data."""

    @abstractmethod
    def sigma(self, t: float) -> float:
        """σ(t), the share of noise."""

    def alpha_dot(self, t: float) -> float:
        """α′(t); a central difference unless the path knows better."""
        return _central_difference(self.alpha, t)

    def sigma_dot(self, t: float) -> float:
        """σ′(t); a central difference unless the path knows better."""
        return _central_difference(self.sigma, t)

    def log_snr(self, t: float) -> float:
        """log(α²/σ²), strictly decreasing in t; ±inf at the ends where σ or α is 0."""
        alpha, sigma = self.alpha(t), self.sigma(t)
        if sigma == 0.0:
            return math.inf
        return 2.0 * (math.log(alpha) - math.log(sigma)) if alpha > 0.0 else -math.inf

    def times(self, steps: int, spacing: Spacing = "trailing") -> list[float]:
        """The grid of a sampler: ``steps`` falling times at which the network is asked, and 0.

        Args:
            steps: how many, at least 1.
            spacing: ``trailing`` begins at pure noise, t_max·(1 − i/steps); ``leading`` ends at t_min and begins one
                stride below the noise (the names and the numbers are those of Lin et al. 2024, table 2).

        Raises:
            IncompatibleError: an unknown spacing.
        """
        if spacing == "trailing":
            return [self.t_max * (1.0 - i / steps) for i in range(steps)] + [0.0]
        if spacing == "leading":
            stride = (self.t_max - self.t_min) / steps
            return [self.t_min + i * stride for i in reversed(range(steps))] + [0.0]
        raise IncompatibleError(f"unknown spacing {spacing!r}; expected one of {', '.join(get_args(Spacing))}")

    def diffuse(self, x: Tensor, noise: Tensor, t: float | Tensor) -> Tensor:
        """x_t from data and noise of one shape ``(n, …)``; ``t`` is one time or one per sample ``(n,)``."""
        alpha, sigma = self.coefficients(t, like=x)
        return alpha * x + sigma * noise

    def coefficients(self, t: float | Tensor, like: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """α(t) and σ(t), ready to multiply ``like``: floats, or tensors ``(n, 1, …)`` where ``t`` is ``(n,)``."""
        if isinstance(t, Tensor):
            shape = (-1, *[1] * (like.ndim - 1))
            times = t.tolist()
            return (
                torch.tensor([self.alpha(u) for u in times], dtype=like.dtype, device=like.device).view(shape),
                torch.tensor([self.sigma(u) for u in times], dtype=like.dtype, device=like.device).view(shape),
            )
        return self.alpha(t), self.sigma(t)


class DiscretePath(GaussianPath):
    """The variance-preserving path of a table ᾱ_0 … ᾱ_{T−1} (DDPM): α = √ᾱ, σ = √(1 − ᾱ).

    Between the entries log ᾱ is interpolated linearly; entry k stands at t = (k + 1)/T and t = 0 is the data itself.

    Args:
        alpha_bar: the T cumulative products, strictly decreasing, in (0, 1).

    Raises:
        ValueError: the table is empty, not decreasing, or leaves (0, 1).
    """

    def __init__(self, alpha_bar: Sequence[float]) -> None:
        table = [1.0, *map(float, alpha_bar)]
        if len(table) < 2 or any(not 0.0 < b < a for a, b in pairwise(table)):
            raise ValueError("alpha_bar must be a non-empty, strictly decreasing table with values in (0, 1)")
        self._alpha_bar = table
        self.t_min = 1.0 / self.steps

    @property
    def steps(self) -> int:
        """T, the length of the table."""
        return len(self._alpha_bar) - 1

    def time(self, index: int) -> float:
        """The time t of table entry ``index``; index −1 is the data, t = 0."""
        return (index + 1) / self.steps

    def index(self, t: float) -> float:
        """The (fractional) table entry at time ``t``; whole where t is that of an entry."""
        position = t * self.steps
        nearest = round(position)
        return (nearest if abs(position - nearest) < 1e-9 * self.steps else position) - 1

    def times(self, steps: int, spacing: Spacing = "trailing") -> list[float]:
        """As on any path, but at whole entries of the table: the network was trained there.

        Raises:
            IncompatibleError: more steps than the table has, or an unknown spacing.
        """
        if steps > self.steps:
            raise IncompatibleError(
                f"steps = {steps}; this model has a noise schedule of {self.steps} steps, no more can be taken"
            )
        if spacing == "leading":
            return [self.time(i * (self.steps // steps)) for i in reversed(range(steps))] + [0.0]
        return [self.time(round(t * self.steps) - 1) for t in super().times(steps, spacing)]

    def alpha_bar(self, t: float) -> float:
        """ᾱ(t) = α(t)²."""
        position = self.index(t) + 1
        below = min(max(int(position), 0), self.steps)
        if position == below or below == self.steps:
            return self._alpha_bar[below]
        low, high = math.log(self._alpha_bar[below]), math.log(self._alpha_bar[below + 1])
        return math.exp(low + (position - below) * (high - low))

    def alpha(self, t: float) -> float:
        return math.sqrt(self.alpha_bar(t))

    def sigma(self, t: float) -> float:
        return math.sqrt(1.0 - self.alpha_bar(t))


def to_prediction(
    path: GaussianPath, kind: PredictionType, x_t: Tensor, t: float | Tensor, output: Tensor
) -> Prediction:
    """Converts a network's output to a prediction (x̂, ε̂).

    Args:
        path: the path on which ``x_t`` lies.
        kind: the currency of ``output``.
        x_t: the noisy data, ``(n, …)``.
        t: one time for all, or one per sample ``(n,)``.
        output: the network's answer, the shape of ``x_t``.

    Raises:
        ValueError: ``kind`` is none of the five.
    """
    alpha, sigma = path.coefficients(t, like=x_t)
    if kind == "noise":
        return Prediction(data=(x_t - sigma * output) / alpha, noise=output)
    if kind == "data":
        return Prediction(data=output, noise=(x_t - alpha * output) / sigma)
    if kind == "score":
        return Prediction(data=(x_t + sigma * sigma * output) / alpha, noise=-sigma * output)
    if kind == "v":
        norm = alpha * alpha + sigma * sigma
        return Prediction(data=(alpha * x_t - sigma * output) / norm, noise=(sigma * x_t + alpha * output) / norm)
    if kind == "velocity":
        shape = (-1, *[1] * (x_t.ndim - 1))
        if isinstance(t, Tensor):
            alpha_dot: Tensor | float = x_t.new_tensor([path.alpha_dot(u) for u in t.tolist()]).view(shape)
            sigma_dot: Tensor | float = x_t.new_tensor([path.sigma_dot(u) for u in t.tolist()]).view(shape)
        else:
            alpha_dot, sigma_dot = path.alpha_dot(t), path.sigma_dot(t)
        det = alpha_dot * sigma - sigma_dot * alpha
        return Prediction(data=(sigma * output - sigma_dot * x_t) / det, noise=(alpha_dot * x_t - alpha * output) / det)
    raise ValueError(f"unknown prediction type {kind!r}; expected one of {', '.join(get_args(PredictionType))}")


def _central_difference(function: Callable[[float], float], t: float, step: float = 1e-5) -> float:
    low, high = max(t - step, 0.0), min(t + step, 1.0)
    return (function(high) - function(low)) / (high - low)
