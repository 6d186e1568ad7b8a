"""The estimates of the normaliser, from both sides, against sums over all states."""

from __future__ import annotations

import math

import pytest
import torch

import zoo_core
from zoo_core import datasets, registry
from zoo_core.errors import IncompatibleError
from zoo_core.evaluation import evaluate
from zoo_core.interfaces import Streams
from zoo_rbm.enumeration import bits
from zoo_rbm.metric import AnnealedLikelihood
from zoo_rbm.model import BernoulliRBM, GaussianRBM
from zoo_rbm.normaliser import ALL_LEVELS, Annealed, annealed_log_normaliser, levels, levels_for, reverse_bound


def machine(kind=BernoulliRBM, visible=10, hidden=8):
    model = kind([visible], hidden).double().requires_grad_(False)
    source = torch.Generator().manual_seed(4)
    for value in [*model.parameters(), model.base]:
        value.copy_(0.6 * torch.randn(value.shape, generator=source, dtype=torch.float64))
    return model


def test_the_levels_are_those_of_salakhutdinov_and_murray():
    """0 … ½ by 1/1,000, … 0.9 by 1/10,000, … 1 by 1/100,000: 14,500 of them."""
    found = torch.tensor(levels(), dtype=torch.float64)
    steps = found.diff()
    assert len(steps) == ALL_LEVELS == 14_500
    assert found[[0, 500, 4_500, -1]].tolist() == [0.0, 0.5, 0.9, 1.0]
    for part, size in ((steps[:500], 1e-3), (steps[500:4_500], 1e-4), (steps[4_500:], 1e-5)):
        torch.testing.assert_close(part, torch.full_like(part, size), rtol=0, atol=1e-12)
    assert len(levels_for(BernoulliRBM([784], 500))) - 1 == ALL_LEVELS
    assert len(levels_for(BernoulliRBM([8], 8))) - 1 == pytest.approx(192, abs=2)


@pytest.mark.parametrize("kind", [BernoulliRBM, GaussianRBM])
def test_annealing_finds_the_normaliser(kind):
    """400 runs of 200 levels: within 4 standard errors of the sum, and these are small."""
    model = machine(kind)
    found = annealed_log_normaliser(model, levels(200), Streams(0, "ais", 0, 400, dtype=torch.float64))
    assert found.stderr < 0.1
    assert abs(found.value - float(model.log_normaliser())) < 4 * found.stderr


def test_the_machine_is_reached_at_one_and_independent_units_at_zero():
    model = machine()
    x = bits(10, 0, 50)
    torch.testing.assert_close(Annealed(model, 1.0, []).free_energy(x), model.free_energy(x), rtol=0, atol=0)
    nothing = -x @ model.base - 8 * math.log(2)
    torch.testing.assert_close(Annealed(model, 0.0, []).free_energy(x), nothing, rtol=0, atol=1e-12)


def test_the_reverse_weights_are_unbiased():
    """With one level the annealed model is p₀ and one sweep of the machine: E w over 50,000 runs against the sum.

    p_annealed(v) = Σ_v₀ p₀(v₀) T(v₀ → v) with 16 states v₀; within 5 standard errors.
    """
    model = machine(visible=4, hidden=3)
    v, h = bits(4, 0, 16), bits(3, 0, 8)
    p_0 = torch.softmax(v @ model.base, 0)
    up = torch.sigmoid(model.inputs(v))
    h_given_v = torch.where(h[None] > 0, up[:, None], 1 - up[:, None]).prod(2)
    down = torch.sigmoid(model.a + h @ model.W.T)
    v_given_h = torch.where(v[None] > 0, down[:, None], 1 - down[:, None]).prod(2)
    annealed = p_0 @ h_given_v @ v_given_h
    n = 50_000
    for which in (0, 7):
        x = v[which].expand(n, -1)
        w = reverse_bound(model, x, [0.0, 1.0], Streams(which, "raise", 0, n, dtype=torch.float64)).exp()
        assert abs(w.mean() - annealed[which]) < 5 * w.std() / math.sqrt(n)


def test_both_sides_enclose_the_likelihood():
    """Few levels: the reverse bound lies below the exact mean of log p, and comes closer with more levels."""
    model = machine()
    states = bits(10, 0, 1024)
    x = states[Streams(5, "exact", 0, 500).categorical(model.log_prob(states).exp())]
    exact = model.log_prob(x)
    gaps = []
    for count in (15, 60, 300):
        gap = exact - reverse_bound(model, x, levels(count), Streams(0, "raise", 0, 500, dtype=torch.float64))
        gaps.append((gap.mean().item(), gap.std().item() / math.sqrt(500)))
    assert all(mean > -3 * stderr for mean, stderr in gaps)
    assert gaps[0][0] > 3 * gaps[0][1]
    assert gaps[0][0] > gaps[1][0] > gaps[2][0]
    assert gaps[2][0] < 0.15


@pytest.mark.slow
def test_the_metric_agrees_with_the_exact_likelihood():
    """Of the registered machine with 16 hidden units, on its own test data: within 4 standard errors of log Z."""
    model = zoo_core.load("rbm-digits-16")
    found = evaluate(model, "ais-nll", n=200)
    exact = evaluate(model, "nll", n=200)
    assert found.anchors["exact"] == pytest.approx(exact.value, abs=1e-3)
    stderr = float(found.protocol.split("±")[1].split(",")[0].split()[0])
    assert abs(found.value - exact.value) < max(4 * stderr, 0.02)
    assert -0.05 < found.anchors["reverse bound"] - exact.value < 1.0


@pytest.mark.slow
@pytest.mark.large
@pytest.mark.needs_data("mnist")
def test_the_machine_of_mnist_is_as_good_as_it_says():
    """At most 90 nats from both sides, which differ by less than 2; a quick estimate agrees with the one it ships.

    50 runs of 1,000 levels on 1,000 test images: within 3 nats, since the mean over so few images has a standard error
    of 0.8 and so few levels one of 0.4.
    """
    (row,) = (row for row in registry.load().entries["rbm-mnist"].evaluations if row.metric == "ais-nll")
    below = row.anchors["reverse bound"]
    assert max(row.value, below) < 90.0
    assert abs(below - row.value) < 2.0
    quick = evaluate(zoo_core.load("rbm-mnist"), AnnealedLikelihood(runs=50, most_levels=1000, bounded=0), n=1000)
    assert abs(quick.value - row.value) < 3.0


def test_quick_settings_are_said_in_the_protocol():
    model = zoo_core.load("rbm-digits")
    found = evaluate(model, AnnealedLikelihood().quick(), n=3)
    assert "10 runs of 100 levels" in found.protocol
    assert len(found.anchors) == 1
    with pytest.raises(IncompatibleError, match="at least 2 runs"):
        AnnealedLikelihood(runs=1)


def test_the_metric_refuses_other_models():
    with pytest.raises(IncompatibleError, match="EnergyBased"):
        AnnealedLikelihood().check(zoo_core.load("gmm-digits"), datasets.load("digits", "test"))
