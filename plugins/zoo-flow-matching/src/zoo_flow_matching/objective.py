r"""Conditional flow matching (Lipman et al. 2023, eq. 23; Tong et al. 2024, eqs. 15 and 19).

    E ‖u(x_t, t) − (α′(t)·x + σ′(t)·ε)‖²,        t ~ U[0, 1],   (x, ε) ~ the coupling,

per dimension.  The gradient is that of ‖u − u*‖², u* being the conditional mean, whatever the coupling is.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Condition, GradientObjective, Loss, Streams
from zoo_flow_matching.coupling import optimal_transport, transport_cost
from zoo_flow_matching.model import FlowMatching
from zoo_nets.path_model import PathModel

__all__ = ["FlowMatchingLoss", "velocity_loss"]


class FlowMatchingLoss(GradientObjective):
    """Flow matching with independent noise, or with noise that optimal transport pairs with the data.

    With optimal transport the noise is permuted, so data and what they are conditioned on stay together.

    Args:
        group: transport within runs of so many examples, which must divide the batch; all that a process has unless
            given.  With a group several processes make the pairs that one would.

    Raises:
        ValueError: a group below 2.
    """

    def __init__(self, group: int | None = None) -> None:
        if group is not None and group < 2:
            raise ValueError(f"group = {group}; expected at least 2")
        self.group = group

    def losses(self, model: FlowMatching, batch: Batch, streams: Streams) -> Iterator[Loss]:  # type: ignore[override]
        x, t = batch.x, streams.uniform(1).squeeze(1)
        noise = streams.normal(*x.shape[1:])
        terms = {}
        if model.coupling == "optimal-transport":
            noise = self.coupled(noise, x)
            terms["transport_cost"] = torch.tensor(transport_cost(noise, x))
        yield Loss(velocity_loss(model, x, noise, t, batch.condition), terms=terms)

    def coupled(self, noise: Tensor, x: Tensor) -> Tensor:
        """The noise in the order in which it belongs to the data."""
        size = self.group or len(x)
        if len(x) % size:
            raise IncompatibleError(f"group = {size} does not divide the {len(x)} examples of a batch")
        parts = zip(torch.split(noise, size), torch.split(x, size), strict=True)
        return torch.cat([part[optimal_transport(part, data)] for part, data in parts])


def velocity_loss(model: PathModel, x: Tensor, noise: Tensor, t: Tensor, condition: Condition | None) -> Tensor:
    """The mean squared error of the model's answer on pairs.

    Args:
        model: on whose path.
        x, noise: pairs, ``(n, …)``.
        t: one time per pair in [0, 1], ``(n,)``; times below the path's t_min or above its t_max are moved inside.
        condition: of the data.
    """
    t = t.double().clamp(model.path.t_min, model.path.t_max)
    x_t = model.path.diffuse(x, noise, t)
    return (model.answer(x_t, t, condition=condition) - model.target(x, noise, t)).square().mean()
