"""Flow matching against closed forms: Gaussian data, optimal transport, straight lines, reflow."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Condition, Prediction, Streams
from zoo_core.samplers.ancestral import Ancestral
from zoo_core.samplers.ddim import DDIM
from zoo_flow_matching import reflow
from zoo_flow_matching.coupling import optimal_transport, transport_cost
from zoo_flow_matching.model import FlowMatching, RectifiedFlow
from zoo_flow_matching.objective import FlowMatchingLoss, velocity_loss
from zoo_flow_matching.reflow import Reflow
from zoo_flow_matching.straightness import straightness

MLP = {"kind": "mlp", "width": 16, "depth": 2}
MEAN, SCALE = 0.7, 0.5


class Independent(FlowMatching):
    """The exact flow of N(m, s² I), noise and data being independent: x̂ and ε̂ are the conditional means."""

    bend = 1.0

    def predict(self, x_t, t, *, condition=None):  # type: ignore[no-untyped-def]
        alpha, sigma = self.path.coefficients(t, like=x_t)
        gap = self.bend * (x_t - alpha * MEAN) / (alpha**2 * SCALE**2 + sigma**2)
        return Prediction(MEAN + alpha * SCALE**2 * gap, sigma * gap)


class Transported(FlowMatching):
    """The exact flow of N(m, s² I) under optimal transport, where x = m + s·ε always."""

    def predict(self, x_t, t, *, condition=None):  # type: ignore[no-untyped-def]
        alpha, sigma = self.path.coefficients(t, like=x_t)
        noise = (x_t - alpha * MEAN) / (alpha * SCALE + sigma)
        return Prediction(MEAN + SCALE * noise, noise)


def exact(kind, interpolant="linear"):
    coupling = "independent" if kind is Independent else "optimal-transport"
    return kind([2], MLP, interpolant, coupling).double()


def streams(n, purpose="test", seed=0):
    return Streams(seed, purpose, 0, n, dtype=torch.float64)


@pytest.mark.parametrize("interpolant", ["linear", "trigonometric"])
def test_what_flow_matching_cannot_learn(interpolant):
    """The loss of the exact velocity of N(m, s²) is the variance of the velocity given x_t,
    (α′σ − σ′α)²·s²/(α²s² + σ²), within five standard errors of 20,000 draws at four times."""
    model, n = exact(Independent, interpolant), 20_000
    source = streams(n)
    x, noise = MEAN + SCALE * source.normal(2), source.normal(2)
    for t in (0.1, 0.4, 0.7, 0.95):
        path = model.path
        x_t = path.diffuse(x, noise, t)
        squared = (model.answer(x_t, t) - model.target(x, noise, t)).square()
        det = path.alpha_dot(t) * path.sigma(t) - path.sigma_dot(t) * path.alpha(t)
        expected = det**2 * SCALE**2 / (path.alpha(t) ** 2 * SCALE**2 + path.sigma(t) ** 2)
        assert abs(squared.mean() - expected) < 5 * squared.std() / math.sqrt(2 * n)


@pytest.mark.parametrize("bend", [0.8, 1.2])
def test_the_exact_velocity_is_the_minimum(bend):
    right, wrong = exact(Independent), exact(Independent)
    wrong.bend = bend
    source = streams(20_000)
    x, noise, t = MEAN + SCALE * source.normal(2), source.normal(2), source.uniform(1).squeeze(1)
    assert velocity_loss(right, x, noise, t, None) < velocity_loss(wrong, x, noise, t, None)


def test_of_all_pairings_the_cheapest():
    """Against all 720 permutations of six."""
    source = streams(6)
    x, noise = source.normal(3), source.normal(3)
    found = optimal_transport(noise, x)
    costs = {p: transport_cost(noise[list(p)], x) for p in itertools.permutations(range(6))}
    assert tuple(found.tolist()) == min(costs, key=costs.__getitem__)


def test_in_one_dimension_it_sorts():
    source = streams(200)
    x, noise = source.normal(1), source.normal(1)
    paired = noise[optimal_transport(noise, x)]
    assert torch.equal(paired[x[:, 0].argsort()], noise.sort(dim=0).values)


def test_pairs_of_images_are_a_permutation():
    source = streams(16)
    x, noise = source.normal(1, 4, 4), source.normal(1, 4, 4)
    found = optimal_transport(noise, x)
    assert sorted(found.tolist()) == list(range(16))
    assert transport_cost(noise[found], x) < transport_cost(noise, x)
    with pytest.raises(ValueError, match="expected the same"):
        optimal_transport(noise, x[:5])


def test_transport_between_gaussians_is_one_euler_step():
    """Under optimal transport the lines are straight: one step is exact to 1e-12, and so are forty."""
    model, noise = exact(Transported), streams(100).normal(2)
    for steps in (1, 2, 40):
        x = DDIM(steps).sample(model, streams(100), noise=noise)
        assert torch.allclose(x, MEAN + SCALE * noise, atol=1e-12)
    assert straightness(model, streams(100)) < 1e-20


def test_independent_noise_bends_the_lines():
    """The flow of N(m, s²) along independent pairs ends at m + s·ε too, but a step is far from it, and the error of n
    steps falls as 1/n."""
    model, noise = exact(Independent), streams(100).normal(2)
    errors = [
        (DDIM(steps).sample(model, streams(100), noise=noise) - (MEAN + SCALE * noise)).abs().max().item()
        for steps in (1, 100, 200, 400)
    ]
    assert errors[0] > 0.3
    assert errors[1] / errors[2] == pytest.approx(2.0, rel=0.05)
    assert errors[2] / errors[3] == pytest.approx(2.0, rel=0.05)
    assert straightness(model, streams(100)) > 0.02


def test_minibatches_of_transport_teach_straight_lines():
    """In one dimension and large batches the coupling is x ≈ m + s·ε: the exact transported velocity is nearly all that
    there is to learn (300 pairs leave below a twentieth of what independent noise does)."""
    source = streams(300)
    x, noise, t = MEAN + SCALE * source.normal(1), source.normal(1), source.uniform(1).squeeze(1)
    model = Transported([1], MLP, coupling="optimal-transport").double()
    alone = velocity_loss(model, x, noise, t, None)
    paired = velocity_loss(model, x, FlowMatchingLoss().coupled(noise, x), t, None)
    assert paired < 0.05 * alone


def test_groups_pair_within_themselves():
    source = streams(12)
    x, noise = source.normal(2), source.normal(2)
    together = FlowMatchingLoss(group=4).coupled(noise, x)
    parts = [FlowMatchingLoss().coupled(noise[i : i + 4], x[i : i + 4]) for i in (0, 4, 8)]
    assert torch.equal(together, torch.cat(parts))
    with pytest.raises(IncompatibleError, match="group = 5 does not divide the 12 examples"):
        FlowMatchingLoss(group=5).coupled(noise, x)


def test_focused_times_have_their_density():
    """P(t < τ) = log(1 + τ/δ)/log(1 + 1/δ), within five standard errors of 4,000 draws; δ → ∞ is uniform."""
    for delta, law in ((0.02, lambda tau: math.log1p(tau / 0.02) / math.log1p(50.0)), (1e6, lambda tau: tau)):
        t = FlowMatchingLoss(focus=delta).times(streams(4000))
        assert 0.0 <= t.min() < t.max() <= 1.0
        for tau in (0.01, 0.1, 0.5):
            p = law(tau)
            assert abs((t < tau).double().mean().item() - p) < 5 * math.sqrt(p * (1 - p) / 4000)


def test_coupled_paths_take_ode_samplers_only():
    for model in (exact(Transported), RectifiedFlow([2], MLP)):
        DDIM(5).check(model)
        for sampler in (Ancestral(5), DDIM(5, eta=0.5)):
            with pytest.raises(IncompatibleError, match="couples noise and data"):
                sampler.check(model)
    Ancestral(5).check(exact(Independent))


@pytest.fixture
def teacher(monkeypatch):
    model = exact(Transported)
    monkeypatch.setattr(reflow, "load", lambda name: model)
    return model


def test_reflow_learns_the_teachers_pairs(teacher):
    """The teacher's pairs are (ε, m + s·ε), so the teacher itself has no loss left (1e-20), whatever the batch is."""
    student = RectifiedFlow([2], MLP).double()
    student.predict = teacher.predict  # type: ignore[method-assign]
    for pairs in (0, 8):
        (loss,) = Reflow("teacher", steps=3, pairs=pairs).losses(student, Batch(torch.full((6, 2), 99.0)), streams(6))
        assert loss.value < (1e-20 if pairs == 0 else 1e-12)  # kept pairs are in float32


