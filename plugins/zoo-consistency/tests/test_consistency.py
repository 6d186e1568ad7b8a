"""Consistency functions against the one that is known, that of Gaussian data, and the schedules of iCT."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from zoo_consistency.distillation import Distillation, teacher_step
from zoo_consistency.grid import discretisation, levels, lognormal_weights, pseudo_huber
from zoo_consistency.model import Consistency
from zoo_consistency.training import Training
from zoo_core.errors import ConditionError
from zoo_core.interfaces import Batch, Condition, Denoiser, Model, Prediction, SampleSpace, Streams
from zoo_core.paths import CosinePath, GaussianPath, LinearPath, VariancePreserving

MLP = {"kind": "mlp", "width": 16, "depth": 2}
S, EPS = 0.6, 0.002


class ExactGaussian(Model, Denoiser):
    """E[x | x_t] for data N(0, s²), by the formula."""

    prediction = "data"

    def __init__(self, path: GaussianPath) -> None:
        super().__init__()
        self.space, self.path = SampleSpace("points", (2,)), path

    def predict(self, x_t, t, *, condition=None):  # type: ignore[no-untyped-def]
        alpha, sigma = self.path.coefficients(t, like=x_t)
        data = alpha * S * S / (alpha * alpha * S * S + sigma * sigma) * x_t
        return Prediction(data, (x_t - alpha * data) / sigma)


class ExactConsistency(Consistency):
    """z·√((s² + ε²)/(s² + σ̂²)) in place of the network."""

    def jump(self, z: Tensor, sigma: Tensor, *, condition: Condition | None = None) -> Tensor:
        return z * torch.sqrt((S * S + EPS * EPS) / (S * S + sigma.double() ** 2)).view(-1, 1)


def points(n: int = 512, dtype: torch.dtype = torch.float64) -> Tensor:
    return Streams(0, "test", 0, n, dtype=dtype).normal(2)


@pytest.mark.parametrize("preconditioning", ["angular", "edm"])
@pytest.mark.parametrize("path", ["linear", "trigonometric", "exploding"])
def test_the_boundary_holds_whatever_the_network_says(preconditioning, path):
    """f(z, ε) = z, and through the path's own coordinates: x̂ = x_t/α at t_min; float32 rounding of z ~ 1."""
    model = Consistency([2], MLP, path=path, preconditioning=preconditioning)
    model.network.head.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    z = points(dtype=torch.float32)
    assert (model.jump(z, torch.tensor([EPS])) - z).abs().max() < 1e-6
    t = model.path.t_min
    if path != "exploding":  # there t_min is above the level ε, at which time 0 would stand
        assert model.path.sigma(t) / model.path.alpha(t) == pytest.approx(EPS, rel=1e-9)
        assert (model.predict(model.path.alpha(t) * z, t).data - z).abs().max() < 1e-5
    top = model.path.t_max
    assert model.path.sigma(top) / model.path.alpha(top) == pytest.approx(80.0, rel=1e-9)


def test_the_published_scalings():
    """Song et al. (2023), eq. 25, at σ̂ = 1, s = 0.5; and angular ones, which are a rotation: with ε → 0 they are
    cos²θ and −sin θ."""
    one = torch.tensor([1.0], dtype=torch.float64)
    c_in, c_skip, c_out, clock = Consistency([2], MLP, preconditioning="edm").coefficients(one)
    assert c_in.item() == pytest.approx(1 / math.sqrt(1.25))
    assert c_skip.item() == pytest.approx(0.25 / (0.998**2 + 0.25))
    assert c_out.item() == pytest.approx(0.5 * 0.998 / math.sqrt(1.25))
    assert clock.item() == 0.0
    c_in, c_skip, c_out, clock = Consistency([2], MLP, sigma_min=1e-9).coefficients(one)
    assert [c.item() for c in (c_in, c_skip, c_out)] == pytest.approx([2**-0.5, 0.5, -(2**-0.5)], abs=1e-8)
    assert clock.item() == pytest.approx(500.0)


