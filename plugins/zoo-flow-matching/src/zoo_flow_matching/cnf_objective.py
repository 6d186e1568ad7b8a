"""What a continuous normalizing flow is trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, GradientObjective, Loss, Streams
from zoo_flow_matching.cnf import CNF

__all__ = ["MaximumLikelihood"]


class MaximumLikelihood(GradientObjective[CNF]):
    """−log p(x) in nats per dimension, and λ·∫ ‖u‖² dt per dimension (Finlay et al. 2020, eq. 8).

    The kinetic energy chooses, among all flows with this density, those that take the shortest way: they need fewer
    steps to be integrated.

    Args:
        kinetic: λ, at least 0.
        steps: of the Runge–Kutta method while training; the model's own unless given.

    Raises:
        ValueError: a negative λ, or fewer than one step.
    """

    def __init__(self, kinetic: float = 0.0, steps: int | None = None) -> None:
        if kinetic < 0.0 or (steps is not None and steps < 1):
            raise ValueError(f"kinetic = {kinetic} and steps = {steps}; expected at least 0 and 1")
        self.kinetic, self.steps = kinetic, steps

    def losses(self, model: CNF, batch: Batch, streams: Streams) -> Iterator[Loss]:
        x = batch.x
        if self.steps is None and model.steps is None:
            raise IncompatibleError("an adaptive method is not differentiated; give the objective its steps")
        probe = None if model.exact_trace else model.probe(x, streams)
        z, trace, energy = model.to_noise(x, probe, self.steps)
        nats = (0.5 * (z.flatten(1).square() + math.log(2.0 * math.pi)).sum(1) - trace).mean()
        energy, dimensions = energy.mean(), x[0].numel()
        yield Loss(
            (nats + self.kinetic * energy) / dimensions, terms={"nats": nats.detach(), "kinetic": energy.detach()}
        )
