"""Divergences between a model's density and the known density of its data, and the entropy of the model.

They are means over draws, with the standard errors of these means; see :mod:`zoo_metrics.divergences`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo_core.datasets.densities import DENSITIES
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Density, Metric, Model, Result, Streams
from zoo_core.interfaces.capabilities import lacking
from zoo_core.interfaces.dataset import DataSet
from zoo_metrics import real
from zoo_metrics.divergences import log_ratio_to_mixture
from zoo_metrics.likelihood import HeldOut, LikelihoodMetric, Moments

__all__ = ["Entropy", "JensenShannon", "KullbackLeibler"]


def _check(model: Model, data: DataSet, *, known: bool) -> None:
    if (reason := lacking(model, (Density,))) is not None:
        raise IncompatibleError(f"a divergence {reason}")
    if data.levels is not None:
        raise IncompatibleError(f"{data.name} has discrete levels; this metric needs continuous points")
    if known and _true_log_prob(data, data.rows(torch.arange(1)).x) is None:
        raise IncompatibleError(f"the density of {data.name} is not known")


def _true_log_prob(data: DataSet, x: Tensor) -> Tensor | None:
    density = DENSITIES.get(data.name)
    return None if density is None else density.log_prob(x.double())


class KullbackLeibler(LikelihoodMetric):
    """KL(data ‖ model) in nats: the excess negative log-likelihood of held-out data over their entropy."""

    def check(self, model: Model, data: DataSet) -> None:
        _check(model, data, known=True)

    def compute(self, state: HeldOut) -> Result:
        behind = Moments()
        assert state.about.density is not None
        for x, log_p in state.seen:
            truth = DENSITIES[state.about.density].log_prob(x)
            assert truth is not None
            behind = behind.and_also(truth - log_p)
        protocol = f"{state.about.protocol}, Monte Carlo over the data"
        return Result(behind.mean, behind.stderr, behind.n, "nats", "lower", {}, protocol)


@dataclass(frozen=True)
class OfSamples:
    """Values −log p of the model's own samples, and the entropy of its data where that is known."""

    nats: Moments
    entropy: float | None


class Entropy(Metric[OfSamples]):
    """The entropy H(model) = −E log p(x) over the model's own samples."""

    uses = "samples"

    def check(self, model: Model, data: DataSet) -> None:
        if model.space.encoding is not None:
            raise IncompatibleError("samples of your own data are rounded to your units, where the density has none")
        _check(model, data, known=False)

    def by_default(self, model: Model) -> bool:
        return isinstance(model, Density) and model.log_prob_is == "exact"

    def init(self, model: Model, data: DataSet) -> OfSamples:
        self.check(model, data)
        return OfSamples(Moments(), data.entropy)

    def update(self, state: OfSamples, model: Model, batch: Batch, streams: Streams) -> OfSamples:
        return replace(state, nats=state.nats.and_also(-_log_prob(model, batch, streams)))

    def merge(self, a: OfSamples, b: OfSamples) -> OfSamples:
        return OfSamples(a.nats.merge(b.nats), a.entropy)

    def compute(self, state: OfSamples) -> Result:
        anchors = {} if state.entropy is None else {"entropy": state.entropy}
        nats = state.nats
        return Result(nats.mean, nats.stderr, nats.n, "nats", "lower", anchors, "Monte Carlo over samples")


@dataclass(frozen=True)
class BothSides:
    """Values log p/m over the data and log q/m over the samples."""

    data: DataSet
    of_data: Moments
    of_samples: Moments


class JensenShannon(Metric[BothSides]):
    """JS(data, model) in nats, between 0 and ln 2, from draws of training data and of samples."""

    uses = "samples"

    def check(self, model: Model, data: DataSet) -> None:
        _check(model, data, known=True)
        real.check(model, data)

    def by_default(self, model: Model) -> bool:
        return isinstance(model, Density) and model.log_prob_is == "exact"

    def init(self, model: Model, data: DataSet) -> BothSides:
        self.check(model, data)
        return BothSides(data, Moments(), Moments())

    def update(self, state: BothSides, model: Model, batch: Batch, streams: Streams) -> BothSides:
        rows = torch.arange(streams.start, streams.start + len(batch)) % len(state.data)
        x = state.data.tensor[rows]
        on_data = model.space.from_user(x).to(model.device, model.dtype)
        of_data = log_ratio_to_mixture(_truth(state.data, x), _log_prob(model, Batch(on_data), streams))
        of_samples = log_ratio_to_mixture(_log_prob(model, batch, streams), _truth(state.data, batch.x))
        return BothSides(state.data, state.of_data.and_also(of_data), state.of_samples.and_also(of_samples))

    def merge(self, a: BothSides, b: BothSides) -> BothSides:
        return BothSides(a.data, a.of_data.merge(b.of_data), a.of_samples.merge(b.of_samples))

    def compute(self, state: BothSides) -> Result:
        value = (state.of_data.mean + state.of_samples.mean) / 2
        stderr = math.hypot(state.of_data.stderr, state.of_samples.stderr) / 2
        n = state.of_samples.n
        return Result(
            value, stderr, n, "nats", "lower", {"disjoint": math.log(2.0)}, "Monte Carlo over data and samples"
        )


def _truth(data: DataSet, x: Tensor) -> Tensor:
    truth = _true_log_prob(data, x)
    assert truth is not None
    return truth


def _log_prob(model: Model, batch: Batch, streams: Streams) -> Tensor:
    """Computes log p of samples in float64; tokens stay integers."""
    assert isinstance(model, Density)
    x = model.space.from_user(batch.x).to(model.device)
    x = x.to(model.dtype) if x.is_floating_point() else x
    return model.log_prob(x, condition=batch.condition, streams=streams).double().cpu()
