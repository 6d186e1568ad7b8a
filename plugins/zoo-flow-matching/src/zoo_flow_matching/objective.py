r"""Conditional flow matching (Lipman et al. 2023, eq. 23; Tong et al. 2024, eqs. 15 and 19).

    E ‖u(x_t, t) − (α′(t)·x + σ′(t)·ε)‖²,        t ~ U[0, 1],   (x, ε) ~ the coupling,

per dimension.  For every coupling its gradient equals that of ‖u − u*‖², where u* is the conditional mean.

On the linear path an error Δu of the velocity is an error (1 − t)/t·Δu of the score, and g² = 2t/(1 − t), so that the
divergence from the data, at most ½∫ g²·E‖Δs‖² dt for independent noise (Song, Durkan et al. 2021, theorem 1), weighs
‖Δu‖² by (1 − t)/t.  For better likelihoods, times near the data should therefore be drawn more often.
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

    With optimal transport the noise is permuted, so data and what they are conditioned on stay together.  It is
    permuted among the examples of one label: noise that says something of the label could not be drawn apart from it.

    Args:
        group: number of consecutive examples within which noise is permuted, a divisor of the batch; all examples of a
            process unless given.  With a group, the pairs do not depend on the number of processes.
        focus: number δ > 0, which gives times the density ∝ 1/(t + δ); uniform unless given.

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
            label = batch.condition["label"] if batch.condition is not None and "label" in batch.condition else None
            noise = self.coupled(noise, x, label)
            terms["transport_cost"] = torch.tensor(transport_cost(noise, x))
        yield Loss(velocity_loss(model, x, noise, t, batch.condition), terms=terms)

    def times(self, streams: Streams) -> Tensor:
        """Draws one time per stream, ``(n,)``, by inversion of u = log(1 + t/δ)/log(1 + 1/δ)."""
        u = streams.uniform(1).squeeze(1)
        if self.focus is None:
            return u
        return self.focus * torch.expm1(u * math.log1p(1.0 / self.focus))

    def coupled(self, noise: Tensor, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Returns the noise, permuted by the coupling so that row i belongs to example i.

        Args:
            noise: noise, in the shape of ``x``.
            x: examples, ``(n, …)``.
            label: labels, ``(n,)``, within which noise is permuted; among all examples without them.
        """
        size = self.group or len(x)
        if len(x) % size:
            raise IncompatibleError(f"group = {size} does not divide the {len(x)} examples of a batch")
        coupled = torch.empty_like(noise)
        group = torch.arange(len(x), device=x.device) // size
        both = group if label is None else group * (int(label.max()) + 1) + label
        for value in both.unique():  # type: ignore[no-untyped-call]
            rows = (both == value).nonzero().squeeze(1)
            coupled[rows] = noise[rows][optimal_transport(noise[rows], x[rows])]
        return coupled


def velocity_loss(model: PathModel, x: Tensor, noise: Tensor, t: Tensor, condition: Condition | None) -> Tensor:
    """Computes the mean squared error of the model's output on pairs.

    Args:
        model: model on a path.
        x, noise: pairs of data and noise, ``(n, …)`` each.
        t: times of the pairs in [0, 1], ``(n,)``; clamped to the path's t_min … t_max.
        condition: condition of the data, one row per sample.
    """
    t = t.double().clamp(model.path.t_min, model.path.t_max)
    x_t = model.path.diffuse(x, noise, t)
    return (model.answer(x_t, t, condition=condition) - model.target(x, noise, t)).square().mean()
