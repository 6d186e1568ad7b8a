"""Score matching against closed forms: the three objectives, their weights and their common minimum."""

from __future__ import annotations

import math

import pytest
import torch

from zoo_core.datasets.densities import DENSITIES
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Streams
from zoo_core.paths import GaussianPath
from zoo_score_sde.exact_score import ExactScore
from zoo_score_sde.model import ScoreSDE
from zoo_score_sde.ncsn import NCSN
from zoo_score_sde.objective import DenoisingScoreMatching, ExplicitScoreMatching, SlicedScoreMatching, weight

SDES = ["vp", "subvp", "ve"]
MLP = {"kind": "mlp", "width": 16, "depth": 2}


class Fixed(GaussianPath):
    """α and σ that do not depend on t."""

    def __init__(self, alpha: float, sigma: float) -> None:
        self._alpha, self._sigma = alpha, sigma

    def alpha(self, t: float) -> float:
        return self._alpha

    def sigma(self, t: float) -> float:
        return self._sigma


def within(values, expected, errors=5):
    """Whether a mean agrees with its expectation within five standard errors: one false alarm in a million."""
    gap = (values.mean() - expected).abs() if isinstance(expected, torch.Tensor) else abs(values.mean() - expected)
    return gap < errors * values.std() / math.sqrt(values.numel())


@pytest.mark.parametrize("sde", SDES)
def test_what_denoising_cannot_learn(sde, exact, draws):
    """With the exact score of N(m, s²) what is left of σ²·E‖s + ε/σ‖² is the variance of the noise given x_t,
    α²s²/(α²s² + σ²)."""
    x, noise, t = draws
    model = exact(sde)
    loss = DenoisingScoreMatching().loss(model, Batch(x), noise, t, Streams(0, "none", 0, 0))
    alpha, sigma = model.path.coefficients(t, like=x)
    left = (alpha**2 * 0.25 / (alpha**2 * 0.25 + sigma**2)).expand_as(loss)
    assert within(loss - left, 0.0)


@pytest.mark.parametrize("bend", [0.5, 0.9, 1.1])
def test_the_exact_score_is_the_minimum(exact, draws, bend):
    """A wrong score costs, in all three, σ²·‖s − ∇ log p_t‖² = σ²(1 − bend)²·E‖∇ log p_t‖² more."""
    x, noise, t = draws
    right, wrong = exact(), exact(bend=bend)
    alpha, sigma = right.path.coefficients(t, like=x)
    excess = ((1 - bend) ** 2 * sigma**2 / (alpha**2 * 0.25 + sigma**2)).expand_as(x)
    for objective in (DenoisingScoreMatching(), SlicedScoreMatching()):
        of_right, of_wrong = (
            objective.loss(m, Batch(x), noise, t, Streams(0, "probe", 0, len(x))).detach() for m in (right, wrong)
        )
        assert within((of_wrong - of_right - excess).sum(1), 0.0)


@pytest.mark.parametrize("weighting", ["sigma", "likelihood", "angular"])
@pytest.mark.parametrize("sde", SDES)
def test_implicit_is_explicit_less_a_constant(sde, weighting, exact, draws):
    """Hyvärinen's identity: λ·E[2 tr ∇s + ‖s‖²] = λ·E‖s − ∇ log p‖² − λ·E‖∇ log p‖², for a score that is wrong.

    The Jacobian of this score is a multiple of the identity, of which a Rademacher probe gives the trace exactly.
    """
    x, noise, t = draws
    model, truth = exact(sde, bend=0.8), exact(sde)
    implicit = SlicedScoreMatching(weighting=weighting).loss(model, Batch(x), noise, t, Streams(0, "probe", 0, len(x)))
    x_t = model.path.diffuse(x, noise, t)
    wrong, right = model.score(x_t, t), truth.score(x_t, t)
    explicit = weight(model, weighting, t, x) * ((wrong - right).square() - right.square())
    assert within((implicit.detach() - explicit).sum(1), 0.0)


def test_slices_are_the_trace_on_average():
    """Many probes of a network's Jacobian: the mean of vᵀJv is tr J, within five standard errors of 400 probes."""
    model = ScoreSDE([3], MLP).double()
    source = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.data.normal_(std=0.4, generator=source)
    x, noise = (torch.randn(1, 3, dtype=torch.float64, generator=source) for _ in range(2))
    t = torch.tensor([0.4], dtype=torch.float64)
    x_t = model.path.diffuse(x, noise, t)
    jacobian = torch.func.jacrev(lambda y: model.score(y, 0.4)[0])(x_t)[:, 0]
    expected = weight(model, "sigma", t, x).item() * (2 * jacobian.trace() + model.score(x_t, t).square().sum())
    many = (x.expand(400, 3), noise.expand(400, 3), t.expand(400))
    loss = SlicedScoreMatching().loss(model, Batch(many[0]), many[1], many[2], Streams(0, "probe", 0, 400))
    assert within(loss.sum(1), expected.detach())
    one, four = (
        SlicedScoreMatching(probes=k).loss(model, Batch(many[0]), many[1], many[2], Streams(0, "probe", 0, 400)).sum(1)
        for k in (1, 4)
    )
    assert 0.35 < (four.std() / one.std()).item() < 0.65  # half as far with four times as many


