"""Finds clusters of frames to begin with: random distinct frames as centres, and ten of Lloyd's steps."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["clusters"]


def clusters(x: Tensor, k: int, weights: Tensor, source: torch.Generator) -> Tensor:
    """Assigns rows to k clusters, int64 ``(n,)``; a cluster may be empty where there are fewer rows.

    Args:
        x: rows, ``(n, D)``, measured in units of their standard deviations.
        k: number of clusters.
        weights: weights of the rows, ``(n,)``, greater than 0.
        source: generator.
    """
    if k == 1 or len(x) <= k:
        return torch.arange(len(x), device=x.device) % k
    x = (x - x.mean(0)) / x.std(0).clamp_min(1e-12)
    centres = x[torch.randperm(len(x), generator=source)[:k].to(x.device)]
    assigned = torch.cdist(x, centres).argmin(1)
    for _ in range(10):
        size = weights.new_zeros(k).index_add_(0, assigned, weights)
        total = torch.zeros_like(centres).index_add_(0, assigned, weights[:, None] * x)
        centres = torch.where(size[:, None] > 0, total / size[:, None], centres)
        assigned = torch.cdist(x, centres).argmin(1)
    return assigned
