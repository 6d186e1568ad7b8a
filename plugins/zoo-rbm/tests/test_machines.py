"""Machines against sums over all their states, and against other implementations of their conditionals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zoo_core import datasets
from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Density, DirectSampler, Streams, can
from zoo_rbm.contrastive_divergence import ContrastiveDivergence
from zoo_rbm.enumeration import bits, log_weights
from zoo_rbm.model import BernoulliRBM, GaussianRBM


def machine(kind, shape, hidden, size=0.7, dtype=torch.float64):
    """A machine with random weights and biases."""
    model = kind(shape, hidden).to(dtype).requires_grad_(False)
    source = torch.Generator().manual_seed(1)
    for value in [*model.parameters(), model.base]:
        value.copy_(size * torch.randn(value.shape, generator=source, dtype=torch.float64))
    return model


@pytest.mark.parametrize(("visible", "hidden"), [(6, 4), (4, 6), (5, 5)])
def test_free_energy_and_normaliser_are_sums_over_all_states(visible, hidden):
    """F sums exp(−E) over h, and Z over v and h; Z is summed over the smaller side, whichever it is."""
    model = machine(BernoulliRBM, [visible], hidden)
    v, h = bits(visible, 0, 1 << visible), bits(hidden, 0, 1 << hidden)
    negative_energy = (v @ model.a)[:, None] + h @ model.b + v @ model.W @ h.T
    torch.testing.assert_close(-model.free_energy(v), negative_energy.logsumexp(1), rtol=0, atol=1e-12)
    torch.testing.assert_close(model.log_normaliser(), negative_energy.flatten().logsumexp(0), rtol=0, atol=1e-12)
    torch.testing.assert_close(model.log_prob(v).exp().sum(), torch.ones(()).double(), rtol=0, atol=1e-12)


def test_states_in_parts_are_all_states():
    """2¹⁶ states are summed in four parts; without weights Z = 2^visible · 2^hidden."""
    model = machine(BernoulliRBM, [3, 6], 16, size=0.0)
    assert math.isclose(float(model.log_normaliser()), (18 + 16) * math.log(2), rel_tol=1e-12)


@pytest.mark.long
def test_twenty_units_are_summed_from_either_side():
    """2²⁰ hidden states, and 2²⁰ visible states: two sums of other terms, and equal to 1e-9 nats."""
    model = machine(BernoulliRBM, [20], 20, size=0.3)
    visible = log_weights(20, lambda v: -model.double_energy(v), model.a.device).logsumexp(0)
    torch.testing.assert_close(model.log_normaliser(), visible, rtol=0, atol=1e-9)


def test_a_gaussian_machine_is_a_mixture_of_normal_distributions():
    """p(v) = Σ_h p(h) N(v; s(a + Wh), s²), with p(h) ∝ exp(bᵀh + ½‖a + Wh‖²); against torch.distributions."""
    model = machine(GaussianRBM, [3], 4)
    h, scale = bits(4, 0, 16), model.log_scale.exp()
    means = model.a + h @ model.W.T
    shares = torch.softmax(h @ model.b + 0.5 * means.square().sum(1), 0)
    parts = torch.distributions.Independent(torch.distributions.Normal(means * scale, scale), 1)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(shares), parts)
    x = 3 * torch.randn(50, 3, dtype=torch.float64)
    torch.testing.assert_close(model.log_prob(x), mixture.log_prob(x), rtol=0, atol=1e-10)


def test_a_sweep_of_a_gaussian_machine_leaves_its_moments():
    """From exact samples of the mixture, means and second moments after a sweep are within 5 standard errors."""
    model, n = machine(GaussianRBM, [2], 3), 40_000
    h = bits(3, 0, 8)
    means, scale = model.a + h @ model.W.T, model.log_scale.exp()
    shares = torch.softmax(h @ model.b + 0.5 * means.square().sum(1), 0)
    streams = Streams(0, "exact", 0, n, dtype=torch.float64)
    before = (means[streams.categorical(shares)] + streams.normal(2)) * scale
    after = model.gibbs_step(before, Streams(1, "sweep", 0, n, dtype=torch.float64))
    for power in (1, 2):
        error = (before**power).mean(0) - (after**power).mean(0)
        stderr = ((before**power).var(0) * 2 / n).sqrt()
        assert (error.abs() < 5 * stderr).all()


def test_conditionals_are_those_of_scikit_learn():
    """p(h | v), p(v | h) and F of BernoulliRBM with the same weights, to float64 rounding."""
    from sklearn.neural_network import BernoulliRBM as Peer

    model = machine(BernoulliRBM, [9], 5)
    peer = Peer(n_components=5)
    peer.components_ = model.W.T.numpy()
    peer.intercept_hidden_, peer.intercept_visible_ = model.b.numpy(), model.a.numpy()
    v = Streams(0, "v", 0, 20, dtype=torch.float64).integers(2, 9).double()
    np.testing.assert_allclose(torch.sigmoid(model.inputs(v)), peer._mean_hiddens(v.numpy()), atol=1e-12)
    np.testing.assert_allclose(model.free_energy(v), peer._free_energy(v.numpy()), atol=1e-12)

    class Fixed:  # a state of random numbers that makes the peer's draws the probabilities' side of a threshold
        def uniform(self, size):
            return np.full(size, 0.4)

    h = model.draw_hidden(model.inputs(v), Streams(0, "h", 0, 20, dtype=torch.float64))
    ours = model.mean(model.a + h @ model.W.T) > 0.4
    np.testing.assert_array_equal(ours, peer._sample_visibles(h.numpy(), Fixed()))


@pytest.mark.parametrize(("kind", "shape"), [(BernoulliRBM, [3]), (GaussianRBM, [1])])
def test_draws_of_a_small_machine_have_its_distribution(kind, shape):
    """Mean and second moment of 40,000 draws of v, and of exp(−F/2), against sums or a fine grid; 5 standard errors."""
    model, n = machine(kind, shape, 4), 40_000
    x = model.draw(Streams(0, "draw", 0, n, dtype=torch.float64))
    grid = bits(3, 0, 8) if kind is BernoulliRBM else torch.linspace(-60, 60, 24_001, dtype=torch.float64)[:, None]
    p = model.log_prob(grid).exp()
    torch.testing.assert_close(p.sum() * (1.0 if kind is BernoulliRBM else 0.005), torch.ones(()).double())
    p = p / p.sum()
    for value in (lambda v: v[:, 0], lambda v: v.square().sum(1), lambda v: torch.exp(model.log_prob(v) / 2)):
        assert abs(value(x).mean() - p @ value(grid)) < 5 * value(x).std() / n**0.5


def test_start_gives_independent_pixels_the_means_of_the_data_once():
    model = BernoulliRBM([1, 2, 2], 3)
    x = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]], [[[0.0, 1.0], [0.0, 0.0]]]])
    streams = Streams(0, "start", 0, 2)
    model.start(Batch(x), streams)
    torch.testing.assert_close(torch.sigmoid(model.base), torch.tensor([1, 3, 2, 1]) / 4)
    before = model.a.clone()
    model.start(Batch(1 - x), streams)
    assert torch.equal(before, model.a)


def test_training_starts_from_the_means_of_thousands_of_examples():
    """Of the 1,437 digits, not of the 64 that a batch has: within the one added white and black pixel."""
    model = BernoulliRBM([1, 8, 8], 3)
    data = Prepared(model, datasets.load("digits", "train"), 0)
    ContrastiveDivergence().initialise(model, data, 0)
    x = data.rows(torch.arange(len(data))).x.flatten(1)
    torch.testing.assert_close(torch.sigmoid(model.a), (x.sum(0) + 1) / (len(x) + 2), rtol=1e-4, atol=1e-6)


def test_only_a_small_machine_has_a_density():
    assert can(BernoulliRBM([30], 20), Density)
    assert can(BernoulliRBM([20], 30), Density)
    assert can(GaussianRBM([784], 8), Density)
    for large, count in ((BernoulliRBM([30], 21), 21), (GaussianRBM([2], 21), 21)):
        assert not can(large, Density)
        with pytest.raises(IncompatibleError, match=rf"2\^{count} states; measure ais-nll"):
            large.log_normaliser()
    assert not can(BernoulliRBM([20], 30), DirectSampler)
    with pytest.raises(IncompatibleError, match=r"2\^30 states; use gibbs or persistent-chains"):
        BernoulliRBM([20], 30).draw(Streams(0, "draw", 0, 2))
    with pytest.raises(IncompatibleError, match="at least one visible and one hidden unit"):
        BernoulliRBM([4], 0)
