"""Sums over all states of a few bits, in parts, so that 2²⁰ states fit into memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["MOST_UNITS", "bits", "exact_log_normaliser"]

MOST_UNITS = 20
"""Greatest number of bits whose states are enumerated: a million states."""

AT_ONCE = 1 << 14
"""States that are summed at once."""


def bits(count: int, start: int, stop: int) -> Tensor:
    """Returns states ``start`` … ``stop − 1`` of ``count`` bits, the first changing fastest; float64 ``(n, count)``."""
    return (torch.arange(start, stop)[:, None] >> torch.arange(count) & 1).double()


def exact_log_normaliser(count: int, log_weight: Callable[[Tensor], Tensor], device: torch.device) -> Tensor:
    """Computes log Σ exp(w(s)) over all states s of ``count`` bits.

    Args:
        count: number of bits.
        log_weight: function w of states ``(n, count)`` in float64, which returns ``(n,)``.
        device: device on which the states are made.
    """
    total = 1 << count
    parts = [
        torch.logsumexp(log_weight(bits(count, start, min(start + AT_ONCE, total)).to(device)), 0)
        for start in range(0, total, AT_ONCE)
    ]
    return torch.logsumexp(torch.stack(parts), 0)
