"""Differential equations and what they say about densities, against closed forms."""

import math
from itertools import pairwise

import pytest
import torch

import zoo_core
from zoo_core import datasets
from zoo_core.errors import ZooError
from zoo_core.interfaces import Condition, Streams
from zoo_core.paths import (
    LinearPath,
    VariancePreserving,
)
from zoo_core.samplers.likelihood import decode, encode, ode_log_prob
from zoo_core.samplers.ode import EULER, HEUN, MIDPOINT, RK4, adams, dormand_prince, runge_kutta
from zoo_core.testing.exact_denoisers import MIXTURE, PATHS, ExactDenoiser


def pendulum(u, y):
    """y″ = −y with a driven frequency: y = (sin, cos)(u²/2)."""
    return torch.stack([u * y[:, 1], -u * y[:, 0]], 1)


@pytest.mark.parametrize(("method", "order"), [(EULER, 1), (MIDPOINT, 2), (HEUN, 2), (RK4, 4)])
def test_runge_kutta_has_its_order(method, order):
    start = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    exact = torch.tensor([[math.sin(2.0), math.cos(2.0)]], dtype=torch.float64)
    errors = [
        (runge_kutta(pendulum, start, 0.0, 2.0, steps=n, method=method).y - exact).abs().max().item()
        for n in (32, 64, 128)
    ]
    assert all(abs(math.log2(a / b) - order) < 0.25 for a, b in pairwise(errors))  # the next term, at these steps


def test_adams_has_order_four_on_steps_that_grow():
    """y = (sin, cos)(u²/2) at u = 2, the i-th step being (2i + 1)/n² of the way; corrections shrink with the error."""
    start = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    exact = torch.tensor([[math.sin(2.0), math.cos(2.0)]], dtype=torch.float64)
    solutions = [adams(pendulum, start, [2.0 * (i / n) ** 2 for i in range(n + 1)]) for n in (64, 128, 256)]
    assert [found.evaluations for found in solutions] == [65, 129, 257]
    errors = [(found.y - exact).abs().max().item() for found in solutions]
    corrections = [found.corrected.max().item() for found in solutions]
    for values in (errors, corrections):
        assert all(abs(math.log2(a / b) - 4) < 0.2 for a, b in pairwise(values))
    back = adams(pendulum, solutions[-1].y, [2.0 * (1.0 - i / 200) for i in range(201)])
    assert (back.y - start).abs().max() < 1e-5  # equal steps of 0.01


def test_adams_on_two_nodes_is_the_trapezoid():
    """Which is exact where the slope is linear in u; the shape is kept."""
    start = torch.zeros(3, 2, 2, dtype=torch.float64)
    for nodes in ([0.0, 1.0], [0.0, 0.1, 0.4, 1.0]):
        found = adams(lambda u, y: u.view(-1, 1, 1).expand_as(y), start, nodes)
        assert torch.allclose(found.y, torch.full_like(start, 0.5), atol=1e-14)
    with pytest.raises(ValueError, match="1 nodes; expected at least 2"):
        adams(pendulum, torch.zeros(1, 2), [0.0])


def test_dormand_prince_against_scipy_and_the_truth():
    integrate = pytest.importorskip("scipy.integrate")
    start = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.3, -2.0]], dtype=torch.float64)
    ours = dormand_prince(pendulum, start, 0.0, 3.0, rtol=1e-8, atol=1e-8)
    for row, begun in zip(ours.y, start, strict=True):
        theirs = integrate.solve_ivp(
            lambda u, y: [u * y[1], -u * y[0]], (0.0, 3.0), begun.numpy(), method="RK45", rtol=1e-8, atol=1e-8
        )
        assert (row - torch.tensor(theirs.y[:, -1])).abs().max() < 1e-6
    # backwards, and in company: each sample has its own steps
    back = dormand_prince(pendulum, ours.y, 3.0, 0.0, rtol=1e-8, atol=1e-8)
    assert (back.y - start).abs().max() < 1e-6
    alone = dormand_prince(pendulum, start[:1], 0.0, 3.0, rtol=1e-8, atol=1e-8)
    assert torch.equal(alone.y[0], ours.y[0])


class Stiff:
    """y″ = −r²·y, a pendulum with a rate of its own for every sample, that counts the rows it is asked about."""

    def __init__(self, rates, counts):
        self.rates, self.counts = rates, counts

    def __call__(self, u, y):
        self.counts.append(len(y))
        return self.rates[:, None] * torch.stack([y[:, 1], -y[:, 0]], 1)

    def rows(self, index):
        return Stiff(self.rates[index], self.counts)


