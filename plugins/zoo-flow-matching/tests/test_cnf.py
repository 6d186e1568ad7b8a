"""Continuous normalizing flows: linear fields in closed form, traces, and the way there and back."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Streams
from zoo_flow_matching.cnf import CNF
from zoo_flow_matching.cnf_objective import MaximumLikelihood

MLP = {"kind": "mlp", "width": 16, "depth": 2, "time_width": 8}
UNET = {"kind": "unet", "widths": [8], "head_width": 8}


class Linear(CNF):
    """u = A·x: x_1 = e^A·x and log p(x) = log N(e^A·x; 0, I) + tr A."""

    def __init__(self, matrix, **options):  # type: ignore[no-untyped-def]
        super().__init__([len(matrix)], MLP, **options)
        self.matrix = matrix
        self.network = torch.nn.Linear(1, 1).double()  # no perceptron, so that the trace is by autograd
        self.exact_trace = len(matrix) <= 4

    def velocity(self, x, t):  # type: ignore[no-untyped-def]
        return x @ self.matrix.T


def random_like(model, seed=0):
    source = torch.Generator().manual_seed(seed)
    for p in model.parameters():
        p.data.normal_(std=0.4, generator=source)
    return model


@pytest.fixture
def matrix():
    return 0.6 * torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("options", [{"steps": 32}, {"steps": None, "tolerance": 1e-9}])
def test_linear_fields_in_closed_form(matrix, options):
    """Thirty-two steps of order four leave 1e-6, a tolerance of 1e-9 about 1e-7."""
    model, x = Linear(matrix, **options), Streams(0, "x", 0, 20, dtype=torch.float64).normal(3)
    z = x @ torch.matrix_exp(matrix).T
    expected = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1) + matrix.trace()
    assert torch.allclose(model.log_prob(x), expected, atol=2e-6)
    assert torch.allclose(model.encode(x), z, atol=2e-6)
    assert torch.allclose(model.decode(z), x, atol=2e-6)


def test_the_error_falls_with_the_fourth_power(matrix):
    x = Streams(0, "x", 0, 20, dtype=torch.float64).normal(3)
    z = x @ torch.matrix_exp(matrix).T
    errors = [(Linear(matrix, steps=n).encode(x) - z).abs().max().item() for n in (4, 8, 16)]
    for coarse, fine in pairwise(errors):
        assert 3.7 < math.log2(coarse / fine) < 4.3


def test_probes_are_unbiased():
    """In six dimensions, by 4,000 probes: the trace of A within five standard errors."""
    matrix = 0.3 * torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = Linear(matrix, steps=2)
    assert not model.exact_trace
    x = torch.zeros(4000, 6, dtype=torch.float64)
    found = model.log_prob(x, streams=Streams(0, "trace", 0, 4000)) + 3 * math.log(2 * math.pi)
    assert abs(found.mean() - matrix.trace()) < 5 * found.std() / math.sqrt(4000)


def test_three_traces_agree():
    """Forward mode (perceptrons), autograd's rows, and the mean over all sign vectors of a probe, to 1e-12."""
    model = random_like(CNF([2], MLP)).double()
    x, t = Streams(0, "x", 0, 7, dtype=torch.float64).normal(2), torch.full((1,), 0.3, dtype=torch.float64)
    _, forward = model.velocity_and_trace(x, t, None)
    rows = torch.func.jacrev(lambda y: model.velocity(y, t))(x).diagonal(dim1=0, dim2=2).diagonal(dim1=0, dim2=1).sum(1)
    assert torch.allclose(forward, rows, atol=1e-12)
    wrapped = model.network
    model.network = torch.nn.Module()
    model.network.forward = wrapped.forward  # type: ignore[method-assign]
    _, by_rows = model.velocity_and_trace(x, t, None)
    signs = [torch.tensor([[a, b]], dtype=torch.float64) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
    probed = torch.stack([model.velocity_and_trace(x, t, v.expand_as(x))[1] for v in signs]).mean(0)
    assert torch.allclose(forward, by_rows, atol=1e-12)
    assert torch.allclose(forward, probed, atol=1e-12)


def test_images_have_estimates():
    model = random_like(CNF([1, 4, 4], UNET, steps=2))
    assert (model.log_prob_is, CNF([2], MLP).log_prob_is) == ("estimate", "exact")
    x = Streams(0, "x", 0, 3).normal(1, 4, 4)
    whole = model.log_prob(x, streams=Streams(0, "trace", 0, 3))
    assert torch.allclose(whole[2:], model.log_prob(x[2:], streams=Streams(0, "trace", 2, 1)), rtol=1e-4)
    (loss,) = MaximumLikelihood(kinetic=0.1).losses(model, Batch(x), Streams(0, "train", 0, 3))
    loss.value.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.network.parameters())


def test_the_loss_is_minus_log_prob():
    """Per dimension, and with λ/d times the kinetic energy; a wider step for training is its own discretisation."""
    model = random_like(CNF([2], MLP, steps=4)).double()
    x = Streams(0, "x", 0, 30, dtype=torch.float64).normal(2)
    (plain,) = MaximumLikelihood().losses(model, Batch(x), Streams(0, "train", 0, 30))
    assert torch.allclose(plain.value, -model.log_prob(x).mean() / 2, atol=1e-12)
    (dear,) = MaximumLikelihood(kinetic=0.5).losses(model, Batch(x), Streams(0, "train", 0, 30))
    energy = model.to_noise(x)[2].mean()
    assert torch.allclose(dear.value - plain.value, 0.25 * energy, atol=1e-12)
    (coarse,) = MaximumLikelihood(steps=2).losses(model, Batch(x), Streams(0, "train", 0, 30))
    assert not torch.equal(coarse.value, plain.value)


def test_adaptive_methods_are_not_differentiated():
    with pytest.raises(IncompatibleError, match="give the objective steps"):
        next(MaximumLikelihood().losses(CNF([2], MLP, steps=None), Batch(torch.zeros(2, 2)), Streams(0, "t", 0, 2)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CNF([2], MLP, steps=0), "steps = 0; expected at least 1"),
        (lambda: CNF([2], MLP, tolerance=0.0), r"tolerance = 0.0; expected a positive number"),
        (lambda: MaximumLikelihood(kinetic=-1.0), "kinetic = -1.0"),
    ],
)
def test_bad_options_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
