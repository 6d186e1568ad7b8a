"""Entropies and divergences: closed forms, and Monte Carlo within its own standard error of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from zoo_metrics.divergences import cross_entropy, entropy, jensen_shannon, kl


def gaussians() -> tuple[MultivariateNormal, MultivariateNormal]:
    a = torch.tensor([[2.0, 0.3], [0.3, 0.5]], dtype=torch.float64)
    b = torch.tensor([[1.0, -0.2], [-0.2, 1.5]], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    return MultivariateNormal(zero, a), MultivariateNormal(zero + 0.7, b)


def draws(p: MultivariateNormal, n: int, seed: int) -> torch.Tensor:
    z = torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return p.loc + z @ p.scale_tril.mT


class Only:
    """A density of which nothing but log p is known."""

    def __init__(self, p: MultivariateNormal) -> None:
        self.log_prob = p.log_prob


def test_closed_forms():
    p, q = gaussians()
    a, b, shift = p.covariance_matrix, q.covariance_matrix, q.loc - p.loc
    h = 0.5 * torch.logdet(2 * math.pi * math.e * a)
    inverse = torch.linalg.inv(b)
    d = 0.5 * ((inverse @ a).trace() + shift @ inverse @ shift - 2 + torch.logdet(b) - torch.logdet(a))
    assert (entropy(p).value, entropy(p).stderr) == (pytest.approx(h.item()), 0.0)
    assert kl(p, q).value == pytest.approx(d.item())
    assert cross_entropy(p, q).value == pytest.approx((h + d).item())
    assert kl(p, p).value == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("what", ["entropy", "cross_entropy", "kl"])
def test_monte_carlo_is_within_its_error_of_the_closed_form(what):
    p, q = gaussians()
    x = draws(p, 20_000, 0)
    exact, found = {
        "entropy": lambda: (entropy(p), entropy(Only(p), x)),
        "cross_entropy": lambda: (cross_entropy(p, q), cross_entropy(Only(p), Only(q), x)),
        "kl": lambda: (kl(p, q), kl(Only(p), Only(q), x)),
    }[what]()
    assert 0 < found.stderr < 0.03
    assert found.value == pytest.approx(exact.value, abs=4 * found.stderr)


def test_what_has_no_closed_form_wants_draws():
    mixture = MixtureSameFamily(Categorical(torch.ones(2)), Independent(Normal(torch.zeros(2, 1), torch.ones(2, 1)), 1))
    for question in (lambda: entropy(mixture), lambda: kl(mixture, mixture), lambda: cross_entropy(mixture, mixture)):
        with pytest.raises(ValueError, match="give draws"):
            question()


def test_jensen_shannon_is_between_zero_and_log_two():
    p, q = gaussians()
    same = jensen_shannon(p, p, draws(p, 100, 0), draws(p, 100, 1))
    assert same.value == pytest.approx(0.0, abs=1e-12)
    far = MultivariateNormal(q.loc + 100.0, q.covariance_matrix)
    apart = jensen_shannon(p, far, draws(p, 100, 0), draws(far, 100, 1))
    assert apart.value == pytest.approx(math.log(2), abs=1e-12)
    one, other = draws(p, 20_000, 0), draws(q, 20_000, 1)
    found = jensen_shannon(p, q, one, other)
    axis = torch.linspace(-9, 10, 800, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    log_p, log_q = p.log_prob(grid), q.log_prob(grid)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    area = (axis[1] - axis[0]).item() ** 2
    exact = 0.5 * area * (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)).sum().item()
    assert found.value == pytest.approx(exact, abs=4 * found.stderr)
    assert found == jensen_shannon(q, p, other, one)


def test_a_draw_that_cannot_be_costs_everything():
    class Nowhere:
        def log_prob(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full((len(x),), -math.inf)

    p, _ = gaussians()
    assert kl(Only(p), Nowhere(), draws(p, 10, 0)).value == math.inf