@pytest.mark.parametrize("sde", SDES)
def test_weights_are_their_definitions(sde, exact, draws):
    """The denoising loss under each weight is λ(t)·‖s + ε/σ‖², λ by the formula; relative 1e-6 where α is small."""
    x, noise, t = (values[:100] for values in draws)
    model = exact(sde, bend=0.8)
    _, sigma = model.path.coefficients(t, like=x)
    plain = (model.score(model.path.diffuse(x, noise, t), t) + noise / sigma).square()
    for weighting in ("sigma", "likelihood", "angular"):
        loss = DenoisingScoreMatching(weighting).loss(model, Batch(x), noise, t, Streams(0, "none", 0, 0))
        assert torch.allclose(loss, weight(model, weighting, t, x) * plain, rtol=1e-6)
    if sde == "vp":
        g2 = torch.tensor([0.1 + 19.9 * u for u in t.tolist()], dtype=torch.float64)
        assert torch.allclose(weight(model, "likelihood", t, x)[:, 0], g2, rtol=1e-12)


@pytest.mark.parametrize("name", ["eight-gaussians", "two-gaussians-1d", "two-moons", "two-spirals"])
def test_exact_scores_are_gradients(name):
    """At α = 1 and σ → 0 the score is autograd's gradient of the density's own log p, relative to 1e-6."""
    density, score = DENSITIES[name], ExactScore.of(name)
    x = density.sample(Streams(0, "points", 0, 50, dtype=torch.float64)).double()
    x = (x + 0.3 * Streams(1, "points", 0, 50, dtype=torch.float64).normal(density.dimensions)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(density.log_prob(x).sum(), x)
    ours = score(Fixed(1.0, 1e-9), x.detach(), torch.zeros(50, dtype=torch.float64))
    assert torch.allclose(ours, gradient, rtol=1e-6, atol=1e-6 * gradient.abs().max().item())


def test_exact_scores_of_noisy_data():
    """On a path: the gradient of log Σ_j w_j N(x; α m_j, α² s_j² + σ²), written out with torch.distributions."""
    from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

    mixture, alpha, sigma = DENSITIES["eight-gaussians"], 0.6, 0.7
    scale = (alpha**2 * mixture.scales**2 + sigma**2).sqrt()[:, None].expand(8, 2)
    noisy = MixtureSameFamily(Categorical(mixture.weights), Independent(Normal(alpha * mixture.means, scale), 1))
    x = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(noisy.log_prob(x).sum(), x)
    t = torch.zeros(20, dtype=torch.float64)
    assert torch.allclose(ExactScore.of("eight-gaussians")(Fixed(alpha, sigma), x.detach(), t), gradient, atol=1e-10)


def test_parzen_is_what_denoising_learns(draws):
    """Vincent's theorem on a batch: E‖s − ∇ log q‖² and E‖s + ε/σ‖² differ by the same constant for every s."""
    source = torch.Generator().manual_seed(1)
    points = torch.randn(4, 2, dtype=torch.float64, generator=source)
    path, sigma = Fixed(1.0, 0.8), 0.8
    x = points[torch.randint(0, 4, (20_000,), generator=source)]
    noise, t = draws[1], draws[2]
    x_t = path.diffuse(x, noise, t)
    truth = ExactScore.parzen(points)(path, x_t, t)
    gaps = []
    for slope in (0.3, 1.0):
        s = -slope * x_t
        gaps.append(((s - truth).square() - (s + noise / sigma).square()).sum(1))
    assert within(gaps[0] - gaps[1], 0.0)


def test_ncsn_trains_at_its_levels():
    model = NCSN([2], MLP, levels=5, sigma_min=0.1, sigma_max=10.0)
    sigmas = [model.path.sigma(t) for t in model.level_times()]
    assert sigmas == pytest.approx([10.0 * 0.01 ** (i / 4) for i in range(5)], rel=1e-3)
    times = model.training_times(Streams(0, "t", 0, 500))
    assert set(times.tolist()) == set(model.level_times())


def test_training_times_are_uniform_on_the_path():
    """The mean of 4,000 is within five standard errors of the middle."""
    model = ScoreSDE([2], MLP)
    t = model.training_times(Streams(0, "t", 0, 4000))
    assert t.min() >= model.path.t_min
    assert t.max() <= 1.0
    assert within(t, 0.5 * (1.0 + model.path.t_min))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScoreSDE([2], MLP, sde="vpsde"), "sde = 'vpsde'; expected one of vp, ve, subvp"),
        (lambda: NCSN([2], MLP, levels=1), "levels = 1; expected at least 2"),
        (lambda: DenoisingScoreMatching("g2"), "weighting = 'g2'; expected one of sigma, likelihood, angular"),
        (lambda: SlicedScoreMatching(probes=0), "probes = 0; expected at least 1"),
    ],
)
def test_bad_options_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_densities_without_a_score_are_named():
    with pytest.raises(IncompatibleError, match="'pinwheel' has no score in closed form; expected eight-gaussians"):
        ExplicitScoreMatching("pinwheel")
    objective, model = ExplicitScoreMatching("two-moons"), ScoreSDE([3], MLP)
    with pytest.raises(IncompatibleError, match=r"points of shape \(2,\); the data has shape \(3,\)"):
        next(objective.losses(model, Batch(torch.zeros(4, 3)), Streams(0, "t", 0, 4)))
