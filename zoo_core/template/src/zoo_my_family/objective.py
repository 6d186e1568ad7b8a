"""What training minimises."""

from __future__ import annotations

from collections.abc import Iterator

from zoo_core.interfaces import Batch, GradientObjective, Loss, Streams
from zoo_my_family.model import MyFamily

__all__ = ["MaximumLikelihood"]


class MaximumLikelihood(GradientObjective):
    """The mean of −log p(x) over a batch, in nats."""

    def losses(self, model: MyFamily, batch: Batch, streams: Streams) -> Iterator[Loss]:  # type: ignore[override]
        yield Loss(-model.log_prob(batch.x, condition=batch.condition).mean())
