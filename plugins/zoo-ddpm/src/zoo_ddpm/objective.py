"""The training objectives of DDPMs: L_simple, L_vlb and L_hybrid."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo_core.interfaces import Batch, GradientObjective, Loss, Prediction, Streams
from zoo_core.paths import from_prediction
from zoo_ddpm.model import DDPM

__all__ = ["Hybrid", "Simple", "VariationalBound"]


class Simple(GradientObjective[DDPM]):
    """L_simple = E ‖target − network(x_k, k)‖² in the network's prediction type, k uniform (Ho et al. 2020, eq. 14)."""

    def losses(self, model: DDPM, batch: Batch, streams: Streams) -> Iterator[Loss]:
        x = batch.x
        index = streams.integers(model.path.steps)
        noise = streams.normal(*x.shape[1:])
        t = (index + 1).double() / model.path.steps
        output, _ = model.answer(model.path.diffuse(x, noise, t), index, condition=batch.condition)
        yield Loss((output - self.target(model, x, noise, t)).square().mean())

    @staticmethod
    def target(model: DDPM, x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Returns the target of the network's output: ε, x or v = αε − σx."""
        return from_prediction(model.path, model.prediction, Prediction(x, noise), t)


class VariationalBound(GradientObjective[DDPM]):
    """L_vlb in bits per dimension, one uniformly drawn term per example, times T (Ho et al. 2020, eq. 5).

    Args:
        stop_mean: whether the gradient reaches only the variances.
    """

    def __init__(self, stop_mean: bool = False) -> None:
        self.stop_mean = stop_mean

    def losses(self, model: DDPM, batch: Batch, streams: Streams) -> Iterator[Loss]:
        from zoo_ddpm.bound import bound_terms

        index = streams.integers(model.path.steps)
        noise = streams.normal(*batch.x.shape[1:])
        terms = bound_terms(model, batch.x, index, noise, stop_mean=self.stop_mean, condition=batch.condition)
        nats = model.path.steps * terms.mean()
        bits = nats / (torch.log(torch.tensor(2.0)) * batch.x[0].numel())
        yield Loss(bits, terms={"bits_per_dim": bits.detach()})


class Hybrid(GradientObjective[DDPM]):
    """L_hybrid = L_simple + λ·L_vlb, where L_vlb trains the variances only (Nichol & Dhariwal 2021, eq. 16)."""

    def __init__(self, weight: float = 0.001) -> None:
        self.weight = weight
        self.simple, self.bound = Simple(), VariationalBound(stop_mean=True)

    def losses(self, model: DDPM, batch: Batch, streams: Streams) -> Iterator[Loss]:
        simple = next(self.simple.losses(model, batch, streams))
        bound = next(self.bound.losses(model, batch, streams))
        yield Loss(
            simple.value + self.weight * bound.value,
            terms={"simple": simple.value.detach(), "bits_per_dim": bound.value.detach()},
        )
