"""Contrastive divergence against the exact gradient, its centring, and runs that stop and go on."""

from __future__ import annotations

import math

import pytest
import torch

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Streams
from zoo_rbm.contrastive_divergence import ContrastiveDivergence, PersistentContrastiveDivergence
from zoo_rbm.enumeration import bits
from zoo_rbm.model import BernoulliRBM, GaussianRBM

N = 20_000


def fresh(kind=BernoulliRBM, visible=5, hidden=3):
    model = kind([visible], hidden).double()
    source = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(0.5 * torch.randn(value.shape, generator=source, dtype=torch.float64))
    return model


def gradients(model, loss):
    found = torch.autograd.grad(loss, list(model.parameters()))
    return {name: value for (name, _), value in zip(model.named_parameters(), found, strict=True)}


def data(n=N):
    return (Streams(0, "data", 0, n, dtype=torch.float64).uniform(5) < torch.tensor([0.1, 0.8, 0.5, 0.3, 0.9])).double()


def test_the_expected_gradient_is_that_of_the_likelihood():
    """Chains in equilibrium: the mean of the plain gradient is the exact one within 5 standard errors (20,000 chains).

    With states of the chain drawn from p, a sweep leaves them there, so that no bias is left; each derivative is a mean
    of numbers in [−1, 1].
    """
    model = fresh()
    states = bits(5, 0, 32)
    with torch.no_grad():
        exact = states[Streams(3, "exact", 0, N).categorical(model.log_prob(states).exp())]
    objective = PersistentContrastiveDivergence(chains=N, centred=False)
    objective.states = exact
    batch = Batch(data(), step=0)
    (loss,) = objective.losses(model, batch, Streams(0, "train/0", 0, N, dtype=torch.float64))
    found = gradients(model, loss.value)
    wanted = gradients(model, -model.log_prob(batch.x).mean())
    for name, value in wanted.items():
        assert (found[name] - value).abs().max() < 5 / N**0.5, name


@pytest.mark.parametrize("kind", [BernoulliRBM, GaussianRBM])
def test_the_centred_gradient_is_that_of_the_machine_written_with_offsets(kind):
    """E(u, h) = E₀(u) − ãᵀu − b̃ᵀh − (u − μ)ᵀW(h − λ): autograd in (W, ã, b̃), mapped back to a and b."""
    model = fresh(kind)
    objective = ContrastiveDivergence()
    x = data(50)
    streams = Streams(0, "train/0", 0, 50, dtype=torch.float64)
    (loss,) = objective.losses(model, Batch(x, step=0), streams)
    found = gradients(model, loss.value)
    mu, lambda_ = objective.offsets["visible"], objective.offsets["hidden"]
    with torch.no_grad():
        states = model.gibbs_step(x, streams.restarted())

    weights = model.W.detach().requires_grad_()
    a = (model.a + model.W @ lambda_).detach().requires_grad_()
    b = (model.b + mu @ model.W).detach().requires_grad_()

    def energy(v):
        u = model.units(v).detach()
        return -(u @ (a - weights @ lambda_)) - torch.nn.functional.softplus(b - mu @ weights + u @ weights).sum(1)

    g_w, g_a, g_b = torch.autograd.grad(energy(x).mean() - energy(states).mean(), [weights, a, b])
    torch.testing.assert_close(found["W"], g_w, rtol=0, atol=1e-12)
    torch.testing.assert_close(found["a"], g_a - g_w @ lambda_, rtol=0, atol=1e-12)
    torch.testing.assert_close(found["b"], g_b - mu @ g_w, rtol=0, atol=1e-12)
    gap = model.free_energy(x).mean() - model.free_energy(states).mean()
    torch.testing.assert_close(loss.value, gap.detach(), rtol=0, atol=1e-12)


def test_weights_count_as_repeated_examples():
    model, x = fresh(), data(4)
    weights = torch.tensor([2.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    repeated = x[[0, 0, 1, 3]]
    objective = PersistentContrastiveDivergence(chains=10)
    (one,) = objective.losses(model, Batch(x, weights=weights, step=0), Streams(0, "t", 0, 4, dtype=torch.float64))
    other = PersistentContrastiveDivergence(chains=10)
    (two,) = other.losses(model, Batch(repeated, step=0), Streams(0, "t", 0, 4, dtype=torch.float64))
    wanted = gradients(model, two.value)
    for name, value in gradients(model, one.value).items():
        torch.testing.assert_close(value, wanted[name], rtol=0, atol=1e-12)


def test_chains_go_on_and_are_restored():
    """Two steps in one go equal a step, a checkpoint and a step; the stored chains are states of the machine."""

    model, batch = BernoulliRBM([5], 3, chains=7), Batch(data(8).float())

    def step(objective, number):
        list(objective.losses(model, batch, Streams(0, f"train/{number}", 8 * number, 8)))

    straight, first, second = (PersistentContrastiveDivergence(steps=2, chains=20) for _ in range(3))
    step(straight, 0)
    step(straight, 1)
    step(first, 0)
    second.restore(first.state())
    step(second, 1)
    assert straight.state().keys() == second.state().keys()
    for key, value in straight.state().items():
        assert torch.equal(value, second.state()[key]), key
    assert not torch.equal(first.states, second.states)
    second.finish(model, 0)
    assert model.persistent_chains().shape == (7, 5)
    assert set(model.chains.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("make", [ContrastiveDivergence, PersistentContrastiveDivergence])
def test_training_raises_the_likelihood(make):
    """Pairs of equal bits: 300 steps bring the exact likelihood within 0.5 nats of that of the data, 2 log 2."""
    x = (torch.arange(40)[:, None] >> torch.tensor([0, 0, 1, 1]) & 1).float()
    torch.manual_seed(0)
    model, objective = BernoulliRBM([4], 4), make()
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    for step in range(300):
        (loss,) = objective.losses(model, Batch(x, step=step), Streams(0, f"train/{step}", 40 * step, 40))
        optimiser.zero_grad()
        loss.value.backward()
        optimiser.step()
    with torch.no_grad():
        assert -model.log_prob(x).mean() < 2 * math.log(2.0) + 0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ContrastiveDivergence(steps=0), "at least one sweep"),
        (lambda: PersistentContrastiveDivergence(chains=0), "at least one chain"),
    ],
)
def test_options_out_of_range_are_refused(make, words):
    with pytest.raises(IncompatibleError, match=words):
        make()
