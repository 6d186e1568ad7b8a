r"""Changes of attributes and interpolation in the latent space of a flow (Kingma & Dhariwal 2018, §6).

An *attribute direction* is the difference between the mean codes of examples with an attribute and without it,

    d = mean f(x | attribute) − mean f(x | no attribute),      x′ = f⁻¹(f(x) + strength·d),

and an *interpolation* between two examples follows the great circle between their codes, which preserves norms.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core.interfaces import Condition
from zoo_core.plots.latent import slerp
from zoo_flows.flow import Flow

__all__ = ["attribute_direction", "change_attribute", "interpolate"]


def attribute_direction(model: Flow, x: Tensor, has: Tensor) -> Tensor:
    """Computes the attribute direction d, ``(dimensions,)``.

    Args:
        model: unconditional flow.
        x: examples on the model's side, ``(n, *shape)``.
        has: mask of the examples with the attribute, bool ``(n,)``.

    Raises:
        ValueError: all examples have the attribute, or none.
    """
    if bool(has.all()) or not bool(has.any()):
        raise ValueError(f"{int(has.sum())} of {len(has)} examples have the attribute; expected some, and not all")
    z = model.encode(x)
    return z[has].mean(0) - z[~has].mean(0)


def change_attribute(model: Flow, x: Tensor, direction: Tensor, strength: float = 1.0) -> Tensor:
    """Computes x′ for examples ``(n, *shape)``; a strength of 0 returns the examples."""
    return model.decode(model.encode(x) + strength * direction)


def interpolate(model: Flow, a: Tensor, b: Tensor, steps: int, *, condition: Condition | None = None) -> Tensor:
    """Interpolates between examples ``a`` and ``b``, ``(n, *shape)``, inclusive; returns ``(n, steps, *shape)``.

    Raises:
        ValueError: fewer than 2 steps.
    """
    if steps < 2:
        raise ValueError(f"steps = {steps}; an interpolation needs at least its 2 ends")
    from_, to = model.encode(a, condition=condition), model.encode(b, condition=condition)
    rows = [model.decode(slerp(from_, to, i / (steps - 1)), condition=condition) for i in range(steps)]
    return torch.stack(rows, 1)
