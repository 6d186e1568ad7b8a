"""The variational bound, against torch.distributions and closed forms."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from zoo_core.paths import to_prediction
from zoo_ddpm.bound import bound_terms, discretised_gaussian_log_prob, prior_term
from zoo_ddpm.model import DDPM


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize(("mean", "variance"), [(0.0, 0.1), (0.93, 1e-4), (-3.0, 0.01), (0.2, 4.0)])
def test_levels_sum_to_one(levels, mean, variance):
    x = torch.linspace(-1, 1, levels, dtype=torch.float64)
    log_variance = torch.full_like(x, math.log(variance))
    log_p = discretised_gaussian_log_prob(x, torch.full_like(x, mean), log_variance, levels)
    assert log_p.exp().sum() == pytest.approx(1.0, abs=1e-12)


def posterior(path, x, x_k, k):  # type: ignore[no-untyped-def]
    """q(x_{k−1} | x_k, x) as Ho et al. write it (eqs. 6 and 7)."""
    bar, before = path.alpha_bar(path.time(k)), path.alpha_bar(path.time(k - 1))
    beta = 1 - bar / before
    mean = math.sqrt(before) * beta / (1 - bar) * x + math.sqrt(1 - beta) * (1 - before) / (1 - bar) * x_k
    return mean, beta * (1 - before) / (1 - bar), beta


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large", "learned"])
@pytest.mark.parametrize("k", [1, 500, 999])
def test_terms_are_the_divergences(k, variance):
    torch_seed = torch.Generator().manual_seed(0)
    model = DDPM([2], {"kind": "mlp", "width": 8}, "linear", 1000, "noise", variance).double()
    for p in model.parameters():
        p.data.normal_(std=0.3, generator=torch_seed)
    x = torch.randn(5, 2, dtype=torch.float64, generator=torch_seed)
    noise = torch.randn(5, 2, dtype=torch.float64, generator=torch_seed)
    index = torch.full((5,), k)
    ours = bound_terms(model, x, index, noise)

    t = model.path.time(k)
    x_k = model.path.diffuse(x, noise, t)
    output, mix = model.answer(x_k, index)
    data = to_prediction(model.path, "noise", x_k, t, output).data
    mean, small, beta = posterior(model.path, x, x_k, k)
    mean_p, _, _ = posterior(model.path, data, x_k, k)
    if variance == "learned":
        log_variance = mix * math.log(beta) + (1 - mix) * math.log(small)
    else:
        log_variance = torch.full_like(x, math.log(beta if variance == "fixed_large" else small))
    q = Normal(mean, torch.full_like(x, math.sqrt(small)))
    expected = kl_divergence(q, Normal(mean_p, (0.5 * log_variance).exp())).sum(1)
    assert torch.allclose(ours, expected, rtol=1e-6, atol=1e-9)


def test_prior_term_is_the_divergence():
    model = DDPM([2], {"kind": "mlp"}, "linear").double()
    x = torch.tensor([[0.5, -2.0]], dtype=torch.float64)
    q = Normal(model.path.alpha(1.0) * x, torch.full_like(x, model.path.sigma(1.0)))
    assert torch.allclose(prior_term(model, x), kl_divergence(q, Normal(0.0, 1.0)).sum(1), rtol=1e-9)


class Exact(DDPM):
    """The exact denoiser of N(0, s²): E[x | x_k] = α s²/(α² s² + σ²)·x_k."""

    s = 0.5

    def answer(self, x_t, index, *, condition=None):  # type: ignore[no-untyped-def]
        t = (index + 1).double() / self.path.steps
        alpha, sigma = self.path.coefficients(t, like=x_t)
        return alpha * self.s**2 / (alpha**2 * self.s**2 + sigma**2) * x_t, None


def expected_term(path, s, variance, k):  # type: ignore[no-untyped-def]
    """E L_k of the exact denoiser, by algebra: the error of x̂ has the variance of the posterior p(x | x_k)."""
    bar, before = path.alpha_bar(path.time(k)), path.alpha_bar(path.time(k - 1))
    beta, j = 1 - bar / before, max(k, 1)
    small = (1 - path.alpha_bar(path.time(j)) / path.alpha_bar(path.time(j - 1))) * (
        (1 - path.alpha_bar(path.time(j - 1))) / (1 - path.alpha_bar(path.time(j)))
    )
    gap = (math.sqrt(before) * beta / (1 - bar)) ** 2 * s**2 * (1 - bar) / (bar * s**2 + 1 - bar)
    used = beta if variance == "fixed_large" else small
    if k == 0:
        return 0.5 * (math.log(2 * math.pi * used) + gap / used)
    return 0.5 * (math.log(used / small) + small / used - 1 + gap / used)


@pytest.mark.long
@pytest.mark.parametrize("variance", ["fixed_large", "fixed_small"])
def test_terms_of_the_exact_denoiser(variance):
    """Each L_k averages to its closed form (five standard errors of 20,000 draws)."""
    model = Exact([1], {"kind": "mlp", "width": 4}, "linear", 1000, "data", variance).double()
    source = torch.Generator().manual_seed(0)
    for k in (0, 1, 2, 10, 100, 999):
        x = Exact.s * torch.randn(20_000, 1, dtype=torch.float64, generator=source)
        noise = torch.randn(20_000, 1, dtype=torch.float64, generator=source)
        terms = bound_terms(model, x, torch.full((20_000,), k), noise)
        assert terms.mean().item() == pytest.approx(
            expected_term(model.path, Exact.s, variance, k), abs=5 * terms.std().item() / 141
        )


def test_bound_of_the_exact_denoiser_is_tight():
    """With the variance that is right for Gaussian data a thousand steps lose a thousandth of a nat: 0.7269 against
    −E log p = 0.7258."""
    path = DDPM([1], {"kind": "mlp", "width": 4}, "linear").path
    total = sum(expected_term(path, Exact.s, "fixed_large", k) for k in range(1000))
    variance = path.sigma(1.0) ** 2
    total += 0.5 * (path.alpha(1.0) ** 2 * Exact.s**2 + variance - 1 - math.log(variance))
    assert total == pytest.approx(0.7269, abs=5e-5)
    assert 0.5 * math.log(2 * math.pi * Exact.s**2) + 0.5 == pytest.approx(0.7258, abs=5e-5)


def test_same_data_same_bound():
    model = DDPM([2], {"kind": "mlp", "width": 8}, "cosine", 20, "v")
    x = torch.tensor([[0.5, -2.0], [1.0, 1.0]])
    assert torch.equal(model.log_prob(x), model.log_prob(x))
    assert model.log_prob(x).shape == (2,)
    assert torch.allclose(model.log_prob(x)[:1], model.log_prob(x[:1]), atol=1e-5)
