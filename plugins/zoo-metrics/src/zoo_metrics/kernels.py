r"""Maximum mean discrepancies: kernel distances between two sets (Gretton et al. 2012).

The unbiased estimate is a U-statistic with mean 0 for two sets of one distribution, so it may be negative:

    MMD² = Σ_{i≠j} k(x_i, x_j)/(n(n−1)) + Σ_{i≠j} k(y_i, y_j)/(m(m−1)) − 2 Σ_{ij} k(x_i, y_j)/(nm).

*KID* is MMD² of features with the kernel (x·y/d + 1)³ (Bińkowski et al. 2018), which depends on the origin and on the
scale: the features are centred and scaled by the extractor.  *MMD* has the kernel exp(−‖x − y‖²/2h²), h the median
distance between real examples.  Matrix products are in the type of the rows, sums in float64, for one chunk of rows at
a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from zoo_metrics.collected import TwoSampleMetric

__all__ = ["KernelInceptionDistance", "MaximumMeanDiscrepancy", "cubic", "gaussian", "median_distance", "unbiased_mmd"]

Kernel = Callable[[Tensor, Tensor], Tensor]
CHUNK = 1024


def cubic(x: Tensor, y: Tensor) -> Tensor:
    """Computes the kernel (x·y/d + 1)³, ``(n, m)``."""
    return (x @ y.mT / x.shape[1] + 1.0).pow_(3)


def gaussian(bandwidth: float) -> Kernel:
    """Makes the kernel exp(−‖x − y‖²/2h²) with bandwidth h."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        squared = torch.addmm(y.square().sum(1), x, y.mT, alpha=-2.0).add_(x.square().sum(1, keepdim=True))
        return squared.clamp_min_(0.0).mul_(-0.5 / bandwidth**2).exp_()

    return kernel


def unbiased_mmd(x: Tensor, y: Tensor, kernel: Kernel) -> float:
    """Computes the unbiased MMD² of rows ``(n, d)`` and ``(m, d)``."""
    n, m = len(x), len(y)
    between = _sum(x, y, kernel, skip_diagonal=False) / (n * m)
    return (
        _sum(x, x, kernel, skip_diagonal=True) / (n * (n - 1))
        + _sum(y, y, kernel, skip_diagonal=True) / (m * (m - 1))
        - 2.0 * between
    )


def median_distance(x: Tensor, most: int = 1000) -> float:
    """Computes the median distance between the first ``most`` rows.

    Where most of them are equal, as throws of a coin are, it is that of the distances above 0; 1 if there are none.
    """
    distances = torch.pdist(x[:most])
    if not float(median := distances.median()) > 0.0:
        apart = distances[distances > 0.0]
        return apart.median().item() if len(apart) else 1.0
    return median.item()


def _sum(x: Tensor, y: Tensor, kernel: Kernel, *, skip_diagonal: bool) -> float:
    total = 0.0
    for start in range(0, len(x), CHUNK):
        values = kernel(x[start : start + CHUNK], y)
        if skip_diagonal:
            values.diagonal(start).zero_()
        total += values.sum(dtype=torch.float64).item()
    return total


class KernelInceptionDistance(TwoSampleMetric):
    """KID with the features of the data set's extractor."""

    kind = name = "kid"

    def scores(self, fake: Tensor, true: Tensor) -> Mapping[str, float]:
        return {"kid": unbiased_mmd(fake, true, cubic)}

    def about(self) -> str:
        return "cubic kernel, unbiased"


class MaximumMeanDiscrepancy(TwoSampleMetric):
    """MMD² of the coordinates with a Gaussian kernel."""

    kind = name = "mmd"
    view = "coordinates"

    def scores(self, fake: Tensor, true: Tensor) -> Mapping[str, float]:
        return {"mmd": unbiased_mmd(fake, true, gaussian(median_distance(true)))}

    def about(self) -> str:
        return "squared, Gaussian kernel of the median distance, unbiased"