def test_samples_that_have_arrived_leave_the_batch():
    """And the others go on as before: the same answers, to rounding, for less than half of the work."""
    rates, start = torch.tensor([50.0, 1.0, 0.1, 2.0], dtype=torch.float64), torch.eye(2, dtype=torch.float64)[[0] * 4]
    counts: list[int] = []
    field = Stiff(rates, counts)
    found = dormand_prince(field, start, 0.0, 1.0, rtol=1e-8, atol=1e-8)
    exact = torch.stack([rates.cos(), -rates.sin()], 1)
    assert (found.y - exact).abs().max() < 1e-5
    together = dormand_prince(lambda u, y: field(u, y), start, 0.0, 1.0, rtol=1e-8, atol=1e-8)
    assert torch.allclose(found.y, together.y, rtol=0.0, atol=1e-14)
    assert counts[: found.evaluations] == sorted(counts[: found.evaluations], reverse=True)
    assert sum(counts[: found.evaluations]) < 0.5 * sum(counts[found.evaluations :])


def test_what_cannot_be_solved_says_so():
    start = torch.ones(1, 1)
    with pytest.raises(ZooError, match="a sample needs more than 20 steps"):
        dormand_prince(lambda u, y: torch.sin(1e4 * u).view(-1, 1).float(), start, 0.0, 9.0, most=20)
    with pytest.raises(ZooError, match="finite"):
        dormand_prince(lambda u, y: y / 0.0, start, 0.0, 1.0)
    with pytest.raises(ValueError, match="steps = 0"):
        runge_kutta(pendulum, start, 0.0, 1.0, steps=0)


@pytest.mark.long
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_likelihood_of_a_mixture(path):
    """Exact trace: what is left is where the path ends.  At σ = 50 a mean of 1.5 is 0.03 of the noise: VE's error."""
    model = ExactDenoiser(path, **MIXTURE)
    x = model.draw_data(Streams(0, "data", 0, 24, dtype=torch.float64))
    found = ode_log_prob(model, x)
    error = found.log_prob - model.log_prob(x)
    assert error.mean().abs() < 5e-3
    assert error.abs().max() < 4e-2
    assert torch.equal(found.stderr, torch.zeros(24, dtype=torch.float64))
    assert found.evaluations == 65
    fine = ode_log_prob(model, x, steps=512)
    assert (fine.log_prob - found.log_prob).abs().max() < 1e-3


@pytest.mark.long
def test_the_error_of_a_likelihood_falls_with_the_fourth_power():
    """Doubling the steps divides it by 13 to 20."""
    model = ExactDenoiser(LinearPath(), **MIXTURE)
    x = model.draw_data(Streams(0, "data", 0, 24, dtype=torch.float64))
    truth = ode_log_prob(model, x, steps=1024).log_prob
    errors = [
        (ode_log_prob(model, x, steps=n, tolerance=math.inf).log_prob - truth).square().mean().sqrt().item()
        for n in (64, 128, 256)
    ]
    assert all(abs(math.log2(a / b) - 4) < 0.5 for a, b in pairwise(errors))


@pytest.mark.long
def test_samples_that_are_not_settled_are_done_again():
    """A cloud a thousand times as narrow as another: with 12 steps only its points are, and end up nearer the truth."""
    model = ExactDenoiser(LinearPath(), means=[(-2.0, 0.0), (2.0, 0.0)], scale=[1.0, 1e-3], labelled=True)
    wide = torch.tensor([[-2.3, 0.4], [-1.2, -0.7]], dtype=torch.float64)
    narrow = torch.tensor([[2.0005, 0.001], [2.001, -0.0005]], dtype=torch.float64)
    x, labels = torch.cat([wide, narrow])[[0, 2, 1, 3]], Condition(label=torch.tensor([0, 1, 0, 1]))
    once = ode_log_prob(model, x, condition=labels, steps=12, tolerance=math.inf)
    found = ode_log_prob(model, x, condition=labels, steps=12)
    assert once.evaluations == 13
    assert found.evaluations > 13
    assert torch.equal(found.log_prob[[0, 2]], once.log_prob[[0, 2]])
    truth = model.log_prob(x, condition=labels)
    assert (found.log_prob - truth)[[1, 3]].abs().max() < 0.1 * (once.log_prob - truth)[[1, 3]].abs().min()
    for i in range(4):  # nobody's answer depends on the others
        alone = ode_log_prob(model, x[i : i + 1], condition=Condition(label=labels["label"][i : i + 1]), steps=12)
        assert torch.allclose(alone.log_prob, found.log_prob[i], rtol=0.0, atol=1e-9)


