"""The bounds against models whose likelihood is known, and what every model of the zoo must keep."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import distributions as td

from zoo_core.datasets.prepared import Prepared
from zoo_core.interfaces import DataSet, Streams
from zoo_core.sampling import sample
from zoo_vae.gaussian import DiagonalGaussian, standard_log_prob
from zoo_vae.model import VAE

D, L, SIGMA = 5, 2, 0.7
MLP = {"kind": "mlp", "hidden": [16]}
CONV = {"kind": "conv", "widths": [4, 8], "hidden": 16, "blocks": 1}
IMAGE = {"shape": [1, 8, 8], "latent": 3}
LIKELIHOODS = ["bernoulli", "continuous-bernoulli", "gaussian"]


def normal(*shape: int, purpose: str = "test") -> torch.Tensor:
    return Streams(0, purpose, 0, shape[0], dtype=torch.float64).normal(*shape[1:])


def linear() -> tuple[VAE, td.MultivariateNormal, torch.Tensor]:
    """A linear VAE whose encoder is the exact posterior, its marginal N(b, W Wᵀ + σ² I), and data.

    The columns of W are orthogonal: then the posterior covariance σ²·(WᵀW + σ²I)⁻¹ is diagonal, as the encoder's is
    (Tipping & Bishop 1999; Lucas et al. 2019).
    """
    model = VAE([D], L, {"kind": "mlp", "hidden": []}, {"kind": "gaussian", "sigma": SIGMA}).double()
    W = torch.linalg.qr(normal(D, L)).Q * torch.tensor([2.0, 0.5], dtype=torch.float64)
    b = normal(1, D, purpose="bias")[0]
    M = W.mT @ W + SIGMA**2 * torch.eye(L, dtype=torch.float64)
    model.likelihood.log_sigma.fill_(torch.tensor(SIGMA, dtype=torch.float64).log())
    with torch.no_grad():
        decoder, encoder = model.decoder[0], model.encoder[1]
        decoder.weight.copy_(W)
        decoder.bias.copy_(b)
        encoder.weight.zero_()
        gain = torch.linalg.solve(M, W.mT)
        encoder.weight[:L] = gain
        encoder.bias[:L] = -gain @ b
        encoder.bias[L:] = 0.5 * (SIGMA**2 / M.diagonal()).log()
    covariance = W @ W.mT + SIGMA**2 * torch.eye(D, dtype=torch.float64)
    return model.requires_grad_(False), td.MultivariateNormal(b, covariance), b + 1.5 * normal(200, D, purpose="data")


def streams(n: int, purpose: str = "evaluation") -> Streams:
    return Streams(0, purpose, 0, n, dtype=torch.float64)


def test_linear_vae_is_probabilistic_pca():
    """With the exact posterior every weight is p(x): one draw is enough, whatever k."""
    model, marginal, x = linear()
    exact = marginal.log_prob(x)
    for k in (1, 7):
        assert torch.allclose(model.importance_log_prob(x, k, streams(len(x))), exact, atol=1e-10)
    posterior = model.posterior(x)
    spread = (model.decoder[0].weight.square().sum(0) * posterior.sigma.square()).sum(1) / SIGMA**2
    elbo = model.conditional_log_prob(x, posterior.mean) - 0.5 * spread - posterior.kl().sum(1)  # E_q in closed form
    assert torch.allclose(elbo, exact, atol=1e-10)
    model.bound_draws = 100
    assert (model.log_prob(x) - exact).mean().abs() < 0.02


def test_bounds_grow_with_k_and_stay_below_the_likelihood():
    """A wrong encoder: ELBO = L_1 < L_3 < L_30 < L_1000 ≤ log p(x), on the mean of 200 examples."""
    model, marginal, x = linear()
    model.encoder[1].bias += torch.tensor([0.4, -0.5, 0.5, -0.4], dtype=torch.float64)
    exact = marginal.log_prob(x).mean().item()
    bounds = [model.importance_log_prob(x, k, streams(len(x), str(k))).mean().item() for k in (1, 3, 30, 1000)]
    assert bounds == sorted(bounds)
    assert bounds[0] < exact - 0.2
    assert exact - 0.02 < bounds[-1] < exact + 0.01
    posterior = model.posterior(x)
    # KL(q ‖ posterior) is the gap of the ELBO: both are known here
    right = linear()[0].posterior(x)
    gap = td.kl_divergence(td.Normal(posterior.mean, posterior.sigma), td.Normal(right.mean, right.sigma)).sum(1).mean()
    model.bound_draws = 200
    assert model.log_prob(x).mean().item() == pytest.approx(exact - gap.item(), abs=0.02)


def test_chunks_change_nothing():
    model, _, x = linear()
    model.encoder[1].bias += 0.3
    whole = model.importance_log_prob(x, 50, streams(len(x)), chunk=50)
    for chunk in (1, 7, 100):
        assert torch.allclose(model.importance_log_prob(x, 50, streams(len(x)), chunk=chunk), whole, atol=1e-12)
    with pytest.raises(ValueError, match="k = 0"):
        model.importance_log_prob(x, 0, streams(len(x)))


def test_gaussians_agree_with_torch():
    q = DiagonalGaussian(normal(9, 3), 0.5 * normal(9, 3, purpose="sigma"))
    theirs, noise = td.Normal(q.mean, q.sigma), normal(9, 3, purpose="noise")
    prior = td.Normal(torch.zeros(3).double(), torch.ones(3).double())
    assert torch.allclose(q.kl(), td.kl_divergence(theirs, prior))
    assert torch.allclose(q.log_prob_at(noise), theirs.log_prob(q.at(noise)).sum(1))
    assert torch.allclose(standard_log_prob(noise), prior.log_prob(noise).sum(1))


@pytest.mark.parametrize("network", [MLP, CONV], ids=["mlp", "conv"])
@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_shapes(network, kind):
    model = VAE(**IMAGE, network=network, likelihood={"kind": kind})
    x = Streams(0, "data", 0, 6).uniform(1, 8, 8)
    assert model.encode(x).shape == (6, 3)
    assert model.posterior(x).sigma.shape == (6, 3)
    assert model.decode(model.encode(x)).shape == x.shape
    assert model.eta(torch.zeros(4, 6, 3)).shape == (4, 6, 1, 8, 8)
    assert model.draw_latent(Streams(0, "test", 0, 6)).shape == (6, 3)
    assert model.log_prob(x).shape == (6,)
    assert torch.equal(model.log_prob(x), model.log_prob(x))
    drawn = model.draw(Streams(0, "sample", 0, 6))
    assert drawn.shape == x.shape
    assert (model.space.low, model.space.high) == (0.0, 1.0)
    assert model.discrete == model.binarises == (kind == "bernoulli")
    assert model.log_prob_is == "bound"
    if kind != "gaussian":
        assert ((drawn >= 0) & (drawn <= 1)).all()


def test_images_are_drawn_as_means_and_points_as_samples():
    image = VAE(**IMAGE, network=MLP, likelihood={"kind": "bernoulli"})
    z = image.draw_latent(Streams(0, "sample", 0, 4))
    assert torch.equal(image.draw(Streams(0, "sample", 0, 4)), image.decode(z))
    noisy = VAE(**IMAGE, network=MLP, likelihood={"kind": "bernoulli"}, draws="sample")
    assert set(noisy.draw(Streams(0, "sample", 0, 4)).unique().tolist()) == {0.0, 1.0}
    points = VAE([2], 2, MLP, {"kind": "gaussian", "sigma": 3.0})
    assert points.space.low is None
    z = points.draw_latent(Streams(0, "sample", 0, 400))
    spread = points.draw(Streams(0, "sample", 0, 400)) - points.decode(z)
    assert spread.std().item() == pytest.approx(3.0, rel=0.1)


def test_binarisation_is_seeded_and_leaves_binary_data_alone():
    """Grey 0.3 is white three times in ten; black and white stay; the same seed gives the same picture."""
    model, every = VAE(**IMAGE, network=MLP, likelihood={"kind": "bernoulli"}), torch.arange(200)
    grey = DataSet("test", "test", torch.full((200, 1, 8, 8), 0.3))
    white = Prepared(model, grey, 0).rows(every).x
    assert set(white.unique().tolist()) == {0.0, 1.0}
    assert white.mean().item() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(white, Prepared(model, grey, 0).rows(every).x)
    assert not torch.equal(white, Prepared(model, grey, 1).rows(every).x)
    assert torch.equal(white, Prepared(model, replace(grey, x=white), 1).rows(every).x)
    # whatever reads the test set, and in whatever batches, both bounds are of one picture
    assert torch.equal(white[50:60], Prepared(model, grey, 0).rows(every[50:60]).x)
    shades = VAE(**IMAGE, network=MLP, likelihood={"kind": "continuous-bernoulli"})
    assert torch.equal(Prepared(shades, grey, 0).rows(every).x, grey.tensor)


@pytest.mark.long
def test_a_discrete_log_probability_sums_to_one():
    """Two binary pixels, four pictures: the importance-weighted estimates of their probabilities add up to 1."""
    model = VAE([2], 1, MLP, {"kind": "bernoulli"}).double()
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    assert model.importance_log_prob(x, 20000, streams(4)).exp().sum().item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("network", [MLP, CONV], ids=["mlp", "conv"])
def test_samples_depend_on_seed_and_index_only(network):
    model = VAE(**IMAGE, network=network, likelihood={"kind": "bernoulli"})
    whole = sample(model, 10, sampler="direct", seed=3, batch_size=10)
    assert torch.allclose(whole, sample(model, 10, sampler="direct", seed=3, batch_size=3), atol=1e-6)
    assert torch.equal(whole, sample(model, 10, sampler="direct", seed=3, batch_size=10))
    assert not torch.allclose(whole, sample(model, 10, sampler="direct", seed=4, batch_size=10))


@pytest.mark.parametrize("kind", LIKELIHOODS)
@pytest.mark.parametrize("network", [MLP, CONV], ids=["mlp", "conv"])
def test_the_state_dict_is_the_whole_model(network, kind):
    config = {**IMAGE, "network": network, "likelihood": {"kind": kind}}
    model, other = VAE(**config), VAE(**config)
    x = Streams(0, "data", 0, 4).uniform(1, 8, 8)
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(model.log_prob(x), other.log_prob(x))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"shape": [8, 8]}, r"shape = \[8, 8\]"),
        ({"latent": 0}, "latent = 0"),
        ({"draws": "mode"}, "draws = 'mode'"),
        ({"network": {"kind": "unet"}}, "network.kind = 'unet'; expected one of mlp, conv"),
        ({"network": {"kind": "mlp", "widths": [4]}}, "network.widths is no option of mlp; expected hidden"),
        ({"shape": [1, 9, 8], "network": CONV}, r"multiples of 4; the shape is \[1, 9, 8\]"),
        ({"shape": [64], "network": CONV}, r"the shape is \[64\]"),
    ],
)
def test_bad_configurations_are_named(changes, problem):
    config = {**IMAGE, "network": MLP, "likelihood": {"kind": "bernoulli"}, **changes}
    with pytest.raises(ValueError, match=problem):
        VAE(**config)
