"""The accuracy of classifiers of noisy data, averaged over all noise levels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Metric, Model, Result, Streams
from zoo_core.interfaces.dataset import DataSet
from zoo_core.paths import broadcast
from zoo_guidance.noisy_classifier import NoisyClassifier

__all__ = ["NoisyAccuracy"]


@dataclass(frozen=True)
class Count:
    """Numbers of all examples and of correctly classified ones."""

    n: int = 0
    right: int = 0


class NoisyAccuracy(Metric[Count]):
    """The accuracy on held-out examples, each at an angle θ ~ U[0, π/2] between data and noise."""

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
        angle = broadcast(theta, batch.x)
        y = angle.cos() * batch.x + angle.sin() * streams.normal(*batch.x.shape[1:])
        right = model.log_probabilities(y, theta).argmax(1) == batch.condition["label"]
        return Count(state.n + len(batch), state.right + int(right.sum()))

    def merge(self, a: Count, b: Count) -> Count:
        return Count(a.n + b.n, a.right + b.right)

    def compute(self, state: Count) -> Result:
        share = state.right / state.n
        stderr = math.sqrt(share * (1.0 - share) / state.n)
        return Result(share, stderr, state.n, "", "higher", protocol="at angles uniform between data and noise")