def test_pairs_are_made_once_and_by_number(teacher):
    """Pair j is the same in whatever batch it comes; after the last comes the first."""
    objective, model = Reflow("teacher", steps=2, pairs=5), RectifiedFlow([2], MLP).double()
    first, _, _ = objective._kept(model, Streams(0, "train/0", 0, 4))
    second, _, _ = objective._kept(model, Streams(0, "train/1", 4, 4))
    other, x, _ = Reflow("teacher", steps=2, pairs=5)._kept(model, Streams(0, "train/9", 5, 5))
    assert torch.equal(second[1:], first[:3])
    assert torch.equal(other[:4], first)
    assert torch.allclose(x, MEAN + SCALE * other, atol=1e-6)


def test_teachers_that_do_not_fit_are_refused(teacher):
    streams_of = Streams(0, "train/0", 0, 2)
    with pytest.raises(IncompatibleError, match="sampler = 'ancestral' draws noise"):
        Reflow("teacher", sampler="ancestral").make(RectifiedFlow([2], MLP), streams_of)
    with pytest.raises(IncompatibleError, match="draws no samples of this kind"):
        Reflow("teacher").make(RectifiedFlow([3], MLP), streams_of)


def test_labels_stay_with_their_data():
    """Transport moves the noise: the loss of a conditional model is that of the same pairs with the same labels."""
    model = FlowMatching([2], MLP, coupling="optimal-transport", classes=3).double()
    torch.nn.init.normal_(model.network.class_embedding.weight, generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(model.network.head.weight, generator=torch.Generator().manual_seed(0))
    x, label = streams(9).normal(2), Condition(label=torch.arange(9) % 3)
    (loss,) = FlowMatchingLoss().losses(model, Batch(x, label), streams(9, "train"))
    source = streams(9, "train")
    t, noise = source.uniform(1).squeeze(1), source.normal(2)
    assert torch.equal(
        loss.value, velocity_loss(model, x, FlowMatchingLoss().coupled(noise, x, label["label"]), t, label)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FlowMatching([2], MLP, interpolant="quadratic"), "expected one of linear, trigonometric"),
        (lambda: FlowMatching([2], MLP, coupling="ot"), "expected one of independent, optimal-transport"),
        (lambda: FlowMatchingLoss(group=1), "group = 1; expected at least 2"),
        (lambda: FlowMatchingLoss(focus=0.0), "focus = 0.0; expected a positive number"),
        (lambda: Reflow("x", pairs=-1), "pairs = -1"),
    ],
)
def test_bad_options_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_with_labels_noise_is_permuted_within_a_label():
    """Otherwise the noise would say something of the label, and could not be drawn apart from it."""
    x, noise = torch.randn(24, 2), torch.randn(24, 2)
    label = torch.arange(24) % 3
    coupled = FlowMatchingLoss().coupled(noise, x, label)
    for value in range(3):
        mine = label == value
        assert {tuple(row) for row in coupled[mine].tolist()} == {tuple(row) for row in noise[mine].tolist()}
        assert transport_cost(coupled[mine], x[mine]) <= transport_cost(noise[mine], x[mine])


def test_kept_pairs_of_a_model_that_draws_labels_have_drawn_labels(monkeypatch):
    """Pair j has the label that the student draws for stream j, whatever the labels of the batch."""
    teacher = FlowMatching([2], MLP, classes=3).double()
    monkeypatch.setattr(reflow, "load", lambda name: teacher)
    student = RectifiedFlow([2], MLP, classes=[1, 0, 5]).double()
    objective = Reflow("teacher", steps=2, pairs=4)
    noise, x, condition = objective._kept(student, Streams(0, "train/0", 2, 4, dtype=torch.float64))
    drawn = student.draw_condition(Streams(0, "reflow condition", 0, 4))
    assert condition["label"].tolist() == [drawn["label"][j].item() for j in (2, 3, 0, 1)]
    assert set(condition["label"].tolist()) <= {0, 2}
    assert noise.shape == x.shape == (4, 2)
