r"""Likelihoods of held-out data.

The negative log-likelihood is −E log p(x) in nats.  In bits per dimension, for D dimensions on a grid of levels,

    bits/dim = −log₂ P(x)/D                            where the model gives probabilities of levels,
    bits/dim = −(log p(x)/ln 2)/D − log₂ Δ             where it gives a density of dequantised data (Theis et al. 2016),

Δ being the width of a level in the model's own units; a density that is uniform over the range scores log₂ levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Density, Metric, Model, Result, Streams
from zoo_core.interfaces.dataset import DataSet

__all__ = ["BitsPerDimension", "Moments", "NegativeLogLikelihood", "Scale", "data_protocol"]


@dataclass(frozen=True)
class Scale:
    """How nats per sample are reported: ``factor``·nats + ``offset``, with what else is to be said."""

    factor: float = 1.0
    offset: float = 0.0
    entropy: float | None = None
    protocol: str = ""


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations: they merge without losing digits (Chan et al. 1979)."""

    scale: Scale
    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def stderr(self) -> float:
        """The standard error of the mean."""
        return math.sqrt(self.squares / max(self.n - 1, 1) / max(self.n, 1))

    def and_also(self, values: Tensor) -> Moments:
        """With more numbers, ``(n,)``."""
        values = values.double()
        mean = values.mean().item()
        return self.merge(Moments(self.scale, len(values), mean, (values - mean).square().sum().item()))

    def merge(self, other: Moments) -> Moments:
        n = self.n + other.n
        if n == 0:
            return self
        delta = other.mean - self.mean
        squares = self.squares + other.squares + delta * delta * self.n * other.n / n
        return Moments(self.scale, n, self.mean + delta * other.n / n, squares)


class NegativeLogLikelihood(Metric[Moments]):
    """−E log p(x), nats per sample."""

    uses = "data"
    needs = (Density,)
    unit = "nats"

    def check(self, model: Model, data: DataSet) -> None:
        super().check(model, data)
        if model.discrete and not model.binarises and data.levels is None and data.sample_space.kind != "tokens":
            raise IncompatibleError(
                f"the model has probabilities of levels, and {data.name} are real numbers: they cannot be compared"
            )

    def by_default(self, model: Model) -> bool:
        return isinstance(model, Density) and model.log_prob_is == "exact"  # a DDPM's bound takes a second per image

    def init(self, model: Model, data: DataSet) -> Moments:
        self.check(model, data)
        factor, offset = self.conversion(model, data)
        return Moments(Scale(factor, offset, data.entropy, self.protocol(model, data)))

    def update(self, state: Moments, model: Model, batch: Batch, streams: Streams) -> Moments:
        return state.and_also(-self.log_likelihood(model, batch, streams))

    def log_likelihood(self, model: Model, batch: Batch, streams: Streams) -> Tensor:
        """log p(x) in nats, or what stands for it, ``(n,)``."""
        assert isinstance(model, Density)
        return model.log_prob(batch.x, condition=batch.condition, streams=streams)

    def merge(self, a: Moments, b: Moments) -> Moments:
        return a.merge(b)

    def compute(self, state: Moments) -> Result:
        factor, offset, entropy = state.scale.factor, state.scale.offset, state.scale.entropy
        return Result(
            value=factor * state.mean + offset,
            stderr=abs(factor) * state.stderr,
            n=state.n,
            unit=self.unit,
            direction="lower",
            anchors={} if entropy is None else {"entropy": factor * entropy + offset},
            protocol=state.scale.protocol,
        )

    def conversion(self, model: Model, data: DataSet) -> tuple[float, float]:
        """Factor and offset from nats to the unit."""
        return 1.0, 0.0

    def protocol(self, model: Model, data: DataSet) -> str:
        """Whether it is exact, and what was done to the data."""
        assert isinstance(model, Density)
        words = {"exact": "exact", "bound": "variational bound", "estimate": "estimate"}[model.log_prob_is]
        return f"{words}{data_protocol(model, data)}"


class BitsPerDimension(NegativeLogLikelihood):
    """Bits per dimension of data on a grid of levels."""

    unit = "bits/dim"

    def check(self, model: Model, data: DataSet) -> None:
        super().check(model, data)
        if data.levels is None:
            raise IncompatibleError(
                f"bits per dimension need data on a grid of levels; {data.name} is continuous: use nll"
            )
        if isinstance(model, Density) and model.binarises:
            raise IncompatibleError("this model's likelihood is of black and white, not of grey levels: use nll")

    def conversion(self, model: Model, data: DataSet) -> tuple[float, float]:
        space = model.space
        dimensions = math.prod(space.sizes)
        scale = 1.0 / (dimensions * math.log(2.0))
        if getattr(model, "discrete", False):
            return scale, 0.0
        assert data.levels is not None
        width = 1.0 if space.low is None or space.high is None else space.high - space.low
        return scale, -math.log2(width / data.levels)


def data_protocol(model: Model, data: DataSet) -> str:
    """What was done to the grey levels of the data, as a continuation of a sentence."""
    if data.levels is None:
        return ""
    if model.binarises:
        return ", binarised by chance (dynamic binarisation)"
    return f", {data.levels} levels" + ("" if getattr(model, "discrete", False) else ", uniformly dequantised")
