r"""Orders of the inputs of a masked autoencoder, and the degrees of its hidden units, which make its masks.

In mask m, input i has a *position* π_m(i) in 0 … D − 1 and hidden unit k of every layer a *degree* in 0 … D − 2.  A
hidden unit sees inputs whose position is at most its degree and units of at most its degree; output i sees units of a
degree below π_m(i) and, directly, inputs before i.  So output i is a function of the inputs before i (Germain et al.
2015, eqs. 12–15).

Positions and degrees are drawn by the zoo's counter-based streams, whose bits are the same on every machine: a config
determines the masks, and no file needs to have them.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from zoo_core.randomness import Streams

__all__ = ["Order", "degrees", "positions"]

Order = Literal["raster", "random"]


def positions(dimensions: int, masks: int, order: Order) -> Tensor:
    """Returns π_m(i), int64 ``(masks, dimensions)``: row by row, or another random order for every mask."""
    if order == "raster":
        return torch.arange(dimensions).expand(masks, -1).clone()
    return _streams("positions", masks).uniform(dimensions).argsort(1)


def degrees(units: int, dimensions: int, masks: int) -> Tensor:
    """Returns the degrees of hidden units, int64 ``(masks, units)``: spread evenly, in another random way each time.

    The first mask has them sorted.
    """
    spread = torch.arange(units) * max(dimensions - 1, 1) // units
    shuffled = spread[_streams("degrees", masks).uniform(units).argsort(1)]
    shuffled[0] = spread
    return shuffled


def _streams(what: str, masks: int) -> Streams:
    return Streams(0, f"masked autoencoder/{what}", 0, masks, dtype=torch.float64)
