"""Maximum likelihood by gradient descent, for every differentiable density."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo_core.interfaces import Batch, Density, Examples, GradientObjective, Loss, Model, Streams

__all__ = ["NegativeLogLikelihood"]


class NegativeLogLikelihood(GradientObjective[Density[Any], Any]):
    """Minimises −log p(x), or −log p(x | y), in nats per example; its bound where log p is not exact.

    Examples are weighted by the batch's weights.
    """

    def fits(self, model: Model) -> str | None:
        assert isinstance(model, Density)
        if model.log_prob_is == "estimate" or model.many_passes:
            return f"needs a density of one pass; that of {type(model).__name__} takes many, or is an estimate"
        if not any(p.requires_grad for p in model.players.get("model", Model()).parameters()):
            return f"trains the player 'model'; {type(model).__name__} has no parameters of that name"
        return None

    def initialise(self, model: Density[Any], data: Examples, seed: int) -> None:
        assert isinstance(model, Model)
        first = data.first()
        model.start(first, Streams(seed, "start", 0, len(first), device=model.device))

    def losses(self, model: Density[Any], batch: Batch[Any], streams: Streams) -> Iterator[Loss]:
        log_p = model.log_prob(batch.x, condition=batch.condition, streams=streams)
        if batch.weights is None:
            yield Loss(-log_p.mean())
        else:
            yield Loss(-(batch.weights * log_p).sum() / batch.weights.sum())
