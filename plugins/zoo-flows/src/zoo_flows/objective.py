"""What a flow is trained on: the likelihood, which is exact."""

from __future__ import annotations

from collections.abc import Iterator

from zoo_core.interfaces import Batch, GradientObjective, Loss, Streams
from zoo_flows.flow import Flow

__all__ = ["NegativeLogLikelihood"]


class NegativeLogLikelihood(GradientObjective):
    """−log p(x), nats per example; of a conditional flow −log p(x | y).

    The first batch of a fresh model starts its ActNorms.  With variational dequantisation it is minus the bound.
    """

    def losses(self, model: Flow, batch: Batch, streams: Streams) -> Iterator[Loss]:  # type: ignore[override]
        if model.dequantiser is not None:
            model.start(batch.x, batch.condition, streams.restarted())
        else:
            model.start(batch.x, batch.condition)
        yield Loss(-model.log_prob(batch.x, condition=batch.condition, streams=streams).mean())
