r"""Likelihoods of held-out data.

The negative log-likelihood is −E log p(x) in nats.  In bits per dimension, for D dimensions with discrete levels,

    bits/dim = −log₂ P(x)/D                            where the model gives probabilities of levels,
    bits/dim = −(log p(x)/ln 2)/D − log₂ Δ             where it gives a density of dequantised data (Theis et al. 2016),

Δ being the width of a level in the model's own units; a density that is uniform over the range scores log₂ levels.

Metrics of one run that use the same log-densities share them, so that the model is evaluated once.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace

from torch import Tensor

from zoo_core.datasets.densities import DENSITIES
from zoo_core.datasets.prepared import protocol
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Density, Metric, Model, Result, Streams
from zoo_core.interfaces.dataset import DataSet

__all__ = ["About", "BitsPerDimension", "HeldOut", "LikelihoodMetric", "Moments", "NegativeLogLikelihood"]


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations, which merge without cancellation (Chan et al. 1979)."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def stderr(self) -> float:
        """The standard error of the mean."""
        return math.sqrt(self.squares / max(self.n - 1, 1) / max(self.n, 1))

    def and_also(self, values: Tensor) -> Moments:
        """Returns the moments with further numbers ``(n,)`` included."""
        values = values.double()
        mean = values.mean().item()
        return self.merge(Moments(len(values), mean, (values - mean).square().sum().item()))

    def merge(self, other: Moments) -> Moments:
        n = self.n + other.n
        if n == 0:
            return self
        delta = other.mean - self.mean
        squares = self.squares + other.squares + delta * delta * self.n * other.n / n
        return Moments(n, self.mean + delta * other.n / n, squares)


@dataclass(frozen=True)
class About:
    """Facts about the model and the data that a result needs.

    Attributes:
        protocol: settings: whether log p is exact, and how the data were prepared.
        dimensions: number D of dimensions.
        levels: number of levels of discrete data.
        width: width of the range of values inside the model.
        discrete: whether the model gives probabilities of levels, not a density.
        entropy: entropy of the data in nats, where it is known.
        density: name of the data's density, where it is known.
    """

    protocol: str
    dimensions: int
    levels: int | None
    width: float
    discrete: bool
    entropy: float | None
    density: str | None


@dataclass(frozen=True)
class HeldOut:
    """Log-densities of held-out data.

    Attributes:
        about: facts about the model and the data.
        nats: moments of −log p(x).
        seen: batches of x and log p(x) in float64, where the data's density is known.
    """

    about: About
    nats: Moments = Moments()
    seen: tuple[tuple[Tensor, Tensor], ...] = ()


class LikelihoodMetric(Metric[HeldOut]):
    """The base of metrics of held-out log-densities; metrics with one :meth:`source` share the log-densities."""

    uses = "data"
    needs = (Density,)

    def source(self) -> Hashable:
        """Returns a key for the way in which log p(x) is computed."""
        return "log_prob"

    def shares(self) -> Hashable:
        return ("log p of held-out data", self.source())

    def check(self, model: Model, data: DataSet) -> None:
        super().check(model, data)
        if model.discrete and not model.binarises and data.levels is None and not data.sample_space.is_countable:
            raise IncompatibleError(
                f"the model has probabilities of levels, and {data.name} has real numbers, which have none"
            )

    def by_default(self, model: Model) -> bool:
        return isinstance(model, Density) and model.log_prob_is == "exact"  # a DDPM's bound takes a second per image

    def init(self, model: Model, data: DataSet) -> HeldOut:
        self.check(model, data)
        space, discrete = model.space, model.discrete
        told = " and ".join(name for name in model.conditions if name in data.columns)
        return HeldOut(
            About(
                protocol=self.words(model) + protocol(model, data) + (f", given the {told}" if told else ""),
                dimensions=math.prod(space.sizes),
                levels=data.levels,
                width=1.0 if space.low is None or space.high is None else space.high - space.low,
                discrete=discrete,
                entropy=None if discrete else data.entropy,
                density=data.name if data.name in DENSITIES and data.levels is None else None,
            )
        )

    def update(self, state: HeldOut, model: Model, batch: Batch, streams: Streams) -> HeldOut:
        log_p = self.log_likelihood(model, batch, streams).double().cpu()
        seen = state.seen
        if state.about.density is not None:
            seen = (*seen, (batch.x.double().cpu(), log_p))
        return replace(state, nats=state.nats.and_also(-log_p), seen=seen)

    def merge(self, a: HeldOut, b: HeldOut) -> HeldOut:
        return HeldOut(a.about, a.nats.merge(b.nats), a.seen + b.seen)

    def log_likelihood(self, model: Model, batch: Batch, streams: Streams) -> Tensor:
        """Computes log p(x), or a bound or estimate of it, in nats, ``(n,)``."""
        assert isinstance(model, Density)
        return model.log_prob(batch.x, condition=batch.condition, streams=streams)

    def words(self, model: Model) -> str:
        """Describes whether the log-densities are exact, bounds or estimates."""
        assert isinstance(model, Density)
        return {"exact": "exact", "bound": "variational bound", "estimate": "estimate"}[model.log_prob_is]


class NegativeLogLikelihood(LikelihoodMetric):
    """The negative log-likelihood −E log p(x), in nats per sample."""

    unit = "nats"

    def compute(self, state: HeldOut) -> Result:
        factor, offset = self.conversion(state.about)
        entropy = state.about.entropy
        return Result(
            value=factor * state.nats.mean + offset,
            stderr=abs(factor) * state.nats.stderr,
            n=state.nats.n,
            unit=self.unit,
            direction="lower",
            anchors={} if entropy is None else {"entropy": factor * entropy + offset},
            protocol=state.about.protocol,
        )

    def conversion(self, about: About) -> tuple[float, float]:
        """Returns factor and offset that convert nats to the unit."""
        return 1.0, 0.0


class BitsPerDimension(NegativeLogLikelihood):
    """The negative log-likelihood in bits per dimension, for data with discrete levels."""

    unit = "bits/dim"

    def check(self, model: Model, data: DataSet) -> None:
        super().check(model, data)
        if data.levels is None:
            raise IncompatibleError(
                f"bits per dimension need images with grey levels; {data.name} has {data.sample_space.words()}: use nll"
            )
        if isinstance(model, Density) and model.binarises:
            raise IncompatibleError("this model's likelihood is of black and white, not of grey levels: use nll")

    def conversion(self, about: About) -> tuple[float, float]:
        scale = 1.0 / (about.dimensions * math.log(2.0))
        if about.discrete:
            return scale, 0.0
        assert about.levels is not None
        return scale, -math.log2(about.width / about.levels)
