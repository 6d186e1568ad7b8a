r"""Squeeze (Dinh et al. 2017, §3.6): four pixels of a 2 × 2 block become four channels, which preserves volume.

The order of the four channels determines how a channel-wise split in the middle separates the pixels of a block:

    ``rows``          00 01 | 10 11      the upper pixels from the lower
    ``columns``       00 10 | 01 11      left from right
    ``checkerboard``  00 11 | 01 10      a split of it is the checkerboard mask (Dinh et al. 2017, figure 3)
"""

from __future__ import annotations

from torch import Tensor

from zoo_flows.transform import Transform

__all__ = ["ORDERS", "Squeeze"]

ORDERS = {"rows": (0, 1, 2, 3), "columns": (0, 2, 1, 3), "checkerboard": (0, 3, 1, 2)}
"""Pixels of a block, counted row by row, in the order of the channels."""


class Squeeze(Transform):
    """The squeeze ``(n, c, h, w)`` to ``(n, 4c, h/2, w/2)``; the place in the block is the slower channel index."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        n, c, h, w = x.shape
        blocks = x.view(n, c, h // 2, 2, w // 2, 2)
        return blocks.permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * c, h // 2, w // 2), x.new_zeros(n)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        n, c, h, w = z.shape
        blocks = z.view(n, 2, 2, c // 4, h, w)
        return blocks.permute(0, 3, 4, 1, 5, 2).reshape(n, c // 4, 2 * h, 2 * w)
