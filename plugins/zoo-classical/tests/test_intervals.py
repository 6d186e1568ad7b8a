"""Confidence intervals against SciPy, and how often they cover."""

from __future__ import annotations

import math

import pytest
import torch

from zoo_classical import intervals, quantiles
from zoo_classical.exponential import Exponential
from zoo_classical.normal import Normal
from zoo_classical.objective import ClosedForm
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Streams

stats = pytest.importorskip("scipy.stats")

CLOSE = pytest.approx
TAILS = (1e-6, 0.005, 0.025, 0.3, 0.5, 0.9, 0.975, 0.9999)


@pytest.mark.parametrize("p", TAILS)
def test_quantiles_are_those_of_scipy(p):
    assert quantiles.normal(p) == CLOSE(stats.norm.ppf(p), rel=1e-12)
    for a in (0.5, 1.0, 7.0, 350.0, 1e5):
        assert quantiles.gamma(p, a) == CLOSE(stats.gamma.ppf(p, a), rel=1e-9)
        assert quantiles.chi_square(p, a) == CLOSE(stats.chi2.ppf(p, a), rel=1e-9)
    for a, b in ((0.5, 0.5), (7.0, 4.0), (1.0, 30.0), (700.5, 300.0)):
        assert quantiles.beta(p, a, b) == CLOSE(stats.beta.ppf(p, a, b), rel=1e-9)
    for freedom in (1.0, 2.0, 11.0, 999.0):
        assert quantiles.student(p, freedom) == CLOSE(stats.t.ppf(p, freedom), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (7, 10), (10, 10), (1, 1), (350, 500)])
def test_clopper_pearson_is_that_of_scipy(k, n):
    low, high = intervals.clopper_pearson(k, n, 0.95)
    theirs = stats.binomtest(k, n).proportion_ci(0.95, "exact")
    assert (low, high) == CLOSE((theirs.low, theirs.high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_clopper_pearson_covers_exactly(p, level):
    """Summed over all outcomes, without chance: at least the level, and 0.999 at most for these p and level 0.95."""
    inside = [k for k in range(31) if (i := intervals.clopper_pearson(k, 30, level))[0] <= p <= i[1]]
    assert stats.binom.pmf(inside, 30, p).sum() >= level


@pytest.mark.parametrize("rate", [0.1, 1.0, 3.5, 20.0])
def test_garwood_covers_exactly(rate):
    """Summed over the counts of 4 observations."""
    inside = [s for s in range(250) if (i := intervals.garwood(s, 4, 0.95))[0] <= rate <= i[1]]
    assert stats.poisson.pmf(inside, 4 * rate).sum() >= 0.95


def test_garwood_is_written_with_chi_square():
    low, high = intervals.garwood(7, 2, 0.9)
    assert (low, high) == CLOSE((stats.chi2.ppf(0.05, 14) / 4, stats.chi2.ppf(0.95, 16) / 4), rel=1e-9)
    assert intervals.garwood(0, 2, 0.9)[0] == 0.0


def fitted(model, x):
    objective = ClosedForm()
    model.begin(Batch(x))
    objective.maximise(model, objective.statistics(model, Batch(x)))
    return model


def test_intervals_of_normal_data_are_those_of_scipy():
    x = Streams(3, "normal", 0, 15, dtype=torch.float64).normal(1) * 2 + 5
    found = {e.name: e for e in fitted(Normal([1]), x).estimates(0.9)}
    mean, s, n = x.mean().item(), x.std().item(), 15
    assert (found["mean[0]"].low, found["mean[0]"].high) == CLOSE(
        stats.t.interval(0.9, n - 1, mean, s / math.sqrt(n)), rel=1e-9
    )
    theirs = ((n - 1) * s**2 / stats.chi2.ppf(0.95, n - 1), (n - 1) * s**2 / stats.chi2.ppf(0.05, n - 1))
    assert (found["variance[0]"].low, found["variance[0]"].high) == CLOSE(theirs, rel=1e-9)


@pytest.mark.long
def test_intervals_cover_at_their_level():
    """1,000 data sets of 8 examples: 0.95 ± 3 standard errors, 0.0207, and Wald's of a variance far less."""
    covered = {"mean[0]": 0, "variance[0]": 0, "rate": 0, "wald": 0}
    streams = Streams(1, "coverage", 0, 1000, dtype=torch.float64)
    normals, uniforms = streams.normal(8) * 2 + 5, streams.uniform(8)
    for x, u in zip(normals, uniforms, strict=True):
        model = fitted(Normal([1]), x[:, None])
        for e, truth in zip(model.estimates(), (5.0, 4.0), strict=True):
            covered[e.name] += e.low <= truth <= e.high
        covered["wald"] += (e := model.estimates(method="wald")[1]).low <= 4.0 <= e.high
        (rate,) = fitted(Exponential(), -torch.log1p(-u)[:, None] / 0.5).estimates()
        covered["rate"] += rate.low <= 0.5 <= rate.high
    for name in ("mean[0]", "variance[0]", "rate"):
        assert abs(covered[name] / 1000 - 0.95) < 0.0207, covered
    assert covered["wald"] / 1000 < 0.85, covered


def test_wald_and_one_example():
    assert intervals.wald(1.0, 0.5, 0.95) == CLOSE(stats.norm.interval(0.95, 1.0, 0.5), rel=1e-12)
    assert intervals.student(1.0, 1.0, 0.0, 0.95) == (-math.inf, math.inf)
    assert intervals.variance(1.0, 0.0, 0.95) == (0.0, math.inf)


def test_intervals_need_examples_and_a_level():
    with pytest.raises(IncompatibleError, match="no examples"):
        Exponential().estimates()
    model = fitted(Exponential(), torch.ones(3, 1))
    with pytest.raises(IncompatibleError, match="level in"):
        model.estimates(95)
