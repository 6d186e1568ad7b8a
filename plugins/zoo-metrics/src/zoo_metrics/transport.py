r"""Wasserstein distances between two sets of points.

    W_p(x, y)^p = min over permutations π of (1/n) Σ_i ‖x_i − y_π(i)‖^p

On a line the best permutation sorts both sets.  In more dimensions it solves an assignment problem, exactly for up to
2,000 points (SciPy).  The *sliced* distance is the root of the mean of W₂² over projections to random lines (Rabin et
al. 2011).  For finite sets of one distribution the distance is above zero; compare it with the floor.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoo_core.errors import PluginError
from zoo_core.randomness import generator
from zoo_metrics.collected import TwoSampleMetric

__all__ = ["SlicedWasserstein", "Wasserstein", "sliced_wasserstein", "wasserstein"]

CHUNK = 64


def wasserstein(x: Tensor, y: Tensor, p: int = 2) -> float:
    """Computes W_p exactly, between points ``(n, d)``; the longer set is cut to the length of the shorter.

    Raises:
        PluginError: d > 1, and SciPy is not installed.
    """
    count = min(len(x), len(y))
    x, y = x[:count].double(), y[:count].double()
    if x.shape[1] == 1:
        cost = (x.flatten().sort().values - y.flatten().sort().values).abs().pow(p)
        return cost.mean().item() ** (1 / p)
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as err:
        raise PluginError("the exact Wasserstein distance needs SciPy; pip install 'zoo-metrics[exact]'") from err
    cost = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").pow(p)
    rows, columns = linear_sum_assignment(cost.numpy())
    return float(cost[rows, columns].mean()) ** (1 / p)


def sliced_wasserstein(x: Tensor, y: Tensor, source: torch.Generator, directions: int = 512) -> float:
    """Computes the sliced W₂ between points ``(n, d)``; the longer set is cut to the length of the shorter."""
    count, d = min(len(x), len(y)), x.shape[1]
    x, y = x[:count], y[:count]
    along = torch.randn(directions, d, dtype=torch.float64, generator=source)
    along = (along / along.norm(dim=1, keepdim=True)).to(x.dtype)
    total = 0.0
    for part in torch.split(along, CHUNK):  # sorting is quickest along the contiguous axis
        gap = (part @ x.mT).sort(dim=1).values - (part @ y.mT).sort(dim=1).values
        total += gap.square_().mean(1).sum(dtype=torch.float64).item()
    return (total / directions) ** 0.5


class SlicedWasserstein(TwoSampleMetric):
    """The sliced W₂ of the coordinates: points, or grey values."""

    headline = True
    kind = name = "sliced-wasserstein"
    view = "coordinates"

    def scores(self, fake: Tensor, true: Tensor) -> Mapping[str, float]:
        return {self.name: sliced_wasserstein(fake, true, generator(0, "directions"))}

    def about(self) -> str:
        return "512 directions"


class Wasserstein(TwoSampleMetric):
    """The exact W₂ of the coordinates of 2,000 samples."""

    kind = name = "wasserstein"
    view = "coordinates"
    most = 2000

    def scores(self, fake: Tensor, true: Tensor) -> Mapping[str, float]:
        return {self.name: wasserstein(fake, true)}

    def about(self) -> str:
        return "exact W₂"
