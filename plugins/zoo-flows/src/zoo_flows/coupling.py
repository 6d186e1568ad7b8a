r"""Coupling layers (Dinh et al. 2015; 2017): one part of x passes, and says what happens to the other.

    z_a = x_a,      z_b = τ(x_b; θ(x_a)),      log |det ∂z/∂x| = Σ_i log |τ′(x_{b,i}; θ_i)|      (RealNVP, eq. 4–6)

The Jacobian is triangular, and the inverse costs what the map costs.  The parts are a true split, not a mask: a masked
network computes with zeros, twice as much of everything.  One network computes all of θ.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo_flows.transform import Transform
from zoo_flows.univariate import Univariate

__all__ = ["Coupling"]


class Coupling(Transform):
    """A coupling layer over channels of ``(n, channels, …)``.

    Args:
        channels: of x; the dimensions for points.
        passing: how many of them pass.
        conditioner: from x_a to θ, ``(n, passing, …)`` to ``(n, parameters·(channels − passing), …)``.
        univariate: τ.
        swap: the last channels pass, not the first.

    Raises:
        ValueError: nothing would pass, or nothing would change.
    """

    def __init__(
        self, channels: int, passing: int, conditioner: nn.Module, univariate: Univariate, *, swap: bool = False
    ) -> None:
        super().__init__()
        if not 0 < passing < channels:
            raise ValueError(f"passing = {passing} of {channels} channels; a coupling layer needs a part of each kind")
        self.conditioner, self.univariate, self.swap = conditioner, univariate, swap
        self.sizes = [channels - passing, passing] if swap else [passing, channels - passing]

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x_a, x_b = self._split(x)
        z_b, log_slope = self.univariate.forward(x_b, self._theta(x_a, x_b, context))
        log_det = x.new_zeros(len(x)) if log_slope is None else log_slope.flatten(1).sum(1)
        return self._join(x_a, z_b), log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        z_a, z_b = self._split(z)
        return self._join(z_a, self.univariate.inverse(z_b, self._theta(z_a, z_b, context)))

    def _theta(self, x_a: Tensor, x_b: Tensor, context: Tensor | None) -> Tensor:
        answer = self.conditioner(x_a, context).to(x_b.dtype)  # a half-precision network; what is inverted is not
        return answer.unflatten(1, (x_b.shape[1], self.univariate.parameters)).movedim(2, 0)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = torch.split(x, self.sizes, 1)
        return (second, first) if self.swap else (first, second)

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([b, a] if self.swap else [a, b], 1)