def test_the_weights_of_a_path_model_are_its_one_step_ddim():
    """A consistency model with a path model's weights is one DDIM step of that model, from θ to ε: the same up to
    ε·σ̂-sized terms, here 2ε of values of order one."""
    from zoo_nets.path_model import PathModel

    other = PathModel(LinearPath(), [2], MLP, "velocity")
    other.network.head.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    model = Consistency([2], MLP)
    model.load_state_dict(model.started_from(other.state_dict()), strict=True)
    x = points(dtype=torch.float32)
    for t in (0.2, 0.5, 0.9):
        assert (model.predict(x, t).data - other.predict(x, t).data).abs().max() < 2 * EPS * 4


@pytest.mark.parametrize("path", [LinearPath(), CosinePath(), VariancePreserving()])
def test_the_exact_function_is_where_the_exact_ode_ends(path):
    """1,000 Heun steps of the teacher's ODE from σ̂ = 20 to ε reach f, to 1e-4 of values of order one, on every path."""
    teacher, model = ExactGaussian(path), ExactConsistency([2], MLP)
    x = points(8) * 20.0
    z, grid = x, levels(1000, EPS, 20.0).flip(0)
    for high, low in pairwise(grid):
        z = teacher_step(teacher, z, high.expand(8), low.expand(8), "heun")
    assert (z - model.jump(x, torch.tensor([20.0]))).abs().max() < 1e-4


def test_the_residual_of_the_exact_function_falls_with_the_intervals():
    """Consistency distillation's squared residual, with the exact teacher, is the solver's local error: O(h⁶) for Heun
    and O(h⁴) for DDIM, so that doubling N divides it by 64 and by 16; at least half of that is asked for."""
    teacher, model = ExactGaussian(LinearPath()), ExactConsistency([2], MLP)
    x = points()
    for solver, factor in (("heun", 32.0), ("ddim", 8.0)):
        residuals = []
        for count in (20, 40, 80, 160):
            grid = levels(count, EPS, 80.0)
            i = torch.arange(512) % count
            high, low = grid[i + 1], grid[i]
            z = S * x + high[:, None] * points()
            below = teacher_step(teacher, z, high, low, solver)
            residuals.append((model.jump(z, high) - model.jump(below, low)).square().mean().item())
        assert residuals[1] / residuals[2] > factor, solver
        assert residuals[2] / residuals[3] > factor, solver
        assert residuals[3] < 1e-5


def test_the_number_of_intervals_doubles_from_10_to_1280():
    """Song & Dhariwal (2024): with K = 800 and s_0 = 10, s_1 = 1280, K′ = 100."""
    assert [discretisation(k, 800) for k in (0, 99, 100, 250, 699, 700, 5000)] == [10, 10, 20, 40, 640, 1280, 1280]
    assert discretisation(10**9, 1) == 1280


def test_levels_and_their_probabilities():
    """The ends are exact; Karras's middle by hand; the weights are the normal distribution's masses."""
    grid = levels(2, 0.002, 80.0)
    middle = (0.5 * (0.002 ** (1 / 7) + 80.0 ** (1 / 7))) ** 7
    assert grid.tolist() == pytest.approx([0.002, middle, 80.0], rel=1e-12)
    weights = lognormal_weights(levels(1280, 0.002, 80.0), -1.1, 2.0)
    assert weights.sum().item() == pytest.approx(1.0)
    below = sum(weights[: int((levels(1280, 0.002, 80.0) < math.exp(-1.1)).sum()) - 1]).item()
    assert below == pytest.approx(0.5, abs=0.01)  # the median of log σ is the mean


def test_pseudo_huber_is_square_below_c_and_straight_above():
    a, b = torch.tensor([[3.0, 4.0], [3e-6, 4e-6]]).double(), torch.zeros(2, 2).double()
    c = 0.00054 * math.sqrt(2)
    assert pseudo_huber(a, b).tolist() == pytest.approx([5.0 - c, (5e-6) ** 2 / (2 * c)], rel=1e-4)


def test_the_exact_function_is_nearly_free_of_training_loss():
    """With the exact function the distance is a score estimate's error times the interval: it falls with N."""
    model, x = ExactConsistency([2], MLP), S * points(2048).float()
    batch, losses = Batch(x, step=0), []
    for n in (10, 1280):
        loss = next(Training(first=n, last=n).losses(model, batch, Streams(0, "train/0", 0, 2048)))
        losses.append(loss.terms["distance"].item())
    assert losses[1] < 0.1 * losses[0]


