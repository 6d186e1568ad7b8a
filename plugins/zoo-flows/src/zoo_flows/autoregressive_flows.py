r"""Flows over vectors made of masked autoregressive layers.

MAF (Papamakarios et al. 2017): affine layers in the direction of the density, which is one evaluation; a sample takes
d steps, which the incremental inverse makes as cheap as one.  IAF (Kingma et al. 2016) is the same read backwards: one
evaluation for a sample and *its* density, d steps for the density of data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from zoo_flows.actnorm import ActNorm
from zoo_flows.autoregressive import MaskedAutoregressive
from zoo_flows.flow import Base, Flow, check_layers
from zoo_flows.linear import LULinear, Permutation
from zoo_flows.transform import Inverse, Transform
from zoo_flows.univariate import Affine

__all__ = ["IAF", "MAF"]


class MAF(Flow):
    """ActNorm, an affine masked autoregressive layer, and what mixes the dimensions before the next; repeatedly.

    Args:
        shape: ``[dimensions]``; images ``[channels, height, width]`` go through the logit and are read row by row.
        layers: how many.
        hidden: units of each network's hidden layers.
        mixing: between layers: ``reverse`` turns the order round (the paper), ``linear`` is an LU layer that starts
            from a rotation.
        reach: no scale is beyond e^±reach.
        classes, context, base, alpha: as in :class:`~zoo_flows.flow.Flow`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        layers: int = 5,
        hidden: Sequence[int] = (128, 128),
        mixing: Literal["reverse", "linear"] = "reverse",
        reach: float = 3.0,
        classes: int | None = None,
        context: int = 16,
        base: Base = "normal",
        alpha: float = 1e-4,
    ) -> None:
        super().__init__(shape, classes=classes, context=context, base=base, alpha=alpha)
        check_layers(layers)
        if mixing not in ("reverse", "linear"):
            raise ValueError(f"mixing = {mixing!r}; expected reverse or linear")
        d = self.dimensions
        steps: list[Transform] = self.flat_before()
        for index in range(layers):
            if index > 0:
                steps.append(Permutation.reverse(d) if mixing == "reverse" else LULinear(d, index=index))
            steps += [ActNorm(d), self._layer(MaskedAutoregressive(d, Affine(reach), hidden, self.context_width))]
        self.assemble(steps)

    def _layer(self, layer: MaskedAutoregressive) -> Transform:
        return layer


class IAF(MAF):
    """The same with every autoregressive layer inverted; the arguments are those of :class:`MAF`."""

    def _layer(self, layer: MaskedAutoregressive) -> Transform:
        return Inverse(layer)
