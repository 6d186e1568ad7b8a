r"""Integrates a density over the whole line or plane, and over parts of it.

The space is mapped to the square, x = c + s·u/(1 − u²) with u in (−1, 1) for each coordinate, and divided into cells.
A cell's mass is computed with Gauss–Legendre nodes; cells are halved in every direction for as long as that changes
their mass.  Cells that contain known points of the distribution are halved a few times in any case, so that a narrow
mode is not missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Cells", "integrate"]

NODES = 4
FIRST = {1: 256, 2: 24}
SEEDED = 3
"""Least number of times that a cell with a known point is halved."""
BUDGET = 600_000
"""Greatest number of evaluations of the density."""
TOLERANCE = 1e-4
"""Tolerance of the whole integral."""
CHUNK = 20_000


@dataclass(frozen=True)
class Cells:
    """Cells that cover the space, with their masses.

    Attributes:
        low, high: lower and upper corners of the cells in u, ``(m, d)``.
        mass: integral of the density over each cell, ``(m,)``.
        error: estimated error of the whole integral.
        centre, scale: parameters c and s of the map from u to x, ``(d,)``.
    """

    low: Tensor
    high: Tensor
    mass: Tensor
    error: float
    centre: Tensor
    scale: Tensor

    @property
    def total(self) -> float:
        return self.mass.sum().item()

    def regions(self, count: int) -> tuple[Tensor, Tensor]:
        """Joins the cells to at most ``count`` compact regions of nearly equal mass, along a Z-order curve.

        Returns:
            The number of each cell's region ``(m,)``, and each region's fraction of the whole mass ``(count,)``.
        """
        order = _z_order((self.low + self.high) / 2).argsort()
        share = self.mass[order] / self.total
        middle = share.cumsum(0) - share / 2
        region = torch.empty(len(order), dtype=torch.int64)
        region[order] = (middle * count).long().clamp(0, count - 1)
        return region, torch.zeros(count, dtype=torch.float64).index_add_(0, region, self.mass / self.total)

    def locate(self, x: Tensor) -> Tensor:
        """Finds the number of each point's cell, ``(n,)``."""
        u = _to_square(x.double(), self.centre, self.scale)
        found = []
        for part in torch.split(u, 256):
            inside = ((part[:, None] >= self.low) & (part[:, None] < self.high)).all(2)
            found.append(inside.int().argmax(1))
        return torch.cat(found)


def integrate(log_prob: Callable[[Tensor], Tensor], points: Tensor) -> Cells:
    """Integrates a density over cells that are refined where it varies.

    Args:
        log_prob: function that returns the log-density ``(n,)`` of points ``(n, d)`` in float64; d is 1 or 2.
        points: points at which the density is known to have mass, such as samples or data, ``(n, d)``.
    """
    points = points.double()
    d = points.shape[1]
    centre = points.median(0).values
    scale = (points - centre).abs().quantile(0.8, dim=0).clamp_min(1e-6) * 2
    known = _to_square(points, centre, scale)
    axis = torch.linspace(-1, 1, FIRST[d] + 1, dtype=torch.float64)
    low = torch.cartesian_prod(*[axis[:-1]] * d).view(-1, d)
    high = low + 2 / FIRST[d]
    mass = _masses(log_prob, low, high, centre, scale)
    done_low, done_high, done_mass, error, used, level = [], [], [], 0.0, len(low) * NODES**d, 0
    while len(low):
        child_low, child_high = _halved(low, high)
        child_mass = _masses(log_prob, child_low, child_high, centre, scale)
        used += len(child_low) * NODES**d
        change = (child_mass.view(-1, 2**d).sum(1) - mass).abs()
        again = change > TOLERANCE / 100
        if level < SEEDED:
            again |= _has_any(low, high, known)
        if used >= BUDGET:
            again[:] = False
        error += change[~again].sum().item()
        rows = again.repeat_interleave(2**d)
        done_low.append(child_low[~rows])
        done_high.append(child_high[~rows])
        done_mass.append(child_mass[~rows])
        low, high, mass = child_low[rows], child_high[rows], child_mass[rows]
        level += 1
    return Cells(torch.cat(done_low), torch.cat(done_high), torch.cat(done_mass), error, centre, scale)


def _masses(log_prob: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    """Integrates the density over each cell."""
    d = low.shape[1]
    node, weight = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(NODES))
    nodes = torch.cartesian_prod(*[node] * d).view(-1, d)
    weights = torch.cartesian_prod(*[weight] * d).view(-1, d).prod(1)
    half = (high - low)[:, None] / 2
    u = low[:, None] + half * (nodes + 1)
    x = centre + scale * u / (1 - u.square())
    log_volume = (scale * (1 + u.square()) / (1 - u.square()).square() * half).log().sum(2)
    flat = torch.cat([log_prob(part).double() for part in torch.split(x.view(-1, d), CHUNK)])
    return ((flat.view(log_volume.shape) + log_volume).exp() * weights).sum(1)


def _halved(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Halves each cell in every direction; the 2^d parts of a cell are consecutive."""
    d = low.shape[1]
    corner = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * d).view(-1, d)
    half = (high - low)[:, None] / 2
    first = low[:, None] + half * corner
    return first.view(-1, d), (first + half).view(-1, d)


def _has_any(low: Tensor, high: Tensor, known: Tensor) -> Tensor:
    """Says for each cell whether it contains a known point."""
    parts = [((known >= a[:, None]) & (known < b[:, None])).all(2).any(1) for a, b in _chunks(low, high)]
    return torch.cat(parts)


def _chunks(low: Tensor, high: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(torch.split(low, 1024), torch.split(high, 1024), strict=True))


def _to_square(x: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    """Maps x to u: the root of u/(1 − u²) = (x − c)/s in (−1, 1)."""
    y = (x - centre) / scale
    return 2 * y / (1 + (1 + 4 * y.square()).sqrt())


def _z_order(u: Tensor, bits: int = 20) -> Tensor:
    """Returns the position of points of the square on a Z-order curve, which keeps neighbours together."""
    cell = ((u + 1) / 2 * 2**bits).long().clamp(0, 2**bits - 1)
    d = u.shape[1]
    code = torch.zeros(len(u), dtype=torch.int64)
    for bit in range(bits):
        for axis in range(d):
            code |= ((cell[:, axis] >> bit) & 1) << (bit * d + axis)
    return code
