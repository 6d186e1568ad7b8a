r"""Builds multi-scale flows over images from the steps of their levels.

Every level has a squeeze, the steps and, except for the last, an affine coupling layer: the learned prior of the half
of the channels that are split off.  The last level of a class-conditional flow ends with the prior of the class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from zoo_flows.coupling import Coupling
from zoo_flows.multiscale import ContextAffine, MultiScale
from zoo_flows.networks import ConvConditioner
from zoo_flows.spline import RationalQuadratic
from zoo_flows.squeeze import Squeeze
from zoo_flows.transform import Compose, Transform
from zoo_flows.univariate import Additive, Affine, SigmoidAffine, Univariate

__all__ = ["Kind", "conv_coupling", "make_univariate", "multi_scale"]

Kind = Literal["affine", "sigmoid-affine", "additive", "spline"]


def make_univariate(kind: Kind, bins: int = 8, bound: float = 5.0) -> Univariate:
    """Makes a univariate map τ by name.

    Raises:
        ValueError: the name is unknown.
    """
    made: dict[str, Callable[[], Univariate]] = {
        "affine": Affine,
        "sigmoid-affine": SigmoidAffine,
        "additive": Additive,
        "spline": lambda: RationalQuadratic(bins, bound),
    }
    if kind not in made:
        raise ValueError(f"coupling = {kind!r}; expected one of {', '.join(made)}")
    return made[kind]()


def conv_coupling(
    channels: int,
    univariate: Univariate,
    width: int,
    blocks: int,
    context: int,
    *,
    swap: bool = False,
    attention: bool = False,
) -> Coupling:
    """Makes a coupling layer over half of the channels, with a convolutional conditioner."""
    passing = channels // 2
    leaving = channels - passing
    network = ConvConditioner(passing, univariate.parameters * leaving, width, blocks, context, attention)
    return Coupling(channels, passing, network, univariate, swap=swap)


def multi_scale(
    shape: Sequence[int],
    levels: int,
    steps: Callable[[int, int], list[Transform]],
    prior_width: int,
    context: int,
) -> MultiScale:
    """Makes the transform of a multi-scale flow.

    Args:
        shape: shape of one image, ``[channels, height, width]``.
        levels: number of levels, each of which squeezes once.
        steps: function from (channels, level) to the steps of a level.
        prior_width: channels of the networks of the learned priors.
        context: width of the context.

    Raises:
        ValueError: ``levels`` is below 1, or the image cannot be halved ``levels`` times.
    """
    if len(shape) != 3 or levels < 1 or shape[1] % 2**levels or shape[2] % 2**levels:
        raise ValueError(
            f"levels = {levels} and shape = {list(shape)}; expected an image whose height and width are multiples of "
            f"2^levels, and at least 1 level"
        )
    channels, height, width = shape
    made, shapes = [], []
    for level in range(levels):
        channels, height, width = 4 * channels, height // 2, width // 2
        inside: list[Transform] = [Squeeze(), *steps(channels, level)]
        if level < levels - 1:
            inside.append(conv_coupling(channels, Affine(), prior_width, 0, context))
        elif context:
            inside.append(ContextAffine(channels, context))
        made.append(Compose(inside))
        shapes.append((channels, height, width))
        channels //= 2
    return MultiScale(made, shapes)