def test_only_the_upper_answer_has_a_gradient():
    """The lower one is a target: with it at a network of its own the gradient is the same."""
    model, batch = Consistency([2], MLP), Batch(points(8, torch.float32), step=3)
    model.network.head.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    loss = next(Training().losses(model, batch, Streams(0, "train/3", 0, 8)))
    loss.value.backward()
    assert model.network.head.weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="expected a batch whose step is set"):
        next(Training().losses(model, Batch(batch.x), Streams(0, "train/3", 0, 8)))


def test_distillation_is_of_a_teacher_of_the_same_kind():
    from zoo_core.errors import IncompatibleError

    model = Consistency([3], MLP)
    with pytest.raises(IncompatibleError, match="teacher = 'ddpm-moons' draws no samples of this kind"):
        next(Distillation().losses(model, Batch(torch.zeros(2, 3)), Streams(0, "train/0", 0, 2)))
    with pytest.raises(ValueError, match="solver = 'rk'; expected one of heun, ddim"):
        Distillation(solver="rk")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"path": "round"}, "path = 'round'; expected one of linear, trigonometric, exploding"),
        ({"preconditioning": "x"}, "preconditioning = 'x'; expected one of angular, edm"),
        ({"sigma_min": 2.0, "sigma_max": 1.0}, "expected 0 < sigma_min < sigma_max"),
        ({"data_scale": 0.0}, "data_scale = 0.0; expected a positive number"),
    ],
)
def test_what_is_no_consistency_model(arguments, words):
    with pytest.raises(ValueError, match=words):
        Consistency([2], MLP, **arguments)


def test_labels_reach_the_network_of_a_model_with_classes_only():
    model = Consistency([2], MLP, classes=3)
    model.network.class_embedding.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    model.network.head.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    x, sigma, label = torch.ones(1, 2), torch.tensor([1.0]), Condition(label=torch.tensor([1]))
    assert not torch.equal(model.jump(x, sigma), model.jump(x, sigma, condition=label))
    with pytest.raises(ConditionError):
        Consistency([2], MLP).jump(x, sigma, condition=label)


def test_the_target_is_a_moving_average_and_part_of_the_state():
    """θ⁻ after two steps, by hand; and a run that goes on from the state goes on with the same target."""
    model, goal = Consistency([2], MLP), Distillation(target_decay=0.9, solver="ddim")
    model.network.head.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    bias = model.network.head.bias
    expected, batch = bias.detach().clone(), Batch(points(8, torch.float32))

    def step(goal: Distillation, k: int) -> float:
        losses = goal.losses(model, batch, Streams(0, f"train/{k}", 8 * k, 8))
        value = next(losses).value.item()
        bias.data += 0.5  # as an optimiser would
        assert next(losses, None) is None
        return value

    for k in range(2):
        step(goal, k)
        expected = 0.9 * expected + 0.1 * bias.detach()
    target = goal.target(model)
    assert target is not model
    assert torch.allclose(target.network.head.bias, expected)
    later = Distillation(target_decay=0.9, solver="ddim")
    later.restore({name: value.clone() for name, value in goal.state().items()})
    before = bias.detach().clone()
    one = step(goal, 2)
    bias.data.copy_(before)
    assert step(later, 2) == one
    assert Distillation().target(model) is model
    with pytest.raises(ValueError, match=r"target_decay = 1\.0; expected a number"):
        Distillation(target_decay=1.0)


def test_a_run_that_was_interrupted_has_the_same_target(tmp_path):
    """Three steps and three more, from checkpoints, are six, to the bit."""
    from dataclasses import replace

    from zoo_core import registry
    from zoo_core.training.run import Options, train

    entry = registry.load().get("ct-moons")
    options = {"target_decay": 0.9, "solver": "ddim"}
    recipe = {"objective": "consistency-distillation", "objective_options": options, "batch": 16, "steps": 6}
    entry = replace(entry, recipe={**recipe, "data": {"name": "two-moons", "n": 64}, "lr": 1e-2}, weights=None)
    how = {"checkpoint_every": 3, "samples_every": 0}
    whole = train(entry, tmp_path / "whole", Options(**how))
    train(entry, tmp_path / "parts", Options(max_steps=3, **how))
    parts = train(entry, tmp_path / "parts", Options(**how))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))
