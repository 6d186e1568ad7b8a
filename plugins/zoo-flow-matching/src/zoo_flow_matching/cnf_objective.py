"""The training objective of continuous normalizing flows."""

from __future__ import annotations

import math
from collections.abc import Iterator

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, GradientObjective, Loss, Streams
from zoo_flow_matching.cnf import CNF

__all__ = ["MaximumLikelihood"]


class MaximumLikelihood(GradientObjective[CNF]):
    """Minimises −log p(x) + λ·∫ ‖u‖² dt, in nats per dimension (Finlay et al. 2020, eq. 8).

    Among all flows with one density, the kinetic energy favours those with the shortest trajectories, which need fewer
    solver steps.

    Args:
        kinetic: weight λ of the kinetic energy, at least 0.
        steps: number of Runge–Kutta steps in training; the model's ``steps`` unless given.

    Raises:
        ValueError: a negative λ, or fewer than one step.
    """

    def __init__(self, kinetic: float = 0.0, steps: int | None = None) -> None:
        if kinetic < 0.0 or (steps is not None and steps < 1):
            raise ValueError(f"kinetic = {kinetic} and steps = {steps}; expected kinetic ≥ 0 and steps ≥ 1")
        self.kinetic, self.steps = kinetic, steps

    def losses(self, model: CNF, batch: Batch, streams: Streams) -> Iterator[Loss]:
        x = batch.x
        if self.steps is None and model.steps is None:
            raise IncompatibleError(
                "the adaptive method of a model with steps = None has no gradient; give the objective steps"
            )
        probe = None if model.exact_trace else model.probe(x, streams)
        z, trace, energy = model.to_noise(x, probe, self.steps)
        nats = (0.5 * (z.flatten(1).square() + math.log(2.0 * math.pi)).sum(1) - trace).mean()
        energy, dimensions = energy.mean(), x[0].numel()
        yield Loss(
            (nats + self.kinetic * energy) / dimensions, terms={"nats": nats.detach(), "kinetic": energy.detach()}
        )
