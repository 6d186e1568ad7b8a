r"""Coupling layers (Dinh et al. 2015; 2017): one part of x is unchanged, and determines how the other changes.

    z_a = x_a,      z_b = τ(x_b; θ(x_a)),      log |det ∂z/∂x| = Σ_i log |τ′(x_{b,i}; θ_i)|      (RealNVP, eq. 4–6)

The Jacobian is triangular, and the inverse costs as much as the map.  The parts are split, not masked, since a masked
network would compute twice as much, half of it with zeros.  One network computes all of θ.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from zoo_flows.transform import Transform
from zoo_flows.univariate import Theta, Univariate

__all__ = ["Coupling", "Turns"]


class Coupling(Transform):
    """A coupling layer over channels of ``(n, channels, …)``.

    Args:
        channels: number of channels of x, or of dimensions for points.
        passing: number of channels that are unchanged.
        conditioner: network from x_a ``(n, passing, …)`` to θ ``(n, parameters·(channels − passing), …)``.
        univariate: univariate map τ.
        swap: whether the last channels are unchanged, and not the first.

    Raises:
        ValueError: all channels would be unchanged, or none.
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
        x_a, x_b = self.split(x)
        z_b, log_det = self.change(x_a, x_b, context)
        return self.join(x_a, z_b), log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        z_a, z_b = self.split(z)
        return self.join(z_a, self.change_back(z_a, z_b, context))

    def change(self, x_a: Tensor, x_b: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Computes z_b and log |det ∂z/∂x| ``(n,)``."""
        z_b, log_slope = self.univariate.forward(x_b, self._theta(x_a, x_b, context))
        return z_b, x_b.new_zeros(len(x_b)) if log_slope is None else log_slope.flatten(1).sum(1)

    def change_back(self, z_a: Tensor, z_b: Tensor, context: Tensor | None = None) -> Tensor:
        """Computes x_b from z_b: the inverse of :meth:`change`."""
        return self.univariate.inverse(z_b, self._theta(z_a, z_b, context))

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Splits x into x_a, which is unchanged, and x_b."""
        first, second = torch.split(x, self.sizes, 1)
        return (second, first) if self.swap else (first, second)

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        """Joins the parts of :meth:`split`."""
        return torch.cat([b, a] if self.swap else [a, b], 1)

    def _theta(self, x_a: Tensor, x_b: Tensor, context: Tensor | None) -> Theta:
        # The network may be in half precision, but the map must be invertible.
        answer = self.conditioner(x_a, context).to(x_b.dtype)
        if self.univariate.in_blocks:
            return answer.chunk(self.univariate.parameters, 1)
        return answer.unflatten(1, (x_b.shape[1], self.univariate.parameters)).movedim(2, 0)


class Turns(Transform):
    """Coupling layers with alternating parts, for which x is split and joined only once.

    Args:
        layers: coupling layers, of which every other one has ``swap`` set, so that each changes what the previous
            keeps.

    Raises:
        ValueError: the layers do not alternate.
    """

    def __init__(self, layers: Sequence[Coupling]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        for first, second in pairwise(layers):
            if first.swap == second.swap or first.sizes != second.sizes:
                raise ValueError("coupling layers that take turns split x in the same place, and swap every other time")

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        layers = self._couplings()
        a, b = layers[0].split(x)
        total = x.new_zeros(len(x))
        for layer in layers:
            changed, log_det = layer.change(a, b, context)
            total = total + log_det
            a, b = changed, a
        return layers[-1].join(b, a), total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        layers = self._couplings()
        a, b = layers[-1].split(z)
        for layer in reversed(layers):
            changed = layer.change_back(a, b, context)
            a, b = changed, a
        return layers[0].join(b, a)

    def _couplings(self) -> list[Coupling]:
        return cast(list[Coupling], list(self.layers))
