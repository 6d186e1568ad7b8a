r"""The logit, which maps pixels in [0, 1] to the real line (Dinh et al. 2017, §4.1; Papamakarios et al. 2017).

    z = log(y/(1 − y)),      y = α + (1 − 2α)·x,      log |∂z/∂x| = Σ log(1 − 2α) − log y − log(1 − y)

α keeps the values of 0 and 1 finite.  The inverse maps the line to an interval slightly wider than [0, 1], so that a
model's probability outside [0, 1] is lost.  Values beyond that interval are clamped to it, so that all are defined.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_flows.transform import Transform

__all__ = ["Logit"]


class Logit(Transform):
    """The logit transform of pixels.

    Args:
        alpha: number α in [0, ½).

    Raises:
        ValueError: α is outside [0, ½).
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        if not 0.0 <= alpha < 0.5:
            raise ValueError(f"alpha = {alpha}; expected a number in [0, 0.5)")
        self.alpha = alpha

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        number = torch.finfo(x.dtype)
        y = (self.alpha + (1.0 - 2.0 * self.alpha) * x).clamp(number.tiny, 1.0 - number.eps / 2)
        z = torch.log(y) - torch.log1p(-y)
        log_slope = math.log1p(-2.0 * self.alpha) + F.softplus(-z) + F.softplus(z)  # −log y − log(1 − y)
        return z, log_slope.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return (torch.sigmoid(z) - self.alpha) / (1.0 - 2.0 * self.alpha)
