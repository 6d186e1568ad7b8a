r"""Glow (Kingma & Dhariwal 2018): steps of ActNorm, invertible 1×1 convolution and coupling layer, at several scales.

With ``classes`` the flow is class-conditional: the coupling networks see an embedding of the label, and the coarsest
code has a learned prior for each class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo_flows.actnorm import ActNorm
from zoo_flows.flow import Base, Flow, check_layers
from zoo_flows.images import Kind, conv_coupling, make_univariate, multi_scale
from zoo_flows.linear import LULinear, PlainLinear
from zoo_flows.transform import Transform

__all__ = ["Glow"]


class Glow(Flow):
    """Glow, a multi-scale flow over images.

    Args:
        shape: shape of one image, ``[channels, height, width]``.
        levels: number L of levels; height and width must be multiples of 2^L.
        steps: number K of steps of a level, one number or one for every level.
        width: channels of the coupling networks, one number or one for every level.
        blocks: number of residual blocks of the coupling networks, one number or one for every level; 0 for the paper's
            3×3 – 1×1 – 3×3.
        attention: levels (0 = finest) whose coupling networks have self-attention.
        coupling: type of coupling, ``sigmoid-affine`` (the paper's), ``affine``, ``additive`` or ``spline``.
        bins: number of bins of a spline.
        lu: whether the 1×1 convolutions are parameterized by an LU decomposition, and not by the matrix itself.
        classes, context, base, alpha, dequantisation: options of every flow; see :class:`~zoo_flows.flow.Flow`.

    Raises:
        ValueError: an argument is not one of its allowed values.
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: int = 2,
        steps: int | Sequence[int] = 8,
        width: int | Sequence[int] = 64,
        blocks: int | Sequence[int] = 0,
        attention: Sequence[int] = (),
        coupling: Kind = "sigmoid-affine",
        bins: int = 8,
        lu: bool = True,
        classes: int | None = None,
        context: int = 16,
        base: Base = "normal",
        alpha: float = 0.05,
        dequantisation: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(shape, classes=classes, context=context, base=base, alpha=alpha, dequantisation=dequantisation)
        steps, width, blocks = (per_level(value, levels) for value in (steps, width, blocks))
        check_layers(min(steps))
        if not set(attention) <= set(range(levels)):
            raise ValueError(f"attention = {list(attention)} names a level that is not among 0 … {levels - 1}")
        univariate = make_univariate(coupling, bins)

        def of_level(channels: int, level: int) -> list[Transform]:
            made: list[Transform] = []
            for step in range(steps[level]):
                index = sum(steps[:level]) + step
                linear = LULinear(channels, index=index) if lu else PlainLinear(channels, index=index)
                layer = conv_coupling(
                    channels,
                    univariate,
                    width[level],
                    blocks[level],
                    self.context_width,
                    attention=level in attention,
                )
                made += [ActNorm(channels), linear, layer]
            return made

        self.assemble([*self.before(), multi_scale(shape, levels, of_level, width[0], self.context_width)])


def per_level(value: int | Sequence[int], levels: int) -> list[int]:
    """Expands one number, or one per level, to a list with one number per level.

    Raises:
        ValueError: there are several numbers, but not one per level.
    """
    values = [value] * levels if isinstance(value, int) else list(value)
    if len(values) != levels:
        raise ValueError(f"{values}: {len(values)} numbers; expected one, or one for each of the {levels} levels")
    return values
