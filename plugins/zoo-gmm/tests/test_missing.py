"""Mixtures of incomplete and weighted examples: closed forms, the limits of EM, and what imputation loses."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import ZooError
from zoo_core.interfaces import Batch, DataSet, Streams
from zoo_core.training.statistics import fit
from zoo_gmm.model import GaussianMixture
from zoo_gmm.objective import ExpectationMaximisation

FORMS = ("full", "tied", "diagonal", "spherical")


class InFloat64(Prepared):
    """Examples of float64 as they are, with weights if there are any."""

    def __init__(self, model: GaussianMixture, x: Tensor, weights: Tensor | None = None) -> None:
        columns = {} if weights is None else {"weight": weights}
        super().__init__(model, DataSet("rows", "train", x, columns))

    def values(self, stored: Tensor, noise: Streams | None) -> Tensor:  # type: ignore[override]
        return stored


def truth(d: int = 4, k: int = 3, covariance: str = "full", seed: int = 0) -> GaussianMixture:
    """A mixture with correlated coordinates and components that overlap."""
    source = torch.Generator().manual_seed(seed)
    model = GaussianMixture([d], k, covariance)  # type: ignore[arg-type]
    weights = torch.rand(k, dtype=torch.float64, generator=source) + 0.5
    model.log_weights.copy_((weights / weights.sum()).log())
    model.means.copy_(2.0 * torch.randn(k, d, dtype=torch.float64, generator=source))
    if model.triangular:
        noise = torch.randn(model.factors().shape, dtype=torch.float64, generator=source)
        model.set_factors(torch.linalg.cholesky(noise @ noise.mT + 0.2 * torch.eye(d, dtype=torch.float64)))
    else:
        model.set_factors(0.5 + torch.rand(model.factors().shape, dtype=torch.float64, generator=source))
    return model


def drawn(model: GaussianMixture, n: int, purpose: str = "rows") -> Tensor:
    return model.draw(Streams(0, purpose, 0, n, dtype=torch.float64))


def with_holes(x: Tensor, share: float, seed: int = 1) -> Tensor:
    """Cells that are missing at random, each with this probability; a row may lose all of them."""
    source = torch.Generator().manual_seed(seed)
    return x.masked_fill(torch.rand(x.shape, generator=source) < share, math.nan)


def streams(n: int, purpose: str = "fill") -> Streams:
    return Streams(0, purpose, 0, n, dtype=torch.float64)


@pytest.mark.long
@pytest.mark.parametrize("covariance", FORMS)
def test_the_density_of_an_incomplete_row_is_the_marginal(covariance):
    """log p(x_K) of the mixture of the marginals, and an integral over the missing cell, to 1e-9 and 1e-6 nats."""
    model = truth(covariance=covariance)
    x = with_holes(drawn(model, 60), 0.5)
    x[0] = math.nan
    found = model.log_prob(x)
    sigma = model.covariances()
    for row, value in zip(x, found, strict=True):
        K = ~torch.isnan(row)
        if not K.any():
            assert value.abs() < 1e-12
            continue
        spread = torch.stack([S[K][:, K] for S in sigma])
        terms = torch.distributions.MultivariateNormal(model.means[:, K], spread).log_prob(row[K])
        assert torch.logsumexp(terms + model.log_weights, 0).item() == pytest.approx(value.item(), abs=1e-9)
    row = drawn(model, 1).expand(60_001, 4).clone()
    row[:, 2] = torch.linspace(-60, 60, 60_001, dtype=torch.float64)
    integral = model.log_prob(row).exp().sum().item() * 0.002
    row[:, 2] = math.nan
    assert model.log_prob(row[:1]).item() == pytest.approx(math.log(integral), abs=1e-6)
    assert torch.allclose(model.responsibilities(x).sum(1), torch.ones(60, dtype=torch.float64))


def test_complete_rows_go_the_way_they_always_went(monkeypatch):
    """Where nothing is missing, not a number changes, and the code for incomplete rows is not run."""
    model, em = truth(), ExpectationMaximisation()
    x = drawn(model, 500)
    incomplete = with_holes(x[:50], 0.5)
    mixed = torch.cat([x, incomplete])
    assert torch.equal(model.log_prob(mixed)[:500], model.log_prob(x))
    monkeypatch.setattr("zoo_gmm.model.blocks", None)
    monkeypatch.setattr("zoo_gmm.objective.blocks", None)
    em.statistics(model, Batch(x))
    with pytest.raises(TypeError):
        em.statistics(model, Batch(mixed))


@pytest.mark.parametrize("covariance", FORMS)
def test_fills_have_the_exact_conditional_distribution(covariance):
    """Kolmogorov–Smirnov: 4,000 fills of a cell against the exact distribution function; p above 1e-4 in every case.

    Every row has its own mask, and what is known is kept to the bit.
    """
    model = truth(covariance=covariance)
    n, rows = 4000, drawn(model, 3, "given")
    for row, cell in zip(rows, (0, 2, 3), strict=True):
        known = torch.ones(n, 4, dtype=torch.bool)
        known[:, cell] = False
        known[::2, 1] = False  # every other row has one more unknown cell, which must not matter to the rest
        filled = model.complete(row.expand(n, 4), known, streams(n))
        assert torch.equal(filled[known], row.expand(n, 4)[known])
        for part in (slice(0, n, 2), slice(1, n, 2)):
            exact = model.conditional(row, known[part][0])
            place = int((~known[part][0])[:cell].sum())
            scale = exact.covariances()[:, place, place].sqrt()
            z = (filled[part, cell, None] - exact.means[:, place]) / scale
            u = (torch.special.ndtr(z) * exact.log_weights.exp()).sum(1).sort().values
            m = len(u)
            grid = torch.arange(1, m + 1, dtype=torch.float64) / m
            distance = torch.maximum((grid - u).max(), (u - grid + 1 / m).max()).item()
            assert 2 * math.exp(-2 * m * distance**2) > 1e-4


def test_two_unknown_cells_are_drawn_jointly():
    """The covariance of two filled cells is that of the conditional distribution, within five standard errors."""
    model, n = truth(), 20_000
    row = drawn(model, 1, "given")[0]
    known = torch.tensor([True, False, False, True])
    filled = model.complete(row.expand(n, 4), known.expand(n, 4), streams(n))[:, 1:3]
    exact = model.conditional(row, known)
    w, m = exact.log_weights.exp(), exact.means
    mean = w @ m
    covariance = torch.einsum("j,jab->ab", w, exact.covariances() + torch.einsum("ja,jb->jab", m, m))
    covariance -= torch.outer(mean, mean)
    error = ((filled - mean)[:, 0] * (filled - mean)[:, 1]).std() / math.sqrt(n)
    assert abs(filled.T.cov()[0, 1] - covariance[0, 1]) < 5 * error
    assert ((filled.mean(0) - mean).abs() < 5 * (covariance.diagonal() / n).sqrt()).all()


def test_a_fill_depends_on_its_own_row_and_stream_only():
    """Alone, among others and in another order it is the same; all known gives the row, nothing known a sample."""
    model, n = truth(), 64
    x = drawn(model, n)
    known = torch.rand(n, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    known[0], known[1] = True, False
    whole = model.complete(x, known, streams(n))
    assert torch.equal(whole[0], x[0])
    assert torch.allclose(whole[1], model.draw(streams(n))[1], rtol=0, atol=1e-12)
    unread = model.complete(x.masked_fill(~known, math.nan), known, streams(n))
    assert torch.equal(whole, unread)
    for i in (1, 7, 63):
        alone = model.complete(x[i : i + 1], known[i : i + 1], Streams(0, "fill", i, 1, dtype=torch.float64))
        assert torch.allclose(alone[0], whole[i], rtol=0, atol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_ninety_per_cent_intervals_of_fills_cover(share):
    """A hidden value and 99 fills are exchangeable: it lies between the 5th and the 95th of them in 90 of 100 cases.

    88 to 92 of 100 are seen, of about 2,500 cells (three standard errors are 1.8).
    """
    n = round(500 / share)
    model = truth(d=5)
    x = drawn(model, n)
    holes = with_holes(x, share)
    fills = several(model, holes, 99).sort(0).values
    inside = ((x > fills[4]) & (x < fills[94]))[torch.isnan(holes)].double()
    assert 0.88 <= inside.mean().item() <= 0.92


def several(model: GaussianMixture, holes: Tensor, count: int) -> Tensor:
    """Fills of all rows, ``(count, n, d)``."""
    x = holes.repeat(count, 1)
    return model.complete(x, ~torch.isnan(x), streams(len(x))).view(count, *holes.shape)


@pytest.mark.parametrize("covariance", FORMS)
def test_the_likelihood_of_incomplete_weighted_data_never_falls(covariance):
    """And it is the likelihood: the statistic is Σ w log p(x_K)."""
    x = with_holes(drawn(truth(), 600), 0.3)
    weights = torch.rand(600, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    model, em = GaussianMixture([4], 3, covariance), ExpectationMaximisation(reg=0.0)
    em.initialise(model, InFloat64(model, x, weights), 0)
    history = []
    for _ in range(30):
        statistics = em.statistics(model, Batch(x, weights=weights))
        assert statistics["log_likelihood"].item() == pytest.approx((weights * model.log_prob(x)).sum().item())
        assert statistics["count"].item() == pytest.approx(weights.sum().item())
        history.append((statistics["log_likelihood"] / statistics["count"]).item())
        em.maximise(model, statistics)
    assert all(b >= a - 1e-10 for a, b in pairwise(history))
    assert history[-1] > history[0]


@pytest.mark.long
@pytest.mark.parametrize("covariance", FORMS)
def test_a_maximum_has_no_gradient(covariance):
    """At the end of EM the derivative of the likelihood by the means is zero, by autograd of another formula."""
    x = with_holes(drawn(truth(), 120), 0.3)
    x = x[~torch.isnan(x).all(1)]
    model = GaussianMixture([4], 2, covariance)
    fit(model, InFloat64(model, x), ExpectationMaximisation(reg=0.0), iterations=1000, tolerance=1e-12)
    means = model.means.clone().requires_grad_()
    sigma, total = model.covariances(), torch.zeros((), dtype=torch.float64)
    for row in x:
        K = ~torch.isnan(row)
        spread = torch.stack([S[K][:, K] for S in sigma])
        terms = torch.distributions.MultivariateNormal(means[:, K], spread).log_prob(row[K])
        total = total + torch.logsumexp(terms + model.log_weights, 0)
    (gradient,) = torch.autograd.grad(total / len(x), means)
    assert gradient.abs().max() < 1e-4


@pytest.mark.parametrize("covariance", FORMS)
def test_integer_weights_are_repeated_rows(covariance):
    """Of complete and of incomplete rows: the statistics agree to 1e-9, and so do ten steps of EM to 1e-8 nats."""
    x = with_holes(drawn(truth(), 300), 0.2)
    x[:150] = drawn(truth(), 150, "whole")
    times = torch.randint(0, 4, (300,), generator=torch.Generator().manual_seed(0))
    model, em = truth(covariance=covariance, seed=3), ExpectationMaximisation()
    other = replace_state(model)
    for _ in range(10):
        weighted = em.statistics(model, Batch(x, weights=times.double()))
        repeated = em.statistics(other, Batch(x.repeat_interleave(times, 0)))
        for name, value in repeated.items():
            assert torch.allclose(value, weighted[name], rtol=1e-9, atol=1e-7), name
        em.maximise(model, weighted)
        em.maximise(other, repeated)
    assert torch.allclose(model.log_prob(x), other.log_prob(x), atol=1e-8)


def replace_state(model: GaussianMixture) -> GaussianMixture:
    other = GaussianMixture([model.dimensions], model.components, model.covariance)
    other.load_state_dict(model.state_dict())
    return other


def test_a_fit_with_weights_finds_what_the_repeated_rows_have():
    """From the data alone, start included: one optimum, to 1e-6 nats, and rows of weight 0 do not matter."""
    x = drawn(truth(k=2), 500)
    times = torch.randint(0, 3, (500,), generator=torch.Generator().manual_seed(1))
    far = torch.full((1, 4), 1e6, dtype=torch.float64)
    options = {"iterations": 500, "tolerance": 1e-11, "restarts": 3}
    one, two = GaussianMixture([4], 2), GaussianMixture([4], 2)
    data = InFloat64(one, torch.cat([x, far]), torch.cat([times, torch.zeros(1, dtype=torch.int64)]))
    fit(one, data, ExpectationMaximisation(), **options)
    repeated = x.repeat_interleave(times, 0)
    fit(two, InFloat64(two, repeated), ExpectationMaximisation(), **options)
    assert one.log_prob(repeated).mean().item() == pytest.approx(two.log_prob(repeated).mean().item(), abs=1e-6)


@pytest.mark.long
def test_few_missing_cells_change_little_and_ever_less():
    """The fit goes to that of the complete data as the share of missing cells goes to 0, from the same start."""
    x = drawn(truth(), 1000)
    distances = []
    for share in (0.1, 0.01, 0.001):
        models = []
        for rows in (x, with_holes(x, share)):
            model = truth(seed=5)
            fit_from_here(model, rows, 40)
            models.append(model)
        whole, holes = models
        distances.append((whole.log_prob(x) - holes.log_prob(x)).abs().mean().item())
    assert distances[0] < 0.1
    assert distances[0] > 2 * distances[1]  # √10 times on average
    assert distances[1] > distances[2]
    assert distances[2] < 0.02


def fit_from_here(model: GaussianMixture, x: Tensor, iterations: int) -> None:
    em = ExpectationMaximisation()
    for _ in range(iterations):
        em.maximise(model, em.statistics(model, Batch(x)))


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_it_beats_mean_imputation(share):
    """Held-out log-likelihood, and RMSE of the expected values of hidden cells, are better than those of EM on data
    whose missing cells were replaced by the means of their columns: by 0.1 nats and 2 % at the least, in every case."""
    model, n = truth(d=5, k=3, seed=2), 1000
    x, fresh = drawn(model, n), drawn(model, 2000, "fresh")
    holes = with_holes(x, share)
    means = torch.where(torch.isnan(holes), holes.nanmean(0), holes)
    test = with_holes(fresh, share, seed=9)
    scores, errors = [], []
    for rows in (holes, means):
        made = GaussianMixture([5], 3)
        options = {"iterations": 100, "tolerance": 1e-5, "restarts": 3}
        fit(made, InFloat64(made, rows), ExpectationMaximisation(reg=1e-4), **options)
        scores.append(made.log_prob(fresh).mean().item())
        errors.append((several(made, test, 50).mean(0) - fresh)[torch.isnan(test)].square().mean().sqrt().item())
    print(share, scores, errors, model.log_prob(fresh).mean().item())
    assert scores[0] > scores[1] + 0.1
    assert errors[0] < 0.98 * errors[1]
    assert model.log_prob(fresh).mean().item() - scores[0] < 0.15  # and not far from the truth


def test_incomplete_data_in_batches_are_the_data():
    x = with_holes(drawn(truth(), 400), 0.3)
    whole, parts = GaussianMixture([4], 3), GaussianMixture([4], 3)
    options = {"iterations": 8, "tolerance": 0.0}
    one = fit(whole, InFloat64(whole, x), ExpectationMaximisation(), **options)
    assert fit(parts, InFloat64(parts, x), ExpectationMaximisation(), batch=33, **options) == pytest.approx(
        one, abs=1e-9
    )


def test_what_cannot_be_fitted_is_said():
    x = drawn(truth(), 50)
    x[:, 2] = math.nan
    model = GaussianMixture([4], 2)
    with pytest.raises(ZooError, match="no example has a value in column 2; leave this column out"):
        fit(model, InFloat64(model, x), ExpectationMaximisation())
    with pytest.raises(ValueError, match="known marks all coordinates"):
        model.conditional(drawn(truth(), 1)[0], torch.ones(4, dtype=torch.bool))
    few = Batch(x, weights=torch.zeros(50, dtype=torch.float64))
    with pytest.raises(ZooError, match="there are 0 examples"):
        ExpectationMaximisation().initialise(model, InFloat64(model, drawn(truth(), 50), few.weights), 0)
    assert replace(few, weights=None).weights is None
