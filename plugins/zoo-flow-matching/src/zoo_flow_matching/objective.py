r"""Conditional flow matching (Lipman et al. 2023, eq. 23; Tong et al. 2024, eqs. 15 and 19).

    E ‖u(x_t, t) − (α′(t)·x + σ′(t)·ε)‖²,        t ~ U[0, 1],   (x, ε) ~ the coupling,

per dimension.  The gradient is that of ‖u − u*‖², u* being the conditional mean, whatever the coupling is.

On the linear path an error Δu of the velocity is one of (1 − t)/t·Δu of the score, and g² = 2t/(1 − t), so that the
divergence from the data, at most ½∫ g²·E‖Δs‖² dt for independent noise (Song, Durkan et al. 2021, theorem 1), weighs
‖Δu‖² by (1 − t)/t: where likelihoods matter, times near the data are to be drawn more often.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Condition, GradientObjective, Loss, Streams
from zoo_flow_matching.coupling import optimal_transport, transport_cost
from zoo_flow_matching.model import FlowMatching
from zoo_nets.path_model import PathModel

__all__ = ["FlowMatchingLoss", "velocity_loss"]


class FlowMatchingLoss(GradientObjective[FlowMatching]):
    """Flow matching with independent noise, or with noise that optimal transport pairs with the data.

    With optimal transport the noise is permuted, so data and what they are conditioned on stay together.

    Args:
        group: transport within runs of so many examples, which must divide the batch; all that a process has unless
            given.  With a group several processes make the pairs that one would.
        focus: δ > 0: times are drawn with a density ∝ 1/(t + δ); uniformly unless given.

    Raises:
        ValueError: a group below 2, or a δ that is not positive.
    """

    def __init__(self, group: int | None = None, focus: float | None = None) -> None:
        if group is not None and group < 2:
            raise ValueError(f"group = {group}; expected at least 2")
        if focus is not None and not focus > 0.0:
            raise ValueError(f"focus = {focus}; expected a positive number")
        self.group, self.focus = group, focus

    def losses(self, model: FlowMatching, batch: Batch, streams: Streams) -> Iterator[Loss]:
        x, t = batch.x, self.times(streams)
        noise = streams.normal(*x.shape[1:])
        terms = {}
        if model.coupling == "optimal-transport":
            noise = self.coupled(noise, x)
            terms["transport_cost"] = torch.tensor(transport_cost(noise, x))
        yield Loss(velocity_loss(model, x, noise, t, batch.condition), terms=terms)

    def times(self, streams: Streams) -> Tensor:
        """One time per stream, ``(n,)``: by inversion of u = log(1 + t/δ)/log(1 + 1/δ)."""
        u = streams.uniform(1).squeeze(1)
        if self.focus is None:
            return u
        return self.focus * torch.expm1(u * math.log1p(1.0 / self.focus))

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
