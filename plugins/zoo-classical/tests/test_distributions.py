"""Densities, entropies, divergences and estimates against SciPy, torch.distributions and direct sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import distributions

from zoo_classical.counts import Binomial, Multinomial, Poisson
from zoo_classical.exponential import Exponential
from zoo_classical.exponential_family import dot
from zoo_classical.normal import Normal
from zoo_classical.objective import ClosedForm
from zoo_classical.tables import Categorical
from zoo_core.errors import IncompatibleError, ZooError
from zoo_core.interfaces import Batch, Streams

stats = pytest.importorskip("scipy.stats")

F = torch.float64
CLOSE = {"rtol": 1e-10, "atol": 1e-12}
SIGMA = torch.tensor([[2.0, 0.6, 0.1], [0.6, 1.0, -0.3], [0.1, -0.3, 0.5]], dtype=F)


def tensor(*values):
    return torch.tensor(values, dtype=F)


def binomial(p, trials=10):
    model = Binomial(trials)
    model.p.fill_(p)
    return model


def table(*p):
    model = Categorical({"first": "abc", "second": "xy"})
    model.probabilities.copy_(torch.tensor(p, dtype=F).view(3, 2))
    return model


def multinomial(*p):
    model = Multinomial(6, "ABC"[: len(p)])
    model.probabilities.copy_(tensor(*p))
    return model


def rated(kind, rate):
    model = kind()
    model.rate.fill_(rate)
    return model


def normal(location, covariance):
    model = Normal([len(location)])
    model.location.copy_(tensor(*location))
    model.scale.copy_(torch.linalg.cholesky(covariance))
    return model


TABLE, OTHER_TABLE = (0.1, 0.2, 0.3, 0.15, 0.05, 0.2), (0.3, 0.1, 0.1, 0.2, 0.2, 0.1)
COUNTS = torch.tensor([(i, j, 6 - i - j) for i in range(7) for j in range(7 - i)], dtype=F)
PAIRS = torch.cartesian_prod(torch.arange(3, dtype=F), torch.arange(2, dtype=F))
WHOLE = torch.arange(61, dtype=F)[:, None]

CASES = {
    # two distributions of a kind, all states or None, SciPy's first, torch's two
    "bernoulli": (
        binomial(0.7, 1), binomial(0.2, 1), WHOLE[:2], stats.bernoulli(0.7),
        distributions.Bernoulli(tensor(0.7)), distributions.Bernoulli(tensor(0.2)),
    ),
    "binomial": (
        binomial(0.7), binomial(0.2), WHOLE[:11], stats.binom(10, 0.7),
        distributions.Binomial(10, tensor(0.7)), distributions.Binomial(10, tensor(0.2)),
    ),
    "poisson": (
        rated(Poisson, 3.5), rated(Poisson, 1.2), WHOLE, stats.poisson(3.5),
        distributions.Poisson(tensor(3.5)), distributions.Poisson(tensor(1.2)),
    ),
    "exponential": (
        rated(Exponential, 0.5), rated(Exponential, 2.0), None, stats.expon(scale=2.0),
        distributions.Exponential(tensor(0.5)), distributions.Exponential(tensor(2.0)),
    ),
    "normal": (
        normal([5.0], tensor([4.0])), normal([4.0], tensor([9.0])), None, stats.norm(5.0, 2.0),
        distributions.Normal(tensor(5.0), tensor(2.0)), distributions.Normal(tensor(4.0), tensor(3.0)),
    ),
    "three dimensions": (
        normal([1.0, -2.0, 3.0], SIGMA), normal([0.0, 0.0, 1.0], SIGMA.flip(0, 1)), None,
        stats.multivariate_normal([1.0, -2.0, 3.0], SIGMA.numpy()),
        distributions.MultivariateNormal(tensor(1.0, -2.0, 3.0), SIGMA),
        distributions.MultivariateNormal(tensor(0.0, 0.0, 1.0), SIGMA.flip(0, 1)),
    ),
    "multinomial": (
        multinomial(0.5, 0.3, 0.2), multinomial(0.2, 0.2, 0.6), COUNTS, stats.multinomial(6, [0.5, 0.3, 0.2]),
        distributions.Multinomial(6, tensor(0.5, 0.3, 0.2)), None,
    ),
    "table": (
        table(*TABLE), table(*OTHER_TABLE), PAIRS, None,
        distributions.Categorical(tensor(*TABLE)), distributions.Categorical(tensor(*OTHER_TABLE)),
    ),
}  # fmt: skip


@pytest.fixture(params=CASES, ids=lambda name: name.replace(" ", "-"))
def case(request):
    return request.param, *CASES[request.param]


def values_of(model, states):
    if states is not None:
        return states
    return model.draw(Streams(0, "test", 0, 200, dtype=F))


def test_densities_are_those_of_scipy_and_torch(case):
    name, model, _, states, theirs, torch_one, _ = case
    x = values_of(model, states)
    ours = model.log_prob(x)
    single = x.squeeze(1) if x.shape[1] == 1 else x
    if theirs is not None:
        log_p = theirs.logpmf if model.discrete else theirs.logpdf
        torch.testing.assert_close(ours, torch.from_numpy(np.asarray(log_p(single.numpy()))), **CLOSE)
    on_table = (x[:, 0] * 2 + x[:, 1]).long() if name == "table" else single
    torch.testing.assert_close(ours, torch_one.log_prob(on_table), **CLOSE)


def test_density_is_linear_in_the_statistic(case):
    _, model, _, states, *_ = case
    x = values_of(model, states)
    written_out = model.log_base_measure(x) + dot(model.sufficient(x), model.natural()) - model.log_normaliser()
    torch.testing.assert_close(model.log_prob(x), written_out, **CLOSE)


def test_probabilities_sum_to_one_and_moments_are_their_sums(case):
    """Over all states; of densities, means of 200,000 samples, within five standard errors."""
    _, model, other, states, *_ = case
    if states is not None:
        p = model.log_prob(states).exp()
        assert p.sum().item() == pytest.approx(1.0, abs=1e-12)
        torch.testing.assert_close(p @ model.sufficient(states), model.mean(), **CLOSE)
        assert -dot(p, model.log_prob(states)).item() == pytest.approx(model.entropy(), abs=1e-11)
        kl = dot(p, model.log_prob(states) - other.log_prob(states)).item()
        assert model.kl(other) == pytest.approx(kl, abs=1e-11)
        return
    x = model.draw(Streams(1, "test", 0, 200_000, dtype=F))
    for mean, value in (
        (model.entropy(), -model.log_prob(x)),
        (model.kl(other), model.log_prob(x) - other.log_prob(x)),
    ):
        slack = 5 * value.std().item() / math.sqrt(len(x)) + 1e-12
        assert value.mean().item() == pytest.approx(mean, abs=slack)


def test_entropy_and_kl_are_those_of_torch(case):
    name, model, other, _, theirs, one, two = case
    if theirs is not None:
        assert model.entropy() == pytest.approx(float(theirs.entropy()), rel=1e-9)
    if two is not None:
        expected = distributions.kl_divergence(one, two).item()
        assert model.kl(other) == pytest.approx(expected, rel=1e-10), name
    assert model.kl(model) == 0.0
    assert model.kl(other) != pytest.approx(other.kl(model), rel=0.01)


def test_exponential_density_integrates_to_one():
    from scipy.integrate import quad

    model = rated(Exponential, 0.5)
    total, _ = quad(lambda x: model.log_prob(tensor([x])).exp().item(), 0, math.inf)
    assert total == pytest.approx(1.0, abs=1e-8)
    assert model.log_prob(tensor([-1.0])).item() == -math.inf


def test_draws_have_the_probabilities(case):
    """χ² of 4,000 draws over all states, at a level of one in a million."""
    _, model, _, states, *_ = case
    x = model.draw(Streams(2, "test", 0, 4000, dtype=F))
    if states is None:
        torch.testing.assert_close(model.sufficient(x).mean(0), model.mean(), rtol=0.2, atol=0.2)
        return
    expected = model.log_prob(states).exp() * 4000
    observed = (x[:, None] == states).all(2).sum(0).double()
    often = expected >= 5
    rest = (observed[~often].sum() - expected[~often].sum()).square() / expected[~often].sum().clamp_min(1.0)
    statistic = ((observed - expected).square() / expected)[often].sum() + rest
    assert stats.chi2.sf(statistic.item(), int(often.sum())) > 1e-6


def fit(model, x, *, weights=None, prior=None, parts=1):
    objective = ClosedForm(prior)
    model.begin(Batch(x[:3]))
    batch, total = Batch(x, weights=weights), {}
    size = -(-len(x) // parts)
    for start in range(0, len(x), size):
        for key, value in objective.statistics(model, batch.rows(slice(start, start + size))).items():
            total[key] = total[key] + value if key in total else value
    objective.maximise(model, total)
    return model


def fresh(model):
    if isinstance(model, Binomial):
        return Binomial(model.trials)
    if isinstance(model, Categorical):
        return Categorical({"first": "abc", "second": "xy"})
    if isinstance(model, Multinomial):
        return Multinomial(6, "ABC")
    return Normal([model.dimensions]) if isinstance(model, Normal) else type(model)()


def test_fit_has_the_mean_of_the_data_and_no_likelier_neighbour(case):
    _, truth, *_ = case
    x = truth.draw(Streams(4, "data", 0, 600, dtype=F))
    model = fit(fresh(truth), x)
    torch.testing.assert_close(model.mean(), model.sufficient(x).mean(0), rtol=1e-9, atol=1e-9)
    best = model.log_prob(x).sum().item()
    assert model.log_likelihood() == pytest.approx(best, rel=1e-10)
    for e in model.estimates():
        if e.name.startswith("covariance"):
            continue
        assert model.at(e.name, e.value).log_prob(x).sum().item() == pytest.approx(best, rel=1e-9)
        for value in (e.value - 0.3 * e.stderr, e.value + 0.3 * e.stderr):
            near = model.at(e.name, value)
            assert near.log_prob(x).sum().item() < best
            # A third of a standard error costs 0.045 nats, up to the third derivative.
            assert best - near.log_likelihood() == pytest.approx(0.045, rel=0.25)
    torch.testing.assert_close(model.curve(e.name, tensor(value)), tensor(near.log_likelihood()))


def test_parts_and_weights_count_as_examples(case):
    _, truth, *_ = case
    x = truth.draw(Streams(5, "data", 0, 40, dtype=F))
    weights = (torch.arange(40) % 3).double()
    repeated = fit(fresh(truth), x.repeat_interleave(weights.long(), 0))
    weighted = fit(fresh(truth), x, weights=weights, parts=3)
    for key, value in repeated.state_dict().items():
        if key not in ("sums", "origin"):  # sums about another origin differ
            torch.testing.assert_close(weighted.state_dict()[key], value, rtol=1e-9, atol=1e-9)


FLAT = {
    "bernoulli": {"alpha": 1, "beta": 1}, "binomial": {"alpha": 1, "beta": 1}, "poisson": {"shape": 1, "rate": 0},
    "exponential": {"shape": 1, "rate": 0}, "normal": {"kappa": 0, "scale": 0, "freedom": -3},
    "three dimensions": {"kappa": 0, "freedom": -5}, "multinomial": {"alpha": 1}, "table": {"alpha": [1] * 6},
}  # fmt: skip


def test_flat_prior_gives_maximum_likelihood(case):
    name, truth, *_ = case
    x = truth.draw(Streams(6, "data", 0, 30, dtype=F))
    one, two = fit(fresh(truth), x), fit(fresh(truth), x, prior=FLAT[name])
    for key, value in one.state_dict().items():
        assert torch.equal(two.state_dict()[key], value)


PRIORS = {
    "binomial": ({"alpha": 3, "beta": 2}, "p", stats.beta(3, 2)),
    "poisson": ({"shape": 4, "rate": 2}, "rate", stats.gamma(4, scale=0.5)),
    "exponential": ({"shape": 4, "rate": 2}, "rate", stats.gamma(4, scale=0.5)),
}


@pytest.mark.parametrize("name", PRIORS)
def test_mode_of_the_posterior_is_the_greatest_of_likelihood_times_prior(name):
    prior, parameter, density = PRIORS[name]
    truth = CASES[name][0]
    model = fit(fresh(truth), truth.draw(Streams(7, "data", 0, 5, dtype=F)), prior=prior)
    mode = getattr(model, parameter).item()

    def posterior(value):
        return model.at(parameter, value).log_likelihood() + density.logpdf(value)

    assert posterior(mode) > max(posterior(mode * 0.999), posterior(mode * 1.001))


def test_dirichlet_and_normal_priors_by_their_formulas():
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    model = fit(Categorical({"first": "abc", "second": "xy"}), x, prior={"alpha": [2, 1, 1, 3, 1, 1]})
    assert model.probabilities.flatten().tolist() == pytest.approx([2 / 6, 0, 0, 4 / 6, 0, 0])
    x = CASES["three dimensions"][0].draw(Streams(8, "data", 0, 9, dtype=F))
    prior = {"mean": [1.0, 0.0, 0.0], "kappa": 2.0, "scale": SIGMA.tolist(), "freedom": 6.0}
    model = fit(Normal([3]), x, prior=prior)
    m = tensor(1.0, 0.0, 0.0)
    location = (2 * m + x.sum(0)) / 11
    spread = SIGMA + (x - x.mean(0)).T @ (x - x.mean(0)) + 18 / 11 * torch.outer(x.mean(0) - m, x.mean(0) - m)
    torch.testing.assert_close(model.location, location)
    torch.testing.assert_close(model.covariance, spread / (9 + 6 + 3 + 2))

    def posterior(mu, sigma):
        log_p = stats.multivariate_normal(mu.numpy(), sigma.numpy()).logpdf(x.numpy()).sum()
        log_p += stats.multivariate_normal(m.numpy(), sigma.numpy() / 2.0).logpdf(mu.numpy())
        return log_p + stats.invwishart(6, SIGMA.numpy()).logpdf(sigma.numpy())

    best = posterior(model.location, model.covariance)
    for step in (0.02, -0.02):
        assert posterior(model.location + step, model.covariance) < best
        assert posterior(model.location, model.covariance * (1 + step)) < best


def test_standard_errors_are_those_of_the_hessian():
    """Second differences of the profile log-likelihood, at −1/stderr²."""
    for name in ("binomial", "poisson", "exponential", "normal", "three dimensions", "multinomial", "table"):
        truth = CASES[name][0]
        model = fit(fresh(truth), truth.draw(Streams(9, "data", 0, 500, dtype=F)))
        for e in model.estimates():
            if e.name.startswith("covariance"):
                continue
            h = 1e-2 * e.stderr
            low, middle, high = model.curve(e.name, tensor(e.value - h, e.value, e.value + h)).tolist()
            assert (2 * middle - low - high) / h**2 == pytest.approx(e.stderr**-2, rel=1e-3), (name, e.name)


@pytest.mark.long
@pytest.mark.parametrize("name", ["binomial", "poisson", "exponential", "normal", "multinomial", "table"])
def test_errors_fall_as_one_over_the_root_of_n(name):
    """The slope of log root-mean-square error against log n over 40 data sets each: −½ ± 0.1."""
    truth = CASES[name][0]
    sizes, errors = (25, 100, 400, 1600), []
    for n in sizes:
        x = truth.draw(Streams(10, f"data/{n}", 0, 40 * n, dtype=F)).view(40, n, -1)
        gaps = [fit(fresh(truth), one).mean() - truth_mean(truth, fresh(truth), one) for one in x]
        errors.append(torch.stack(gaps).square().mean().sqrt().item())
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.1), errors


def truth_mean(truth, model, x):
    """E T(x) of the truth, about the origin that the fitted model has."""
    if not isinstance(truth, Normal):
        return truth.mean()
    model.begin(Batch(x[:3]))
    truth.origin.copy_(model.origin)
    found = truth.mean()
    truth.origin.zero_()
    return found


def test_normal_with_a_great_offset_keeps_its_digits():
    x = 1e8 + Streams(11, "data", 0, 1000, dtype=F).normal(2)
    model = fit(Normal([2]), x)
    expected = torch.cov(x.T, correction=0)
    torch.testing.assert_close(model.covariance, expected, rtol=1e-6, atol=1e-6)


def test_certain_events_have_finite_likelihood():
    model = fit(Binomial(10), tensor([10.0], [10.0]))
    assert (model.p.item(), model.log_likelihood(), model.entropy()) == (1.0, 0.0, 0.0)
    assert model.log_prob(tensor([9.0])).item() == -math.inf
    assert binomial(0.5).kl(model) == math.inf
    assert model.kl(binomial(0.5)) == pytest.approx(10 * math.log(2))


def test_mistakes_are_named():
    with pytest.raises(IncompatibleError, match=r"\[11.0\], which has probability 0 for every Binomial"):
        fit(Binomial(10), tensor([3.0], [11.0]))
    with pytest.raises(IncompatibleError, match="no parameter 'a'; this family's prior has alpha, beta"):
        fit(Binomial(10), tensor([3.0]), prior={"a": 1})
    with pytest.raises(ZooError, match="not positive definite"):
        fit(Normal([2]), tensor([1.0, 2.0], [2.0, 3.0]))
    with pytest.raises(ZooError, match="posterior has no mode"):
        fit(Binomial(10), tensor([0.0]), prior={"alpha": 0.5})
    with pytest.raises(IncompatibleError, match="expected one, or 6"):
        fit(fresh(CASES["table"][0]), PAIRS, prior={"alpha": [1, 2]})
    with pytest.raises(IncompatibleError, match="the parameters are p"):
        fit(Binomial(10), tensor([3.0])).at("q", 0.5)
    with pytest.raises(IncompatibleError, match="KL between"):
        binomial(0.5).kl(binomial(0.5, trials=3))
    with pytest.raises(ZooError, match="mean waiting time is 0"):
        fit(Exponential(), tensor([0.0], [0.0]))
    for wrong in (lambda: Binomial(0), lambda: Multinomial(1, ""), lambda: Categorical({}), lambda: Normal([2, 2])):
        with pytest.raises(ValueError, match="expected"):
            wrong()
