r"""ActNorm (Kingma & Dhariwal 2018, §3.1): an affine map per channel, initialised from data.

    z = (x + b)·exp(s),      log |det ∂z/∂x| = h·w·Σ_c s_c      (h·w positions share a channel; 1 for points)

b and s are initialised so that the first batch has mean 0 and variance 1 per channel; afterwards they are ordinary
parameters.  The buffer ``started`` of the state says whether this has happened, so that a loaded model is not
initialised again.  Only :meth:`ActNorm.start` initialises; evaluating or inverting a new model does not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zoo_flows.transform import Transform

__all__ = ["ActNorm"]

LEAST_DEVIATION = 1e-3
"""Least standard deviation that is divided by, for channels that are constant in the first batch (MNIST's border)."""


class ActNorm(Transform):
    """An affine map per channel of ``(n, channels, …)``.

    Args:
        channels: number of channels, or of dimensions for points.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.started: Tensor
        self.register_buffer("started", torch.tensor(False))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        shift, scale = self._broadcast(x)
        log_det = math.prod(x.shape[2:]) * self.log_scale.to(x.dtype).sum()
        return (x + shift) * scale, log_det.expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        shift, scale = self._broadcast(z)
        return z / scale - shift

    def start(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if not self.started:
            mean, deviation = _moments(x)
            with torch.no_grad():
                self.shift.copy_(-mean)
                self.log_scale.copy_(-deviation.clamp(min=LEAST_DEVIATION).log())
                self.started.fill_(True)
        return self(x)[0]

    def _broadcast(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shape = (-1, *[1] * (x.ndim - 2))
        return self.shift.to(x.dtype).view(shape), self.log_scale.to(x.dtype).exp().view(shape)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Computes mean and standard deviation per channel, in float64."""
    values = x.detach().double().transpose(0, 1).flatten(1)
    return values.mean(1), values.std(1, correction=0)
