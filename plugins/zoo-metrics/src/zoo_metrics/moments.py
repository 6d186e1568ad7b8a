r"""Mean and covariance of features, batch by batch.

    n,   s = Σ f,   S = Σ f fᵀ          in float64;        mean = s/n,   covariance = (S − s sᵀ/n)/(n − 1).

Sums add over batches and machines.  The features are centred near the origin (the extractor sees to it), so that the
subtraction costs no digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Moments"]


@dataclass(frozen=True)
class Moments:
    """The sums over some examples: ``total`` is s ``(d,)``, ``outer`` is S ``(d, d)``."""

    n: int
    total: Tensor
    outer: Tensor

    @classmethod
    def empty(cls, d: int) -> Moments:
        return cls(0, torch.zeros(d, dtype=torch.float64), torch.zeros(d, d, dtype=torch.float64))

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """The sums over the rows of ``(n, d)``."""
        f = features.double()
        return cls(len(f), f.sum(0), f.mT @ f)

    def merge(self, other: Moments) -> Moments:
        return Moments(self.n + other.n, self.total + other.total, self.outer + other.outer)

    def without(self, other: Moments) -> Moments:
        """The sums over those that are not in ``other``, which must be a part of this."""
        return Moments(self.n - other.n, self.total - other.total, self.outer - other.outer)

    def mean(self) -> Tensor:
        return self.total / self.n

    def covariance(self) -> Tensor:
        """The unbiased covariance, ``(d, d)``."""
        return (self.outer - torch.outer(self.total, self.total) / self.n) / (self.n - 1)
