"""Sinusoidal embeddings of time (Vaswani et al. 2017, §3.5; Ho et al. 2020, appendix B)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["SpanEmbedding", "TimeEmbedding", "sinusoid"]


def sinusoid(t: Tensor, features: int, max_period: float = 10_000.0) -> Tensor:
    """Returns (cos t·ω_i, sin t·ω_i) with ω_i = max_period^(−i/(features/2)), i = 0 … features/2 − 1.

    Args:
        t: times in units of table entries, 0 … T−1, fractions allowed, ``(n,)``.
        features: width of the result, an even number.

    Returns:
        embeddings, ``(n, features)``, in float32: half types cannot represent the phase of t ~ 1000.
    """
    half = features // 2
    omega = torch.exp(torch.arange(half, dtype=torch.float32, device=t.device) * (-math.log(max_period) / half))
    phase = t.float()[:, None] * omega
    return torch.cat([phase.cos(), phase.sin()], dim=1)


class TimeEmbedding(nn.Module):
    """The time embedding ``(n,)`` to ``(n, width)``: a sinusoid, and two linear layers with a SiLU between them."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.features = features
        self.linear_1 = nn.Linear(features, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, t: Tensor) -> Tensor:
        embedded = sinusoid(t, self.features).to(self.linear_1.weight.dtype)
        return self.linear_2(F.silu(self.linear_1(embedded)))


SLOW = 0.03
"""Factor of a span before it is embedded: a span of 1000 table entries is five periods of the fastest wave.  Objectives
differentiate the network by the span, and the derivatives of faster waves would be many times the network itself."""


class SpanEmbedding(TimeEmbedding):
    """The embedding of a span of time, which is added to that of the time and is 0 at first, whatever the span."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__(features, width)
        nn.init.zeros_(self.linear_2.weight)
        nn.init.zeros_(self.linear_2.bias)

    def forward(self, span: Tensor | None, like: Tensor) -> Tensor:  # type: ignore[override]
        """Returns embeddings ``(n, width)`` of spans ``(n,)``, or ``(1, width)`` of no span."""
        return super().forward(torch.zeros(1, device=like.device) if span is None else SLOW * span)