def test_rows_take_their_conditions_with_them():
    """Components of different widths take different numbers of steps; what arrives first leaves the others right."""
    model = ExactDenoiser(LinearPath(), means=[(-2.0, 0.0), (2.0, 0.0)], scale=[0.5, 0.01], labelled=True)
    labels = torch.tensor([1, 0, 1, 0])
    x = torch.tensor([[2.01, 0.0], [-2.2, 0.4], [2.0, -0.02], [-1.0, 0.1]], dtype=torch.float64)
    codes = encode(model, x, condition=Condition(label=labels))
    scales = torch.tensor([0.5, 0.01], dtype=torch.float64)[labels, None]
    assert torch.allclose(codes, (x - model.means[labels]) / scales, atol=2e-2)
    assert torch.allclose(decode(model, codes, condition=Condition(label=labels)), x, atol=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("name", ["cfm-moons", "otcfm-eight-gaussians"])
def test_torchdiffeq_says_the_same(name):
    """dopri5 in the model's own time, to 1e-7 in float64: 0.001 nats in the mean, 0.01 for the worst of 20 points."""
    torchdiffeq = pytest.importorskip("torchdiffeq")
    model = zoo_core.load(name)
    x = datasets.load(model.entry.recipe["data"]["name"], "test", n=20).x
    found = model.log_prob(x).double()
    path, precise = model.path, zoo_core.load(name, dtype="float64")

    def field(t, state):
        with torch.enable_grad():
            y = state[0].requires_grad_()
            prediction = precise.predict(y, t.item())
            v = path.alpha_dot(t.item()) * prediction.data + path.sigma_dot(t.item()) * prediction.noise
            each = [torch.autograd.grad(v[:, i].sum(), y, retain_graph=True)[0][:, i] for i in range(2)]
        return v.detach(), each[0] + each[1]

    times = torch.tensor([path.t_min, path.t_max], dtype=torch.float64)
    start = (path.alpha(path.t_min) * x.double(), torch.zeros(len(x), dtype=torch.float64))
    y, integral = (part[-1] for part in torchdiffeq.odeint(field, start, times, rtol=1e-7, atol=1e-7, method="dopri5"))
    theirs = -0.5 * (y.square() + math.log(2.0 * math.pi)).sum(1) + integral + 2.0 * math.log(path.alpha(path.t_min))
    assert abs((found - theirs).mean()) < 1e-3
    assert (found - theirs).abs().max() < 1e-2


@pytest.mark.long
def test_probes_are_unbiased_and_say_how_sure_they_are():
    """16 probes each on 64 points: the mean error is within four of its standard errors, which are as they should be.

    A few points far from all means carry most of both, so that their ratio is right within a factor of two only.
    """
    model = ExactDenoiser(VariancePreserving(), **MIXTURE)
    x = model.draw_data(Streams(0, "data", 0, 64, dtype=torch.float64))
    found = ode_log_prob(model, x, exact=False, probes=16)
    error = found.log_prob - model.log_prob(x)
    assert error.mean().abs() < 4 * found.stderr.square().mean().sqrt() / 8
    assert 0.5 < (error.square().mean() / found.stderr.square().mean()).sqrt() < 2.0
    one = ode_log_prob(model, x[:3], exact=False, probes=1)
    assert one.stderr.isnan().all()
    again = ode_log_prob(model, x[:3], exact=False, probes=1)
    assert torch.equal(one.log_prob, again.log_prob)


@pytest.mark.parametrize(
    ("how", "slack"),
    [({}, 0.005), ({"steps": 40}, 0.01), ({"steps": 8}, 0.01)],
    ids=["usual", "fewer", "done again"],
)
def test_the_steep_field_near_narrow_data_is_seen(how, slack):
    """196 dimensions as narrow as two grey levels, where the first step in θ used to lose a tenth of a nat in each.

    The cloud is isotropic, so that one probe gives the trace exactly.  0.01 nats a dimension is 0.015
    bits.
    """
    model = ExactDenoiser(LinearPath(), means=[[-0.9] * 196], scale=0.016)
    x = model.draw_data(Streams(0, "data", 0, 6, dtype=torch.float64))
    found = ode_log_prob(model, x, exact=False, **how)
    assert (found.log_prob - model.log_prob(x)).abs().max() < slack * 196
    alone = ode_log_prob(model, x[3:4], streams=Streams(0, "probe", 3, 1, dtype=torch.float64), exact=False, **how)
    assert (alone.log_prob - found.log_prob[3]).abs() < 1e-6


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_encode_and_decode_are_inverse(path):
    model = ExactDenoiser(path, **MIXTURE)
    x = model.draw_data(Streams(1, "data", 0, 8, dtype=torch.float64))
    code = encode(model, x, rtol=1e-7, atol=1e-7)
    assert (decode(model, code, rtol=1e-7, atol=1e-7) - x).abs().max() < 1e-3


def test_all_paths_share_one_flow():
    """The same noise arrives at the same point, but for where the paths begin and end (their first and last σ/α)."""
    noise = Streams(2, "noise", 0, 6, dtype=torch.float64).normal(2)
    ends = {name: decode(ExactDenoiser(path, **MIXTURE), noise, rtol=1e-6, atol=1e-6) for name, path in PATHS.items()}
    for name in ("cosine", "vp", "subvp"):
        assert (ends[name] - ends["linear"]).abs().max() < 2e-2, name


def test_gradients_of_a_model_are_as_they_were():
    model = ExactDenoiser(LinearPath(), **MIXTURE)
    model.extra = torch.nn.Parameter(torch.zeros(1))
    with torch.inference_mode():
        ode_log_prob(model, torch.zeros(2, 2, dtype=torch.float64))
    assert model.extra.requires_grad
    assert model.extra.grad is None
