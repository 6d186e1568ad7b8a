"""Likelihood metrics: closed forms, and states that merge."""

from __future__ import annotations

import math

import pytest
import torch

from zoo_core import datasets
from zoo_core.errors import IncompatibleError
from zoo_core.evaluation import evaluate, evaluate_all
from zoo_core.interfaces import Batch, Density, DirectSampler, Model, SampleSpace, Streams
from zoo_metrics.densities import KullbackLeibler
from zoo_metrics.importance import elbo, elbo_bits
from zoo_metrics.likelihood import BitsPerDimension, NegativeLogLikelihood


class Uniform(Model, Density):
    """A density, or a probability of levels, that is the same everywhere."""

    def __init__(self, low: float, high: float, levels: int | None = None) -> None:
        super().__init__()
        self.space = SampleSpace("image", (1, 8, 8), low, high)
        self.discrete = levels is not None
        self.each = -math.log(levels if levels is not None else high - low)
        self.register_buffer("one", torch.ones((), dtype=torch.float64))

    def log_prob(self, x, *, condition=None, streams=None):
        assert x.min() >= self.space.low
        assert x.max() <= self.space.high
        return torch.full((len(x),), 64 * self.each, dtype=torch.float64)


class Exact(Model, Density):
    """The data's own density."""

    def __init__(self, name: str) -> None:
        super().__init__()
        from zoo_core.datasets.densities import DENSITIES

        self.density = DENSITIES[name]
        self.space = SampleSpace("points", (self.density.dimensions,))

    def log_prob(self, x, *, condition=None, streams=None):
        return self.density.log_prob(x)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 17.0)])
def test_the_uniform_density_scores_log2_of_the_levels(low, high):
    """17 levels: log₂ 17 bits per dimension, to rounding, whatever the model's range."""
    result = evaluate(Uniform(low, high), BitsPerDimension(), data=datasets.load("digits", "test"), n=50)
    assert result.value == pytest.approx(math.log2(17), abs=1e-12)
    assert result.stderr == pytest.approx(0.0, abs=1e-12)
    assert (result.n, result.unit, result.direction) == (50, "bits/dim", "lower")
    assert result.protocol == "exact, 17 levels, uniformly dequantised"


def test_so_does_the_uniform_probability_of_levels():
    result = evaluate(Uniform(-1.0, 1.0, levels=17), BitsPerDimension(), data=datasets.load("digits", "test"), n=50)
    assert result.value == pytest.approx(math.log2(17), abs=1e-12)
    assert result.protocol == "exact, 17 levels"


@pytest.mark.parametrize("name", ["eight-gaussians", "two-moons", "checkerboard", "two-gaussians-1d"])
def test_the_true_density_scores_its_entropy(name):
    """Within four standard errors; the entropy is the anchor."""
    data = datasets.load(name, "test", n=2000)
    result = evaluate(Exact(name), NegativeLogLikelihood(), data=data)
    assert result.value == pytest.approx(data.entropy, abs=4 * result.stderr + 1e-12)
    assert result.anchors == {"entropy": data.entropy}


def test_the_standard_error_is_that_of_the_mean():
    data = datasets.load("two-moons", "test", n=500)
    model = Exact("two-moons")
    nll = -model.log_prob(data.x)
    result = evaluate(model, NegativeLogLikelihood(), data=data, batch_size=7)
    assert result.value == pytest.approx(nll.mean().item(), rel=1e-12)
    assert result.stderr == pytest.approx((nll.std() / math.sqrt(500)).item(), rel=1e-10)


def test_states_merge_in_any_grouping():
    model, data = Exact("two-moons"), datasets.load("two-moons", "test", n=90)
    metric, other = NegativeLogLikelihood(), KullbackLeibler()
    streams = Streams(0, "test", 0, 30)
    a, b, c = (metric.update(metric.init(model, data), model, Batch(part), streams) for part in data.x.split(30))
    left, right = metric.merge(metric.merge(a, b), c), metric.merge(a, metric.merge(c, b))
    for kind in (metric, other):
        one, two = kind.compute(left), kind.compute(right)
        assert (one.n, one.value, one.stderr) == pytest.approx((two.n, two.value, two.stderr), rel=1e-12, abs=1e-12)
    empty = metric.init(model, data)
    assert metric.compute(metric.merge(a, empty)) == metric.compute(metric.merge(empty, a)) == metric.compute(a)


class Counted(Exact):
    """Counts how often it was asked."""

    asked = 0

    def log_prob(self, x, *, condition=None, streams=None):
        self.asked += len(x)
        return super().log_prob(x) - 0.1


class CountedImages(Uniform):
    """The same, by importance sampling of images."""

    asked = 0

    def importance_log_prob(self, x, k, streams):
        self.asked += len(x)
        return super().log_prob(x)


def test_metrics_of_one_run_share_the_log_densities():
    """The model is asked once for each example, and the numbers are those of each metric alone."""
    model, data = Counted("two-moons"), datasets.load("two-moons", "test", n=90)
    metrics = [NegativeLogLikelihood(), KullbackLeibler()]
    together = evaluate_all(model, metrics, data=data, batch_size=40)
    assert model.asked == 90
    assert together == [evaluate(model, metric, data=data, batch_size=40) for metric in metrics]
    assert together[1].value == pytest.approx(0.1, abs=1e-12)
    images, pictures = CountedImages(0.0, 1.0), datasets.load("digits", "test")
    together = evaluate_all(images, [elbo(), elbo_bits()], data=pictures, n=30)
    assert images.asked == 30
    assert together[1].value == pytest.approx(math.log2(17), abs=1e-12)
    # by importance sampling or not are two things
    evaluate_all(images, [elbo(), BitsPerDimension()], data=pictures, n=30)
    assert images.asked == 60


@pytest.mark.long
def test_the_result_does_not_depend_on_the_batches():
    data = datasets.load("digits", "test")
    import zoo_core

    model = zoo_core.load("gmm-digits")
    values = [evaluate(model, BitsPerDimension(), data=data, batch_size=size).value for size in (1, 50, 360)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-12)


class Dice(Model, DirectSampler):
    def __init__(self) -> None:
        super().__init__()
        self.space = SampleSpace("points", (1,))

    def draw(self, streams, *, condition=None):
        return streams.integers(6, 1).float()


def test_what_does_not_fit_says_why():
    moons = datasets.load("two-moons", "test", n=10)
    with pytest.raises(IncompatibleError, match="needs Density, which Dice is not"):
        evaluate(Dice(), NegativeLogLikelihood(), data=moons)
    with pytest.raises(IncompatibleError, match="two-moons has points 2: use nll"):
        evaluate(Exact("two-moons"), BitsPerDimension(), data=moons)
    with pytest.raises(IncompatibleError, match="give the data set"):
        evaluate(Exact("two-moons"), NegativeLogLikelihood())


@pytest.mark.parametrize("name", ["gmm-eight-gaussians", "gmm-digits"])
def test_the_registry_says_what_is_measured(name):
    """The committed numbers, measured again on the committed weights: to the digits that are written."""
    import zoo_core

    model = zoo_core.load(name)
    for row in model.entry.evaluations:
        result = evaluate(model, row.metric, seed=row.seed)
        assert (result.n, result.unit, result.protocol) == (row.n, row.unit, row.protocol)
        assert result.value == pytest.approx(row.value, rel=2e-5)
        assert result.stderr == pytest.approx(row.stderr, rel=1e-2)
