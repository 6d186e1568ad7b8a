r"""Glow (Kingma & Dhariwal 2018): steps of ActNorm, invertible 1×1 convolution and coupling layer, at several scales.

Class-conditional with ``classes``: the coupling networks see an embedding of the label, and the coarsest code has a
prior of its own for every class.
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
    """The model.

    Args:
        shape: ``[channels, height, width]``.
        levels: L; height and width are multiples of 2^L.
        steps: K of a level, one number or one for every level.
        width: channels of the coupling networks, one number or one for every level.
        blocks: residual blocks of the coupling networks, likewise; 0 for the paper's 3×3 – 1×1 – 3×3.
        attention: the levels (0 = finest) whose coupling networks have self-attention.
        coupling: ``sigmoid-affine`` (the paper's), ``affine``, ``additive`` or ``spline``.
        bins: of a spline.
        lu: the 1×1 convolutions by their LU decomposition; otherwise the matrix itself.
        classes, context, base, alpha, dequantisation: as in :class:`~zoo_flows.flow.Flow`.

    Raises:
        ValueError: an argument outside its set.
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
    """One number for every level.

    Raises:
        ValueError: another number of numbers than levels.
    """
    values = [value] * levels if isinstance(value, int) else list(value)
    if len(values) != levels:
        raise ValueError(f"{values}: {len(values)} numbers; expected one, or one for each of the {levels} levels")
    return values
