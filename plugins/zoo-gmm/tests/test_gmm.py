"""Mixtures: scikit-learn's numbers, closed forms, and what float32 EM elsewhere cannot do."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import ZooError
from zoo_core.interfaces import Batch, DataSet, Streams
from zoo_core.sampling import sample
from zoo_core.training.statistics import fit
from zoo_gmm.model import GaussianMixture
from zoo_gmm.objective import ExpectationMaximisation

SKLEARN = {"full": "full", "tied": "tied", "diagonal": "diag", "spherical": "spherical"}


def blobs(n: int = 600, d: int = 3, k: int = 3, offset: float = 0.0, seed: int = 0) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    parts = [
        torch.randn(n // k, d, dtype=torch.float64, generator=source)
        @ torch.randn(d, d, dtype=torch.float64, generator=source)
        + 4 * torch.randn(d, dtype=torch.float64, generator=source)
        for _ in range(k)
    ]
    return torch.cat(parts) + offset


class InFloat64(Prepared):
    """Examples of float64 as they are: what is compared below is compared to 1e-6 and less."""

    def __init__(self, model: GaussianMixture, x: torch.Tensor) -> None:
        super().__init__(model, DataSet("blobs", "train", x))

    def values(self, stored: torch.Tensor, noise: Streams | None) -> torch.Tensor:  # type: ignore[override]
        return stored


def fitted(covariance: str = "full", **options: float) -> tuple[GaussianMixture, torch.Tensor]:
    x = blobs(**options)
    model = GaussianMixture([x.shape[1]], 3, covariance)  # type: ignore[arg-type]
    fit(model, InFloat64(model, x), ExpectationMaximisation(), iterations=20)
    return model, x


@pytest.mark.parametrize("covariance", SKLEARN)
def test_agrees_with_scikit_learn_at_every_iteration(covariance):
    """From the same start: 1e-6 in the mean log-likelihood at each of fifteen iterations, for every covariance."""
    mixture = pytest.importorskip("sklearn.mixture")
    from sklearn.exceptions import ConvergenceWarning

    x = blobs()
    model = GaussianMixture([3], 3, covariance)
    em = ExpectationMaximisation(reg=1e-6)
    em.initialise(model, InFloat64(model, x), seed=0)
    precision = torch.linalg.inv(model.covariances()).numpy()
    start = {
        "full": precision,
        "tied": precision[0],
        "diagonal": np.einsum("kii->ki", precision),
        "spherical": precision[:, 0, 0],
    }
    theirs = mixture.GaussianMixture(
        3,
        covariance_type=SKLEARN[covariance],
        reg_covar=1e-6,
        max_iter=15,
        tol=0.0,
        weights_init=model.log_weights.exp().numpy() / model.log_weights.exp().sum().item(),
        means_init=model.means.numpy(),
        precisions_init=start[covariance],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(x.numpy())
    ours = fit_from_here(model, x, em, 15)
    assert len(theirs.lower_bounds_) == 15
    assert np.abs(np.array(ours) - np.array(theirs.lower_bounds_)).max() < 1e-6
    assert model.bic(x) == pytest.approx(theirs.bic(x.numpy()), rel=1e-7)
    assert model.aic(x) == pytest.approx(theirs.aic(x.numpy()), rel=1e-7)


def fit_from_here(model, x, em, iterations):  # type: ignore[no-untyped-def]
    history = []
    for _ in range(iterations):
        statistics = em.statistics(model, Batch(x))
        history.append((statistics["log_likelihood"] / statistics["count"]).item())
        em.maximise(model, statistics)
    return history


@pytest.mark.parametrize("covariance", SKLEARN)
@pytest.mark.parametrize("data_dtype", ["float64", "float32"])
def test_the_likelihood_never_falls(covariance, data_dtype):
    model = GaussianMixture([3], 4, covariance)
    em = ExpectationMaximisation(reg=0.0, data_dtype=data_dtype)
    x = blobs()
    em.initialise(model, InFloat64(model, x), 1)
    history = fit_from_here(model, x, em, 25)
    slack = 1e-10 if data_dtype == "float64" else 1e-5
    assert all(b >= a - slack for a, b in pairwise(history))


def test_float32_pass_survives_an_offset_and_a_bad_condition():
    """Offset 1,000 and standard deviations from 1e-3 to 10: the float32 pass follows the float64 one to 1e-4 nats.

    scikit-learn's float32 EM, from the same start, is not positive definite any more (or far off).
    """
    source = torch.Generator().manual_seed(0)
    scales = torch.logspace(-3, 1, 16, dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64, generator=source))
    halves = [torch.randn(2000, 16, dtype=torch.float64, generator=source) * scales + shift for shift in (0.0, 20.0)]
    x = torch.cat(halves) @ rotation + 1000.0
    likelihoods = []
    for data_dtype in ("float64", "float32"):
        model = GaussianMixture([16], 2)
        fit(
            model,
            InFloat64(model, x),
            ExpectationMaximisation(reg=1e-9, data_dtype=data_dtype),
            iterations=10,
            tolerance=0.0,
        )
        likelihoods.append(model.log_prob(x).mean().item())
    assert likelihoods[1] == pytest.approx(likelihoods[0], abs=1e-4)


def test_statistics_add_over_batches():
    model, x = fitted()
    em = ExpectationMaximisation()
    whole = em.statistics(model, Batch(x))
    parts = [em.statistics(model, Batch(part)) for part in x.split(250)]
    for name, value in whole.items():
        assert torch.allclose(value, sum(p[name] for p in parts), rtol=1e-12, atol=1e-9), name


@pytest.mark.parametrize("batch", [7, 250, 10_000])
def test_a_fit_in_batches_is_the_fit_of_all(batch):
    """Sums in another order: 1e-9 nats in the mean log-likelihood at each of twelve iterations."""
    x = blobs()
    whole, parts = GaussianMixture([3], 3), GaussianMixture([3], 3)
    options = {"iterations": 12, "tolerance": 0.0}
    expected = fit(whole, InFloat64(whole, x), ExpectationMaximisation(), **options)
    assert fit(parts, InFloat64(parts, x), ExpectationMaximisation(), batch=batch, **options) == pytest.approx(
        expected, abs=1e-9
    )
    assert torch.allclose(whole.means, parts.means, atol=1e-6)


@pytest.mark.parametrize("covariance", SKLEARN)
def test_log_prob_is_the_formula(covariance):
    model, x = fitted(covariance)
    components = [MultivariateNormal(m, c) for m, c in zip(model.means, model.covariances(), strict=True)]
    expected = torch.logsumexp(torch.stack([c.log_prob(x) for c in components], 1) + model.log_weights, 1)
    assert torch.allclose(model.log_prob(x), expected, atol=1e-9)
    r = model.responsibilities(x)
    assert torch.allclose(r.sum(1), torch.ones(len(x), dtype=torch.float64))
    assert torch.allclose(model.log_prob(x.float()), expected, atol=1e-3)  # float32 data, float64 arithmetic


def test_density_integrates_to_one():
    line, _ = fitted(d=1)
    grid = torch.linspace(-40, 40, 40_001, dtype=torch.float64).unsqueeze(1)
    assert line.log_prob(grid).exp().sum().item() * 0.002 == pytest.approx(1.0, abs=1e-6)
    plane, _ = fitted(d=2)
    axis = torch.linspace(-30, 30, 601, dtype=torch.float64)
    assert plane.log_prob(torch.cartesian_prod(axis, axis)).exp().sum().item() * 0.01 == pytest.approx(1.0, abs=1e-4)


def test_samples_agree_with_the_density():
    """Means and covariances of 20,000 samples within five standard errors; −log p of them averages to the entropy that
    fresh quadrature finds."""
    model, _ = fitted(d=2)
    x = model.draw(Streams(0, "test", 0, 20_000, dtype=torch.float64))
    w = model.log_weights.exp()
    mean = w @ model.means
    second = torch.einsum("j,jab->ab", w, model.covariances() + torch.einsum("ja,jb->jab", model.means, model.means))
    covariance = second - torch.outer(mean, mean)
    assert ((x.mean(0) - mean).abs() < 5 * (covariance.diagonal() / 20_000).sqrt()).all()
    assert torch.allclose(x.T.cov(), covariance, rtol=0.1, atol=0.3)
    axis = torch.linspace(-30, 30, 1201, dtype=torch.float64)
    log_p = model.log_prob(torch.cartesian_prod(axis, axis))
    entropy = -(log_p.exp() * log_p).sum().item() * 0.05**2
    nll = -model.log_prob(x)
    assert nll.mean().item() == pytest.approx(entropy, abs=5 * nll.std().item() / math.sqrt(20_000))


def test_sample_i_depends_on_the_seed_and_on_i_only():
    model, _ = fitted()
    whole = sample(model, 20, sampler="direct", seed=5)
    for size in (1, 7):
        assert torch.allclose(whole, sample(model, 20, sampler="direct", seed=5, batch_size=size), atol=1e-12)
    assert whole.dtype == torch.float64


@pytest.mark.parametrize("covariance", SKLEARN)
def test_conditional_is_joint_over_marginal(covariance):
    """log p(x_U | x_K) = log p(x) − log p(x_K)."""
    model, x = fitted(covariance)
    known = torch.tensor([True, False, True])
    K = known.nonzero().squeeze(1)
    marginal = GaussianMixture([2], 3)
    marginal.log_weights.copy_(model.log_weights)
    marginal.means.copy_(model.means[:, K])
    marginal.set_factors(torch.linalg.cholesky(model.covariances()[:, K][:, :, K]))
    for row in x[:5]:
        conditional = model.conditional(row, known).log_prob(row[~known].unsqueeze(0))
        expected = model.log_prob(row.unsqueeze(0)) - marginal.log_prob(row[K].unsqueeze(0))
        assert torch.allclose(conditional, expected, atol=1e-8)


def test_restarts_keep_the_best():
    x = blobs(k=3, seed=3)
    one, five = GaussianMixture([3], 5), GaussianMixture([3], 5)
    single = fit(one, InFloat64(one, x), ExpectationMaximisation(), restarts=1, iterations=40)
    several = fit(five, InFloat64(five, x), ExpectationMaximisation(), restarts=5, iterations=40)
    assert several[-1] >= single[-1]
    assert five.log_prob(x).mean().item() == pytest.approx(several[-1], abs=1e-3)


def test_shrinkage_keeps_variances_and_shrinks_the_rest():
    x = blobs(k=1)
    plain, shrunk = GaussianMixture([3], 1), GaussianMixture([3], 1)
    fit(plain, InFloat64(plain, x), ExpectationMaximisation(reg=0.0), iterations=2)
    fit(shrunk, InFloat64(shrunk, x), ExpectationMaximisation(reg=0.0, shrinkage=0.25), iterations=2)
    a, b = plain.covariances()[0], shrunk.covariances()[0]
    assert torch.allclose(a.diagonal(), b.diagonal())
    assert not torch.allclose(a, b)


@pytest.mark.parametrize("storage", ["float64", "float32"])
def test_a_state_comes_back(storage):
    model = GaussianMixture([3], 3, storage=storage)
    x = blobs()
    fit(model, InFloat64(model, x), ExpectationMaximisation(), iterations=5)
    again = GaussianMixture([3], 3, storage=storage)
    again.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(again.log_prob(x), model.log_prob(x))
    assert model.state_dict()["scale"].dtype == getattr(torch, storage)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="components = 0"):
        GaussianMixture([2], 0)
    with pytest.raises(ValueError, match="expected one of full, tied, diagonal, spherical"):
        GaussianMixture([2], 1, "diag")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shrinkage = 2"):
        ExpectationMaximisation(shrinkage=2)
    two, five = GaussianMixture([3], 2), GaussianMixture([3], 5)
    with pytest.raises(ZooError, match="not positive definite with reg = 0"):
        fit(two, InFloat64(two, torch.zeros(10, 3, dtype=torch.float64)), ExpectationMaximisation(reg=0.0))
    with pytest.raises(ZooError, match="there are 3 examples"):
        fit(five, InFloat64(five, blobs()[:3]), ExpectationMaximisation())


def test_the_ring_is_learned():
    """gmm-eight-gaussians is within 0.001 nats of the entropy on average, measured against the exact density."""
    import zoo_core
    from zoo_core.datasets.densities import DENSITIES

    ring = DENSITIES["eight-gaussians"]
    x = ring.sample(Streams(1, "test", 0, 5000, dtype=torch.float64))
    gap = ring.log_prob(x) - zoo_core.load("gmm-eight-gaussians").log_prob(x)
    assert abs(gap.mean().item()) < 0.001
