r"""Densities in one and two dimensions that are known exactly, with exact samples, log p(x) and entropy.

The entropy H = −E log p(x) is the least negative log-likelihood that any model can reach, so a model's score minus H is
its divergence from the truth.  Two kinds have a closed form or a one-dimensional integral for one:

* mixtures of Gaussians, p(x) = Σ_j w_j N(x; m_j, s_j² I);
* noisy curves, p(x) = mean over the curves of ∫_0^1 N(x; c(u), s² I) du, by Gauss–Legendre quadrature in √u.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from zoo_core.interfaces import DataSet
from zoo_core.randomness import Streams

__all__ = ["DENSITIES", "Checkerboard", "Density2D", "Mixture", "NoisyCurves", "Pinwheel"]


class Density2D(ABC):
    """A distribution over points ``(n, d)``.

    Attributes:
        dimensions: number of dimensions d, 1 or 2.
        entropy: entropy in nats; ``None`` where it is not known.
    """

    dimensions = 2
    entropy: float | None = None

    @abstractmethod
    def sample(self, streams: Streams) -> Tensor:
        """Draws one point per stream, ``(n, d)``."""

    def log_prob(self, x: Tensor) -> Tensor | None:
        """Returns log p(x) in nats, ``(n,)`` in float64; ``None`` where it is not known in closed form."""
        return None


class Mixture(Density2D):
    """A mixture of Gaussians, Σ_j w_j N(m_j, s_j² I).

    Args:
        means: means m_j, ``(k, d)``.
        scales: standard deviations s_j.
        weights: weights w_j, which sum to 1; equal unless given.
        entropy: entropy in nats.
    """

    def __init__(
        self,
        means: Sequence[Sequence[float]],
        scales: Sequence[float],
        weights: Sequence[float] | None = None,
        entropy: float | None = None,
    ) -> None:
        self.means = torch.tensor(means, dtype=torch.float64)
        self.scales = torch.tensor(scales, dtype=torch.float64)
        self.weights = torch.tensor(weights or [1 / len(means)] * len(means), dtype=torch.float64)
        self.dimensions, self.entropy = self.means.shape[1], entropy

    def sample(self, streams: Streams) -> Tensor:
        j = streams.categorical(self.weights)
        return self.means[j].to(streams.dtype) + self.scales[j, None].to(streams.dtype) * streams.normal(
            self.dimensions
        )

    def log_prob(self, x: Tensor) -> Tensor:
        squared = ((x.double()[:, None] - self.means) / self.scales[:, None]).square().sum(-1)
        constant = self.weights.log() - self.dimensions * (self.scales.log() + 0.5 * math.log(2 * math.pi))
        return torch.logsumexp(constant - 0.5 * squared, dim=1)


class NoisyCurves(Density2D):
    """The distribution of c(u) + N(0, s² I), for u uniform in [0, 1] and a curve c chosen at random.

    Args:
        curves: functions c from u ``(n,)`` to points ``(n, 2)``.
        scale: standard deviation s of the noise.
        entropy: entropy in nats.
    """

    nodes = 800

    def __init__(self, curves: Sequence[Callable[[Tensor], Tensor]], scale: float, entropy: float) -> None:
        self.curves, self.scale, self.entropy = curves, scale, entropy

    def sample(self, streams: Streams) -> Tensor:
        which = streams.integers(len(self.curves))
        u = streams.uniform(1).squeeze(1)
        points = torch.stack([curve(u) for curve in self.curves])[which, torch.arange(len(streams))]
        return points + self.scale * streams.normal(2)

    @cached_property
    def quadrature(self) -> tuple[Tensor, Tensor]:
        """The quadrature points on the curves ``(m, 2)`` and the logarithms of their weights, which sum to one."""
        at, weight = np.polynomial.legendre.leggauss(self.nodes)
        v = torch.from_numpy((at + 1) / 2)
        log_weight = (torch.from_numpy(weight / 2) * 2 * v / len(self.curves)).log()  # u = v², du = 2v dv
        return torch.cat([curve(v.square()) for curve in self.curves]), log_weight.repeat(len(self.curves))

    def log_prob(self, x: Tensor) -> Tensor:
        points, log_weight = self.quadrature
        constant = log_weight - math.log(2 * math.pi * self.scale**2)
        rows = []
        for part in torch.split(x.double(), 2048):
            squared = torch.cdist(part, points).square() / self.scale**2
            rows.append(torch.logsumexp(constant - 0.5 * squared, dim=1))
        return torch.cat(rows)


class Checkerboard(Density2D):
    """The uniform distribution on the squares of side 2 in [−4, 4]² whose indices have an even sum: H = ln 32."""

    entropy = math.log(32.0)

    def sample(self, streams: Streams) -> Tensor:
        row, column = streams.integers(4), streams.integers(2)
        corner = torch.stack([row, 2 * column + row % 2], dim=1).to(streams.dtype)
        return 2.0 * (corner + streams.uniform(2)) - 4.0

    def log_prob(self, x: Tensor) -> Tensor:
        square = (x.double() / 2).floor()
        inside = (x.abs() < 4).all(1) & (square.sum(1) % 2 == 0)
        outside = torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device)
        return outside.masked_fill(inside, -self.entropy)


class Pinwheel(Density2D):
    """Five arms: a = (1 + 0.3 z₁, 0.1 z₂), rotated by 2πk/5 + ¼·exp(a₁) and multiplied by 2 (Johnson et al. 2016)."""

    def sample(self, streams: Streams) -> Tensor:
        arm = streams.integers(5).to(streams.dtype)
        z = streams.normal(2)
        a, b = 1.0 + 0.3 * z[:, 0], 0.1 * z[:, 1]
        angle = 2 * math.pi * arm / 5 + 0.25 * a.exp()
        return 2.0 * torch.stack([a * angle.cos() + b * angle.sin(), -a * angle.sin() + b * angle.cos()], dim=1)


def _separated(k: int, scale: float) -> float:
    """Returns the entropy of k equal, disjoint Gaussian modes in the plane: ln k + ln(2πe s²)."""
    return math.log(k) + math.log(2 * math.pi * math.e * scale**2)


def _moon(u: Tensor) -> Tensor:
    return torch.stack([(math.pi * u).cos(), (math.pi * u).sin()], dim=1)


def _other_moon(u: Tensor) -> Tensor:
    return torch.stack([1 - (math.pi * u).cos(), 0.5 - (math.pi * u).sin()], dim=1)


def _roll(u: Tensor) -> Tensor:
    t = 1.5 * math.pi * (1 + 2 * u)
    return torch.stack([t * t.cos(), t * t.sin()], dim=1) / 5


def _spiral(u: Tensor) -> Tensor:
    t = 3 * math.pi * u.sqrt()
    return torch.stack([-t * t.cos(), t * t.sin()], dim=1) / 3


_RING = [[2 * math.cos(k * math.pi / 4), 2 * math.sin(k * math.pi / 4)] for k in range(8)]
_GRID = [[2.0 * i, 2.0 * j] for i in range(-2, 3) for j in range(-2, 3)]

# The entropies of the curves and of the 1-D mixture are integrals over a grid, correct to the given digits.
DENSITIES: dict[str, Density2D] = {
    "eight-gaussians": Mixture(_RING, [0.02] * 8, entropy=_separated(8, 0.02)),
    "25-grid": Mixture(_GRID, [0.05] * 25, entropy=_separated(25, 0.05)),
    "two-moons": NoisyCurves([_moon, _other_moon], 0.05, entropy=0.2892337376),
    "swiss-roll": NoisyCurves([_roll], 0.2, entropy=2.6696461739),
    "two-spirals": NoisyCurves([_spiral, lambda u: -_spiral(u)], 0.1, entropy=2.5406178943),
    "checkerboard": Checkerboard(),
    "pinwheel": Pinwheel(),
    "two-gaussians-1d": Mixture([[-2.0], [2.0]], [0.5, 0.7], [0.3, 0.7], entropy=1.5709637395),
}
"""The densities by registered name.  The curves follow scikit-learn's ``make_moons`` and Grathwohl et al. (2019); the
ring and the grid are those of the GAN literature (Metz et al. 2017)."""


def _split(name: str) -> Callable[..., DataSet]:
    def load(split: str, n: int = 10_000) -> DataSet:
        density = DENSITIES[name]
        x = density.sample(Streams(0, f"{name}/{split}", 0, n))
        return DataSet(name, split, x, entropy=density.entropy)

    load.__doc__ = f"Points of ``{name}``: ``(n, d)``, 10,000 unless ``n`` is given; point i does not depend on n."
    return load


eight_gaussians, grid_25 = _split("eight-gaussians"), _split("25-grid")
two_moons, swiss_roll, two_spirals = _split("two-moons"), _split("swiss-roll"), _split("two-spirals")
checkerboard, pinwheel, two_gaussians_1d = _split("checkerboard"), _split("pinwheel"), _split("two-gaussians-1d")
