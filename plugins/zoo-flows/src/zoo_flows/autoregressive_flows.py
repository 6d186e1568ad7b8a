r"""Flows over vectors made of masked autoregressive layers.

MAF (Papamakarios et al. 2017) has affine layers from data to codes: the density takes one evaluation, a sample d steps,
which the incremental inverse makes as cheap as one evaluation.  IAF (Kingma et al. 2016) has these layers inverted: a
sample with its density takes one evaluation, the density of data d steps.
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
    """A sequence of ActNorm, affine masked autoregressive layer and mixing of the dimensions.

    Args:
        shape: ``[dimensions]``; images ``[channels, height, width]`` go through the logit and are read row by row.
        layers: number of autoregressive layers, at least 1.
        hidden: units of each network's hidden layers.
        mixing: mixing between layers, ``reverse`` (reverses the order, as in the paper) or ``linear`` (an LU layer that
            starts from a rotation).
        reach: bound of the logarithm of every scale.
        classes, context, base, alpha: options of every flow; see :class:`~zoo_flows.flow.Flow`.
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
    """An inverse autoregressive flow: every layer of a :class:`MAF` is inverted, with the arguments of MAF."""

    def _layer(self, layer: MaskedAutoregressive) -> Transform:
        return Inverse(layer)
