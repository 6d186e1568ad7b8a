r"""From what a level is made of to a multi-scale flow over images.

Every level is: squeeze, steps, and, where half of the channels leave, an affine coupling layer that gives them their
learned prior; the last level of a class-conditional flow ends with the prior of the class.
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
    """τ by name.

    Raises:
        ValueError: an unknown name.
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
    """A coupling layer over half of the channels with a convolutional conditioner."""
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
    """The flow.

    Args:
        shape: of an image, ``[channels, height, width]``.
        levels: how often it is squeezed.
        steps: from (channels, level) to the steps of a level.
        prior_width: channels of the networks of the learned priors.
        context: width of the context.

    Raises:
        ValueError: no level, or an image that cannot be halved so often.
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
