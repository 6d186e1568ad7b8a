r"""RealNVP (Dinh, Sohl-Dickstein & Bengio 2017): affine coupling layers.

For vectors the halves take turns.  For images the paper alternates checkerboard and channel masks at several scales,
with batch normalisation.  Here an image is squeezed first, so that a mask is a partition of the four pixels of every
block (:data:`zoo_flows.squeeze.ORDERS`): checkerboard, rows and columns in turn, both halves of each passing once.
The networks then run at half the resolution and see no zeros.  ActNorm stands in for batch normalisation.
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
    """The model.

    Args:
        shape: ``[dimensions]``, at least 2 of them, or ``[channels, height, width]``.
        layers: coupling layers; for images, of each level.
        hidden: units of the hidden layers of the networks over vectors.
        reach: no scale over vectors is beyond e^±reach.
        actnorm: an ActNorm before every coupling layer over vectors.
        levels: of images; height and width are multiples of 2^levels.
        width: channels of the networks over images.
        blocks: their residual blocks.
        coupling: of images: ``affine`` (the paper's), ``sigmoid-affine``, ``additive`` or ``spline``.
        classes, context, base, alpha, dequantisation: as in :class:`~zoo_flows.flow.Flow`.

    Raises:
        ValueError: an argument outside its set.
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
            before = torch.arange(channels)  # as the squeeze leaves them
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
    """Which squeezed channel comes at each place."""
    each = channels // 4
    return torch.cat([torch.arange(place * each, (place + 1) * each) for place in ORDERS[name]])


def _from_to(before: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The permutation p with before[p] = wanted."""
    return before.argsort()[wanted]
