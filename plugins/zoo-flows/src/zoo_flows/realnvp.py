r"""RealNVP (Dinh, Sohl-Dickstein & Bengio 2017): affine coupling layers.

For vectors the two halves alternate.  For images the paper alternates checkerboard and channel masks at several scales,
with batch normalisation.  Here an image is squeezed first, so that a mask is a partition of the four pixels of every
block (:data:`zoo_flows.squeeze.ORDERS`): checkerboard, rows and columns in turn, each with both of its halves.  The
networks then run at half the resolution and see no masked zeros.  ActNorm replaces batch normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from zoo_flows.actnorm import ActNorm
from zoo_flows.coupling import Coupling, Turns
from zoo_flows.flow import Base, Flow, check_layers
from zoo_flows.images import Kind, conv_coupling, make_univariate, multi_scale
from zoo_flows.linear import Permutation
from zoo_flows.networks import MLPConditioner
from zoo_flows.squeeze import ORDERS
from zoo_flows.transform import Transform
from zoo_flows.univariate import Affine

__all__ = ["RealNVP"]


class RealNVP(Flow):
    """RealNVP over vectors or images.

    Args:
        shape: shape of one sample, ``[dimensions]``, at least 2, or ``[channels, height, width]``.
        layers: number of coupling layers, for images of each level.
        hidden: units of the hidden layers of the networks over vectors.
        reach: bound of the logarithm of every scale over vectors.
        actnorm: whether an ActNorm precedes every coupling layer over vectors.
        levels: number of levels for images, whose height and width must be multiples of 2^levels.
        width: channels of the networks over images.
        blocks: number of residual blocks of the networks over images.
        coupling: type of coupling for images, ``affine`` (the paper's), ``sigmoid-affine``, ``additive`` or ``spline``.
        classes, context, base, alpha, dequantisation: options of every flow; see :class:`~zoo_flows.flow.Flow`.

    Raises:
        ValueError: an argument is not one of its allowed values.
    """

    def __init__(
        self,
        shape: Sequence[int],
        layers: int = 8,
        hidden: Sequence[int] = (64, 64),
        reach: float = 3.0,
        actnorm: bool = True,
        levels: int = 2,
        width: int = 64,
        blocks: int = 2,
        coupling: Kind = "affine",
        classes: int | None = None,
        context: int = 16,
        base: Base = "normal",
        alpha: float = 0.05,
        dequantisation: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(shape, classes=classes, context=context, base=base, alpha=alpha, dequantisation=dequantisation)
        check_layers(layers)
        if len(shape) == 1:
            self.assemble(self._over_vectors(layers, hidden, reach, actnorm))
            return
        univariate = make_univariate(coupling)

        def of_level(channels: int, level: int) -> list[Transform]:
            made: list[Transform] = []
            before = torch.arange(channels)  # the order after the squeeze
            for index in range(layers):
                if index % 2 == 0:
                    name = ("checkerboard", "rows", "columns")[(index // 2) % 3]
                    wanted = _order(name, channels)
                    made.append(Permutation(_from_to(before, wanted)))
                    before = wanted
                layer = conv_coupling(channels, univariate, width, blocks, self.context_width, swap=index % 2 == 1)
                made += [ActNorm(channels), layer]
            return made

        self.assemble([*self.before(), multi_scale(shape, levels, of_level, width, self.context_width)])

    def _over_vectors(self, layers: int, hidden: Sequence[int], reach: float, actnorm: bool) -> list[Transform]:
        d = self.dimensions
        if d < 2:
            raise ValueError(f"shape = [{d}]; coupling layers need at least 2 dimensions")
        univariate, couplings = Affine(reach), []
        for index in range(layers):
            passing = d // 2 if index % 2 == 0 else d - d // 2
            network = MLPConditioner(passing, 2 * (d - passing), hidden, self.context_width)
            couplings.append(Coupling(d, passing, network, univariate, swap=index % 2 == 1))
        if not actnorm:
            return [Turns(couplings)]
        return [step for coupling in couplings for step in (ActNorm(d), coupling)]


def _order(name: str, channels: int) -> torch.Tensor:
    """Returns the squeezed channel at each place of an order."""
    each = channels // 4
    return torch.cat([torch.arange(place * each, (place + 1) * each) for place in ORDERS[name]])


def _from_to(before: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Returns the permutation p with before[p] = wanted."""
    return before.argsort()[wanted]
