r"""Likelihoods of held-out data.

The negative log-likelihood is −E log p(x) in nats.  In bits per dimension, for D dimensions on a grid of levels,

    bits/dim = −log₂ P(x)/D                            where the model gives probabilities of levels,
    bits/dim = −(log p(x)/ln 2)/D − log₂ Δ             where it gives a density of dequantised data (Theis et al. 2016),

Δ being the width of a level in the model's own units; a density that is uniform over the range scores log₂ levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from zoo_core.datasets.dataset import DataSet
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Density, Metric, Model, Result, Streams

__all__ = ["BitsPerDimension", "Moments", "NegativeLogLikelihood"]


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations: they merge without losing digits (Chan et al. 1979)."""

    model: Model
    data: DataSet
    n: int = 0
    mean: float = 0.0
    squares: float = 0.0


class NegativeLogLikelihood(Metric[Moments]):
    """−E log p(x), nats per sample."""

    uses = "data"
    unit = "nats"

    def check(self, model: Model, data: DataSet) -> None:
        if not isinstance(model, Density):
            raise IncompatibleError(f"a likelihood needs Density, which {type(model).__name__} is not")

    def init(self, model: Model, data: DataSet) -> Moments:
        self.check(model, data)
        return Moments(model, data)

    def update(self, state: Moments, model: Model, batch: Batch, streams: Streams) -> Moments:
        assert isinstance(model, Density)
        nll = -model.log_prob(batch.x, condition=batch.condition, streams=streams).double()
        mean = nll.mean().item()
        new = Moments(model, state.data, len(nll), mean, (nll - mean).square().sum().item())
        return self.merge(state, new)

    def merge(self, a: Moments, b: Moments) -> Moments:
        n = a.n + b.n
        if n == 0:
            return a
        delta = b.mean - a.mean
        mean = a.mean + delta * b.n / n
        return Moments(a.model, a.data, n, mean, a.squares + b.squares + delta * delta * a.n * b.n / n)

    def compute(self, state: Moments) -> Result:
        scale, offset = self.conversion(state)
        stderr = math.sqrt(state.squares / max(state.n - 1, 1) / max(state.n, 1))
        entropy = state.data.entropy
        return Result(
            value=scale * state.mean + offset,
            stderr=abs(scale) * stderr,
            n=state.n,
            unit=self.unit,
            direction="lower",
            anchors={} if entropy is None else {"entropy": scale * entropy + offset},
            protocol=_protocol(state),
        )

    def conversion(self, state: Moments) -> tuple[float, float]:
        """Scale and offset from nats to the unit."""
        return 1.0, 0.0


class BitsPerDimension(NegativeLogLikelihood):
    """Bits per dimension of data on a grid of levels."""

    unit = "bits/dim"

    def check(self, model: Model, data: DataSet) -> None:
        super().check(model, data)
        if data.levels is None:
            raise IncompatibleError(
                f"bits per dimension need data on a grid of levels; {data.name} is continuous: use nll"
            )

    def conversion(self, state: Moments) -> tuple[float, float]:
        space = state.model.space
        dimensions = math.prod(int(size) for size in space.shape if size is not None)
        scale = 1.0 / (dimensions * math.log(2.0))
        if getattr(state.model, "discrete", False):
            return scale, 0.0
        assert state.data.levels is not None
        width = 1.0 if space.low is None or space.high is None else space.high - space.low
        return scale, -math.log2(width / state.data.levels)


def _protocol(state: Moments) -> str:
    model = state.model
    assert isinstance(model, Density)
    words = [{"exact": "exact", "bound": "variational bound", "estimate": "estimate"}[model.log_prob_is]]
    if state.data.levels is not None:
        words.append(
            f"{state.data.levels} levels" if model.discrete else f"{state.data.levels} levels, uniformly dequantised"
        )
    return ", ".join(words)
