r"""Likelihoods of held-out data.

The negative log-likelihood is −E log p(x) in nats.  In bits per dimension, for D dimensions on a grid of levels,

    bits/dim = −log₂ P(x)/D                            where the model gives probabilities of levels,
    bits/dim = −(log p(x)/ln 2)/D − log₂ Δ             where it gives a density of dequantised data (Theis et al. 2016),

Δ being the width of a level in the model's own units; a density that is uniform over the range scores log₂ levels.

Metrics of one run that rest on the same log-densities share them: the model is asked once.
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
    """Count, mean and sum of squared deviations: they merge without losing digits (Chan et al. 1979)."""

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
    """What a report of a likelihood says of the model and the data.

    Attributes:
        protocol: how exact it is, and what was done to the data.
        dimensions: D.
        levels: of the data, where they are on a grid.
        width: of the range of values inside the model.
        discrete: whether the model gives probabilities of levels, not a density.
        entropy: of the data, in nats, where it is known.
        density: the name of the data's density, where that is known.
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
        about: the model and the data.
        nats: the moments of −log p(x).
        seen: x and log p(x) batch by batch, in float64, where they can be held against the data's density.
    """

    about: About
    nats: Moments = Moments()
    seen: tuple[tuple[Tensor, Tensor], ...] = ()


class LikelihoodMetric(Metric[HeldOut]):
    """What all metrics of held-out log-densities have in common; those of one :meth:`source` share them."""

    uses = "data"
    needs = (Density,)

    def source(self) -> Hashable:
        """Where log p(x) comes from."""
        return "log_prob"

    def shares(self) -> Hashable:
        return ("log p of held-out data", self.source())

    def check(self, model: Model, data: DataSet) -> None:
        super().check(model, data)
        if model.discrete and not model.binarises and data.levels is None and data.sample_space.kind != "tokens":
            raise IncompatibleError(
                f"the model has probabilities of levels, and {data.name} are real numbers: they cannot be compared"
            )

    def by_default(self, model: Model) -> bool:
        return isinstance(model, Density) and model.log_prob_is == "exact"  # a DDPM's bound takes a second per image

    def init(self, model: Model, data: DataSet) -> HeldOut:
        self.check(model, data)
        space, discrete = model.space, model.discrete
        return HeldOut(
            About(
                protocol=self.words(model) + protocol(model, data),
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
        """log p(x) in nats, or what stands for it, ``(n,)``."""
        assert isinstance(model, Density)
        return model.log_prob(batch.x, condition=batch.condition, streams=streams)

    def words(self, model: Model) -> str:
        """How exact the log-densities are."""
        assert isinstance(model, Density)
        return {"exact": "exact", "bound": "variational bound", "estimate": "estimate"}[model.log_prob_is]


class NegativeLogLikelihood(LikelihoodMetric):
    """−E log p(x), nats per sample."""

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
        """Factor and offset from nats to the unit."""
        return 1.0, 0.0


class BitsPerDimension(NegativeLogLikelihood):
    """Bits per dimension of data on a grid of levels."""

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
