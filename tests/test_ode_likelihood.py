"""Differential equations and what they say about densities, against closed forms."""

import math
from itertools import pairwise

import pytest
import torch

from zoo_core.errors import ZooError
from zoo_core.interfaces import Streams
from zoo_core.ode import EULER, HEUN, MIDPOINT, RK4, dormand_prince, runge_kutta
from zoo_core.paths import (
    LinearPath,
    VariancePreserving,
)
from zoo_core.samplers.likelihood import decode, encode, ode_log_prob
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


def test_what_cannot_be_solved_says_so():
    start = torch.ones(1, 1)
    with pytest.raises(ZooError, match="did not arrive in 20 steps"):
        dormand_prince(lambda u, y: torch.sin(1e4 * u).view(-1, 1).float(), start, 0.0, 9.0, most=20)
    with pytest.raises(ZooError, match="finite"):
        dormand_prince(lambda u, y: y / 0.0, start, 0.0, 1.0)
    with pytest.raises(ValueError, match="steps = 0"):
        runge_kutta(pendulum, start, 0.0, 1.0, steps=0)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_likelihood_of_a_mixture(path):
    """Exact trace: what is left is where the path ends.  At σ = 50 a mean of 1.5 is 0.03 of the noise: VE's error."""
    model = ExactDenoiser(path, **MIXTURE)
    x = model.draw_data(Streams(0, "data", 0, 24, dtype=torch.float64))
    found = ode_log_prob(model, x, rtol=1e-6, atol=1e-6)
    error = found.log_prob - model.log_prob(x)
    assert error.mean().abs() < 5e-3
    assert error.abs().max() < 4e-2
    assert torch.equal(found.stderr, torch.zeros(24, dtype=torch.float64))
    fixed = ode_log_prob(model, x, steps=100)
    assert (fixed.log_prob - found.log_prob).abs().max() < 5e-3


def test_probes_are_unbiased_and_say_how_sure_they_are():
    """16 probes each on 16 points: the mean error is within five of its standard errors, which are not too large."""
    model = ExactDenoiser(VariancePreserving(), **MIXTURE)
    x = model.draw_data(Streams(0, "data", 0, 16, dtype=torch.float64))
    found = ode_log_prob(model, x, exact=False, probes=16, rtol=1e-4, atol=1e-4)
    error = found.log_prob - model.log_prob(x)
    assert error.mean().abs() < 5 * found.stderr.square().mean().sqrt() / 4
    assert 0.3 < (error.square().mean() / found.stderr.square().mean()).sqrt() < 1.5
    one = ode_log_prob(model, x[:3], exact=False, probes=1)
    assert one.stderr.isnan().all()
    again = ode_log_prob(model, x[:3], exact=False, probes=1)
    assert torch.equal(one.log_prob, again.log_prob)


@pytest.mark.parametrize(
    ("how", "slack"),
    [({}, 0.01), ({"steps": 32}, 0.01), ({"rtol": 1e-3, "atol": 1e-3}, 0.03)],
    ids=["adaptive", "fixed", "rough"],
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
