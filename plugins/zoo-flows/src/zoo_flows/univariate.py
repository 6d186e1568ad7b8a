r"""Univariate maps with given parameters θ, which coupling and autoregressive layers apply elementwise.

Coupling layers, masked autoregressive layers and spline layers differ only in the map τ and in how θ is computed:

    z_i = τ(x_i; θ_i),      log |det ∂z/∂x| = Σ_i log |τ′(x_i; θ_i)|,

since ∂z/∂x is triangular in all of these layers.  For every map here, θ = 0 is the identity.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

LN_2 = math.log(2.0)

__all__ = ["Additive", "Affine", "SigmoidAffine", "Theta", "Univariate"]

Theta = Tensor | Sequence[Tensor]


class Univariate(ABC):
    """A map τ(·; θ), applied elementwise.

    Attributes:
        parameters: number of parameters θ per element.
        in_blocks: whether a coupling network's output is ordered by parameter (all shifts, then all scales), and not by
            element.
    """

    parameters: int
    in_blocks: bool = True

    @abstractmethod
    def forward(self, x: Tensor, theta: Theta) -> tuple[Tensor, Tensor | None]:
        """Computes τ(x; θ) and log |τ′(x; θ)|, in the shape of ``x``; ``None`` for a log that is 0 everywhere.

        Args:
            x: values, ``(n, d, …)``.
            theta: parameters θ, ``(parameters, n, d, …)``, or a sequence of ``parameters`` tensors ``(n, d, …)``.
        """

    @abstractmethod
    def inverse(self, z: Tensor, theta: Theta) -> Tensor:
        """Solves τ(x; θ) = z for x."""


class Additive(Univariate):
    """The additive map τ(x; b) = x + b (NICE; Dinh et al. 2015), which preserves volume."""

    parameters = 1

    def forward(self, x: Tensor, theta: Theta) -> tuple[Tensor, Tensor | None]:
        return x + theta[0], None

    def inverse(self, z: Tensor, theta: Theta) -> Tensor:
        return z - theta[0]


class Affine(Univariate):
    """The affine map τ(x; b, s) = x·e^a + b with a = c·tanh(s/c) (RealNVP; Dinh et al. 2017, eq. 7).

    Args:
        reach: bound c of a, so that inverses do not overflow.
    """

    parameters = 2

    def __init__(self, reach: float = 3.0) -> None:
        self.reach = reach

    def forward(self, x: Tensor, theta: Theta) -> tuple[Tensor, Tensor | None]:
        octaves = self._octaves(theta[1], self.reach / LN_2)
        return torch.addcmul(theta[0], x, octaves.exp2()), octaves * LN_2

    def inverse(self, z: Tensor, theta: Theta) -> Tensor:
        return (z - theta[0]) * self._octaves(theta[1], -self.reach / LN_2).exp2_()

    def _octaves(self, s: Tensor, most: float) -> Tensor:
        """Computes ±a/ln 2, between ±``most``."""
        # tanh(s/c) = 2·σ(2s/c) − 1, and e^a = 2^(a/ln 2): torch's own tanh and exp take three times as long on a CPU
        return torch.rsub(((2.0 / self.reach) * s).sigmoid_(), -most, alpha=-2.0 * most)


class SigmoidAffine(Univariate):
    """The map τ(x; b, s) = (x + b)·σ′(s + 2)/σ′(2) (Glow's code has σ(s + 2); here θ = 0 is the identity).

    Args:
        least: number m > 0 in σ′ = m + (1 − m)·σ, which bounds the scale so that samples do not overflow.
    """

    parameters = 2

    def __init__(self, least: float = 1e-3) -> None:
        self.least = least

    def forward(self, x: Tensor, theta: Theta) -> tuple[Tensor, Tensor | None]:
        log_scale = self._log_scale(theta[1])
        return (x + theta[0]) * log_scale.exp(), log_scale

    def inverse(self, z: Tensor, theta: Theta) -> Tensor:
        return z * torch.exp(-self._log_scale(theta[1])) - theta[0]

    def _log_scale(self, s: Tensor) -> Tensor:
        return self._log_share(s + 2.0) - self._log_share(torch.tensor(2.0, dtype=s.dtype, device=s.device))

    def _log_share(self, s: Tensor) -> Tensor:
        return torch.log(self.least + (1.0 - self.least) * torch.sigmoid(s))
