"""Mean flows against the exact flow of Gaussian data, whose average velocity is known, and against forward derivatives.

For data of standard deviation s the flow only scales: y_φ = y_θ·m(φ)/m(θ) with m(θ)² = s²·cos²θ + sin²θ, so that
U(y, φ, θ) = y·(1 − m(φ)/m(θ))/(θ − φ).
"""

from __future__ import annotations

import math

import pytest
import torch

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Streams
from zoo_core.sampling import make_sampler, sample
from zoo_flow_matching import mean_flow_objective
from zoo_flow_matching.mean_flow import FlowMap, MeanFlow
from zoo_flow_matching.mean_flow_objective import MeanFlowLoss, total_derivative
from zoo_flow_matching.model import FlowMatching

MLP = {"kind": "mlp", "width": 32, "depth": 2, "time_scale": 0.03}
S = 0.4


def scale(theta):
    return torch.sqrt(S**2 * torch.cos(theta) ** 2 + torch.sin(theta) ** 2)


class Exact(MeanFlow):
    """The mean flow of Gaussian data of standard deviation 0.4."""

    def average(self, y, theta, span, *, condition=None):
        phi = theta - span
        small = span < 1e-6
        safe = torch.where(small, 1.0, span)
        rate = (1.0 - S**2) * torch.sin(theta) * torch.cos(theta) / scale(theta) ** 2  # m′/m, the limit of no span
        factor = torch.where(small, rate, (1.0 - scale(phi) / scale(theta)) / safe)
        return y * factor[:, None].to(y.dtype)


@pytest.fixture
def exact():
    return Exact([2], MLP).double()


@pytest.fixture
def network():
    """A mean flow whose span has an effect."""
    model = MeanFlow([2], MLP).double()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return model


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_jumps_of_the_exact_flow_draw_the_data(exact, steps):
    """The flow is linear, so that samples are the noise times s to rounding, in any number of steps."""
    noise = Streams(0, "sample", 0, 64, dtype=torch.float64).normal(2)
    x = sample(exact, 64, sampler=FlowMap(steps))
    assert torch.allclose(x.double(), S * noise, atol=1e-6)


def test_the_identity_holds_for_the_exact_flow(exact):
    """U = w − (θ − φ)·dU/dθ along the exact trajectory, to the error of the central difference, below 1e-4."""
    theta = torch.linspace(0.3, 1.4, 20, dtype=torch.float64)
    span = 0.7 * theta
    y = torch.randn(20, 2, dtype=torch.float64)
    w = exact.average(y, theta, torch.zeros_like(theta))
    derivative = total_derivative(exact, y, w, theta, span)
    assert torch.allclose(exact.average(y, theta, span), w - span[:, None] * derivative, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch.func imports it
def test_the_central_difference_is_the_forward_derivative(network, monkeypatch):
    """Against torch.func.jvp in float64: the error is below 3 % for a rough network, a quarter of it at half of h."""
    theta, span = torch.full((8,), 0.9, dtype=torch.float64), torch.full((8,), 0.5, dtype=torch.float64)
    y, w = torch.randn(2, 8, 2, dtype=torch.float64)
    ones = torch.ones_like(theta)
    _, exactly = torch.func.jvp(lambda y, t, d: network.average(y, t, d), (y, theta, span), (w, ones, ones))
    exactly = exactly.detach()
    error = (total_derivative(network, y, w, theta, span) - exactly).norm() / exactly.norm()
    monkeypatch.setattr(mean_flow_objective, "H", 0.0025)
    finer = (total_derivative(network, y, w, theta, span) - exactly).norm() / exactly.norm()
    assert error < 0.03
    assert finer == pytest.approx(error.item() / 4, rel=0.05)


def test_angles_near_the_ends_stay_inside(exact):
    theta = torch.tensor([0.0, 0.001, 0.5 * math.pi], dtype=torch.float64)
    y = torch.randn(3, 2, dtype=torch.float64)
    seen = []
    inside = exact.average
    exact.average = lambda y, theta, span, *, condition=None: seen.append((theta, span)) or inside(y, theta, span)
    total_derivative(exact, y, y, theta, theta.clone())
    assert all((t >= 0).all() and (t <= 0.5 * math.pi + 1e-9).all() and (d >= 0).all() for t, d in seen)


def test_a_span_has_no_effect_at_first():
    """So the weights of a path model are those of a mean flow that jumps by Euler's method."""
    base = FlowMatching([2], MLP)
    torch.nn.init.normal_(base.network.head.weight)
    model = MeanFlow([2], MLP)
    model.load_state_dict(dict(model.started_from(base.state_dict())))
    y, theta = torch.randn(5, 2), torch.full((5,), 0.8)
    far, near = model.average(y, theta, torch.full((5,), 0.7)), model.average(y, theta, torch.zeros(5))
    assert torch.equal(far, near)
    t = base.path.sigma(0.5) / (base.path.sigma(0.5) + base.path.alpha(0.5))
    assert torch.equal(model.predict(y, t).data, base.predict(y, t).data)


def test_times_are_in_order_and_half_have_no_span():
    theta, span = MeanFlowLoss(same=0.5).times(Streams(0, "t", 0, 4000))
    assert ((theta - span) >= -1e-7).all()
    assert (theta <= 0.5 * math.pi).all()
    assert abs((span == 0).double().mean() - 0.5) < 4 * math.sqrt(0.25 / 4000)


def test_the_exact_flow_is_where_the_gradient_vanishes(exact):
    """E[(U − target)·y] = 0 for every span, within four standard errors of 20,000 draws; a tenth more of U is not."""
    objective, streams = MeanFlowLoss(same=0.3), Streams(0, "t", 0, 20_000, dtype=torch.float64)
    theta, span = objective.times(streams)
    x, noise = S * streams.normal(2), streams.normal(2)
    cos, sin = torch.cos(theta)[:, None], torch.sin(theta)[:, None]
    y, w = cos * x + sin * noise, cos * noise - sin * x
    target = w - span[:, None] * total_derivative(exact, y, w, theta, span)
    for factor, right in ((1.0, True), (1.1, False)):
        slope = ((factor * exact.average(y, theta, span) - target) * y).sum(1)
        assert (abs(slope.mean()) < 4 * slope.std() / math.sqrt(len(slope))) == right


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MeanFlow([2], MLP, interpolant="cubic"), "interpolant = 'cubic'"),
        (lambda: MeanFlowLoss(same=1.5), "same = 1.5"),
        (lambda: MeanFlowLoss(power=-1.0), "power = -1.0"),
        (lambda: FlowMap(0), "steps = 0"),
    ],
)
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_other_models_have_no_flow_map():
    with pytest.raises(IncompatibleError, match="needs a flow map"):
        make_sampler(FlowMatching([2], MLP), "flow-map")
