"""How often a classifier of noisy data is right, over all angles between data and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Metric, Model, Result, Streams
from zoo_core.interfaces.dataset import DataSet
from zoo_guidance.noisy_classifier import NoisyClassifier

__all__ = ["NoisyAccuracy"]


@dataclass(frozen=True)
class Count:
    """How many were seen, and how many of them were named right."""

    n: int = 0
    right: int = 0


class NoisyAccuracy(Metric[Count]):
    """The share of held-out examples, each at an angle θ ~ U[0, π/2], whose likeliest label is the right one."""

    uses = "data"

    def check(self, model: Model, data: DataSet) -> None:
        if not isinstance(model, NoisyClassifier):
            raise IncompatibleError(f"noisy accuracy is of classifiers of noisy data; {type(model).__name__} is none")
        if data.y is None:
            raise IncompatibleError(f"{data.name} has no labels to compare with")

    def init(self, model: Model, data: DataSet) -> Count:
        self.check(model, data)
        return Count()

    def update(self, state: Count, model: Model, batch: Batch, streams: Streams) -> Count:
        assert isinstance(model, NoisyClassifier)
        assert batch.condition is not None
        theta = 0.5 * math.pi * streams.uniform(1).squeeze(1)
        angle = theta.view(-1, *[1] * (batch.x.ndim - 1))
        y = angle.cos() * batch.x + angle.sin() * streams.normal(*batch.x.shape[1:])
        right = model.log_probabilities(y, theta).argmax(1) == batch.condition["label"]
        return Count(state.n + len(batch), state.right + int(right.sum()))

    def merge(self, a: Count, b: Count) -> Count:
        return Count(a.n + b.n, a.right + b.right)

    def compute(self, state: Count) -> Result:
        share = state.right / state.n
        stderr = math.sqrt(share * (1.0 - share) / state.n)
        return Result(share, stderr, state.n, "", "higher", protocol="at angles uniform between data and noise")
