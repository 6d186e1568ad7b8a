r"""Mean and covariance of features, accumulated batch by batch.

    n,   s = Σ f,   S = Σ f fᵀ          in float64;        mean = s/n,   covariance = (S − s sᵀ/n)/(n − 1).

Sums add over batches and machines.  The extractor centres the features near the origin, so the subtraction does not
cancel digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Moments"]


@dataclass(frozen=True)
class Moments:
    """Sums over examples: ``total`` is s ``(d,)``, ``outer`` is S ``(d, d)``."""

    n: int
    total: Tensor
    outer: Tensor

    @classmethod
    def empty(cls, d: int) -> Moments:
        return cls(0, torch.zeros(d, dtype=torch.float64), torch.zeros(d, d, dtype=torch.float64))

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Computes the sums over the rows of ``(n, d)``."""
        f = features.double()
        return cls(len(f), f.sum(0), f.mT @ f)

    def merge(self, other: Moments) -> Moments:
        return Moments(self.n + other.n, self.total + other.total, self.outer + other.outer)

    def without(self, other: Moments) -> Moments:
        """Subtracts the sums of ``other``, a part of these examples."""
        return Moments(self.n - other.n, self.total - other.total, self.outer - other.outer)

    def mean(self) -> Tensor:
        return self.total / self.n

    def covariance(self) -> Tensor:
        """Returns the unbiased covariance, ``(d, d)``."""
        return (self.outer - torch.outer(self.total, self.total) / self.n) / (self.n - 1)
