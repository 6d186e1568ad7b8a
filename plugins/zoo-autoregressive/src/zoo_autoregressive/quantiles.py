"""Piecewise linear maps that take the values of a column to the logistic distribution of variance 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo_autoregressive.mixtures import UNIT
from zoo_core.errors import IncompatibleError

__all__ = ["QuantileMap"]

CLOSEST = 1e-4
"""Least distance of knots, in standard deviations."""


class QuantileMap(nn.Module):
    """Piecewise linear maps T of some columns, increasing, with straight tails; the identity until :meth:`fit`.

    Args:
        columns: number of columns.
        knots: number of knots, at least 2.

    The buffers ``x`` and ``z`` are the knots ``(columns, knots)``; ``slopes`` ``(columns, knots + 1)`` those of the
    left tail, of each segment, and of the right tail.
    """

    x: Tensor
    z: Tensor
    slopes: Tensor

    def __init__(self, columns: int, knots: int) -> None:
        super().__init__()
        if knots < 2:
            raise IncompatibleError(f"knots = {knots}; expected at least 2")
        line = torch.linspace(-1.0, 1.0, knots).expand(columns, -1)
        self.register_buffer("x", line.clone())
        self.register_buffer("z", line.clone())
        self.register_buffer("slopes", torch.ones(columns, knots + 1))

    def fit(self, column: int, values: Tensor) -> None:
        """Sets the knots of a column to quantiles of its values, ``(n,)``, which may repeat but not all be equal."""
        seen, counts = torch.unique(values.double(), return_counts=True)
        rank = (counts.cumsum(0) - 0.5 * counts) / counts.sum()
        most = min(self.x.shape[1], max(2, len(values) // 4), len(seen))
        wanted = torch.linspace(float(rank[0]), float(rank[-1]), most, dtype=torch.float64)
        places = torch.unique(torch.searchsorted(rank, wanted - 1e-12).clamp(max=len(seen) - 1))
        kept = [int(places[0])]
        for place in places[1:].tolist():
            if seen[place] - seen[kept[-1]] > CLOSEST:
                kept.append(place)
        if len(kept) < 2:
            return
        x, z = seen[kept], UNIT * torch.logit(rank[kept])
        tail = max(1, len(kept) // 10)
        left, right = (z[tail] - z[0]) / (x[tail] - x[0]), (z[-1] - z[-1 - tail]) / (x[-1] - x[-1 - tail])
        more = torch.arange(1, self.x.shape[1] - len(kept) + 1, dtype=torch.float64)
        self.x[column] = torch.cat([x, x[-1] + more / right])
        self.z[column] = torch.cat([z, z[-1] + more])
        self.slopes[column] = torch.cat([left[None], z.diff() / x.diff(), right.expand(len(more) + 1)])

    def forward(self, x: Tensor, column: slice | int = slice(None)) -> tuple[Tensor, Tensor]:
        """Returns T(x) and log T′(x) of ``(n, columns)``, or of one column ``(n,)``."""
        which, start, slope = self._segment(self.x[column], x, column)
        return _at(self.z[column], which) + (x - start) * slope, slope.log()

    def inverse(self, z: Tensor, column: int) -> Tensor:
        """Returns T⁻¹(z) of one column, ``(n,)``."""
        which, start, slope = self._segment(self.z[column], z, column)
        return _at(self.x[column], which) + (z - start) / slope

    def _segment(self, knots: Tensor, at: Tensor, column: slice | int) -> tuple[Tensor, Tensor, Tensor]:
        """Finds the knot where the segment of each number begins, its value, and the slope."""
        place = torch.searchsorted(knots, (at.detach().mT if at.dim() == 2 else at.detach()).contiguous())
        place = place.mT if at.dim() == 2 else place
        which = (place - 1).clamp(min=0)
        return which, _at(knots, which), _at(self.slopes[column], place)


def _at(table: Tensor, places: Tensor) -> Tensor:
    """Reads ``table[j, places[i, j]]``, or ``table[places]`` of one column."""
    return table[places] if table.dim() == 1 else table.mT.gather(0, places)
