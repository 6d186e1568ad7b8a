"""Enumerates all states of a few bits, in parts, so that 2²⁰ states fit into memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["MOST_UNITS", "bits", "log_weights"]

MOST_UNITS = 20
"""Greatest number of bits whose states are enumerated: a million states."""

AT_ONCE = 1 << 14
"""States that are made at once."""


def bits(count: int, start: int, stop: int) -> Tensor:
    """Returns states ``start`` … ``stop − 1`` of ``count`` bits, the first changing fastest; float64 ``(n, count)``."""
    return (torch.arange(start, stop)[:, None] >> torch.arange(count) & 1).double()


def log_weights(count: int, weigh: Callable[[Tensor], Tensor], device: torch.device) -> Tensor:
    """Computes a number for every state of ``count`` bits, ``(2^count,)``.

    Args:
        count: number of bits.
        weigh: function of states ``(n, count)`` in float64, which returns ``(n,)``.
        device: device on which the states are made.
    """
    total = 1 << count
    starts = range(0, total, AT_ONCE)
    return torch.cat([weigh(bits(count, start, min(start + AT_ONCE, total)).to(device)) for start in starts])
