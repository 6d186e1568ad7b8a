"""The three likelihoods against torch.distributions, quadrature and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import distributions as td

from zoo_core.interfaces import Streams
from zoo_vae.likelihood import Bernoulli, ContinuousBernoulli, Gaussian, log_sinhc, make_likelihood

ETA = torch.tensor(
    [-40.0, -8.0, -1.0, -0.61, -0.59, -0.1, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 0.1, 0.59, 0.61, 1.0, 8.0, 40.0]
)


def test_continuous_bernoulli_integrates_to_one():
    """By Gauss–Legendre quadrature, for logits from −40 to 40, through zero."""
    numpy = pytest.importorskip("numpy")
    nodes, weights = map(torch.from_numpy, numpy.polynomial.legendre.leggauss(200))
    x, eta = 0.5 + 0.5 * nodes, ETA.double()[:, None]
    density = ContinuousBernoulli().log_prob(x, eta).exp()
    assert torch.allclose((density * weights / 2).sum(1), torch.ones(len(ETA)).double(), atol=1e-12)
    mean = (density * x * weights / 2).sum(1)
    assert torch.allclose(ContinuousBernoulli().mean(eta).squeeze(1), mean, atol=1e-9)


@pytest.mark.parametrize("eta", [-12.0, -1.0, -0.3, 0.3, 1.0, 12.0])
def test_continuous_bernoulli_agrees_with_torch(eta):
    theirs = td.ContinuousBernoulli(logits=torch.tensor(eta, dtype=torch.float64))
    ours, x = ContinuousBernoulli(), torch.linspace(0, 1, 11, dtype=torch.float64)
    at = torch.tensor(eta, dtype=torch.float64)
    assert torch.allclose(ours.log_prob(x, at), theirs.log_prob(x), atol=1e-6)
    assert ours.mean(at).item() == pytest.approx(theirs.mean.item(), abs=1e-6)


def test_continuous_bernoulli_is_right_in_float32_where_lambda_is_a_half():
    """Value, mean and both gradients follow float64 to 1e-6 on both sides of the series and at zero."""
    x = torch.tensor(0.3)
    ours = ContinuousBernoulli()
    gradients = []
    for dtype in (torch.float32, torch.float64):
        eta = ETA.to(dtype).requires_grad_()
        values = ours.log_prob(x.to(dtype), eta)
        slope = torch.autograd.grad(values.sum(), eta)[0]
        spread = torch.autograd.grad(ours.mean(eta).sum(), eta)[0]
        gradients.append(torch.stack([values.detach(), ours.mean(eta).detach(), slope, spread]).double())
    assert torch.isfinite(gradients[0]).all()
    assert torch.allclose(gradients[0], gradients[1], rtol=2e-6, atol=2e-6)
    # d log p/dη = x − E x, an identity of exponential families
    assert torch.allclose(gradients[1][2], 0.3 - gradients[1][1], atol=1e-8)
    assert gradients[1][3][8].item() == pytest.approx(1 / 12)  # the variance of the uniform distribution
    assert log_sinhc(torch.zeros(())).item() == 0.0


@pytest.mark.parametrize("eta", [-30.0, -2.0, -5e-4, 0.0, 5e-4, 2.0, 30.0])
def test_continuous_bernoulli_draws_have_its_distribution(eta):
    """Uniform after F, the distribution function: Kolmogorov–Smirnov at n = 4,000."""
    x = ContinuousBernoulli().draw(torch.full((1, 4000), eta), Streams(0, "test", 0, 1))[0].double().sort().values
    assert ((x >= 0) & (x <= 1)).all()
    cdf = x if abs(eta) < 1e-2 else torch.expm1(eta * x) / math.expm1(eta)
    distance = (cdf - (torch.arange(4000) + 0.5) / 4000).abs().max().item()
    assert distance < 1.63 / math.sqrt(4000)


def test_bernoulli_and_gaussian_agree_with_torch():
    streams = Streams(0, "test", 0, 50)
    eta, x = 5 * streams.normal(3), streams.normal(3)
    white = (x > 0).float()
    assert torch.allclose(Bernoulli().log_prob(white, eta), td.Bernoulli(logits=eta).log_prob(white), atol=1e-6)
    assert torch.equal(Bernoulli().mean(eta), torch.sigmoid(eta))
    assert torch.allclose(Gaussian(0.3).log_prob(x, eta), td.Normal(eta, 0.3).log_prob(x), rtol=1e-5)
    assert torch.equal(Gaussian(0.3).mean(eta), eta)


def test_draws_have_the_mean():
    eta = torch.tensor([[-2.0, 0.0, 1.0]]).expand(5000, 3)
    for likelihood in (Bernoulli(), ContinuousBernoulli(), Gaussian(0.5)):
        drawn = likelihood.draw(eta, Streams(0, "test", 0, 5000))
        assert torch.allclose(drawn.mean(0), likelihood.mean(eta[0]), atol=0.03)
    assert drawn.std(0).mean().item() == pytest.approx(0.5, rel=0.03)


def test_sigma_is_learned_or_fixed():
    assert list(Gaussian(2.0, learned=True).parameters())
    assert not list(Gaussian(2.0).parameters())
    assert "log_sigma" in Gaussian(2.0).state_dict()


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"kind": "poisson"}, "likelihood.kind = 'poisson'; expected one of bernoulli"),
        ({}, "likelihood.kind = None"),
        ({"kind": "bernoulli", "sigma": 1.0}, "likelihood.sigma is no option of bernoulli; expected none"),
        ({"kind": "gaussian", "sigma": 0.0}, "likelihood.sigma = 0.0; expected a positive number"),
        ({"kind": "gaussian", "sigma": "learned"}, "likelihood.sigma = 'learned'"),
    ],
)
def test_bad_likelihoods_are_named(spec, problem):
    with pytest.raises(ValueError, match=problem):
        make_likelihood(spec)
