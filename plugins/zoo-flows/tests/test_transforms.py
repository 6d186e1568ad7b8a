"""Every transform: inverse, log-determinant against the autograd Jacobian, gradients, far values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zoo_core.interfaces import Streams
from zoo_flows.actnorm import ActNorm
from zoo_flows.autoregressive import MaskedAutoregressive
from zoo_flows.coupling import Coupling
from zoo_flows.images import conv_coupling
from zoo_flows.linear import LULinear, Permutation, PlainLinear
from zoo_flows.logit import Logit
from zoo_flows.multiscale import ContextAffine, MultiScale
from zoo_flows.networks import MLPConditioner
from zoo_flows.spline import RationalQuadratic
from zoo_flows.squeeze import ORDERS, Squeeze
from zoo_flows.transform import Compose, Flatten, Inverse, Transform
from zoo_flows.univariate import Additive, Affine, SigmoidAffine, Univariate

IMAGE, POINTS, CONTEXT = (4, 2, 2), (5,), 3


def normal(*shape: int, purpose: str = "x") -> Tensor:
    return Streams(0, purpose, 0, shape[0], dtype=torch.float64).normal(*shape[1:])


def coupling(univariate: Univariate, *, swap: bool = False) -> Coupling:
    network = MLPConditioner(2 if not swap else 3, univariate.parameters * (3 if not swap else 2), [16, 16], CONTEXT)
    return Coupling(5, 3 if swap else 2, network, univariate, swap=swap)


def levels() -> MultiScale:
    affine = conv_coupling(4, Affine(), 8, 1, CONTEXT)
    deeper = Compose([ActNorm(2), conv_coupling(2, Affine(), 8, 0, CONTEXT)])
    return MultiScale([affine, deeper], [(4, 2, 2), (2, 2, 2)])


TRANSFORMS: dict[str, tuple[Callable[[], Transform], tuple[int, ...]]] = {
    "actnorm": (lambda: ActNorm(5), POINTS),
    "actnorm-image": (lambda: ActNorm(4), IMAGE),
    "lu": (lambda: LULinear(5, index=1), POINTS),
    "lu-identity": (lambda: LULinear(5, identity=True), POINTS),
    "lu-image": (lambda: LULinear(4), IMAGE),
    "plain-image": (lambda: PlainLinear(4), IMAGE),
    "permutation": (lambda: Permutation.random(5, 0), POINTS),
    "reverse-image": (lambda: Permutation.reverse(4), IMAGE),
    "squeeze": (Squeeze, (1, 4, 4)),
    "flatten": (lambda: Flatten(IMAGE), IMAGE),
    "logit": (lambda: Logit(0.05), IMAGE),
    "additive": (lambda: coupling(Additive()), POINTS),
    "affine": (lambda: coupling(Affine()), POINTS),
    "affine-swap": (lambda: coupling(Affine(), swap=True), POINTS),
    "sigmoid-affine": (lambda: coupling(SigmoidAffine()), POINTS),
    "spline": (lambda: coupling(RationalQuadratic(6, 3.0)), POINTS),
    "affine-image": (lambda: conv_coupling(4, Affine(), 8, 0, CONTEXT), IMAGE),
    "spline-image": (lambda: conv_coupling(4, RationalQuadratic(5), 8, 1, CONTEXT), IMAGE),
    "attention-image": (lambda: conv_coupling(4, Affine(), 16, 1, CONTEXT, attention=True), IMAGE),
    "maf": (lambda: MaskedAutoregressive(5, Affine(), [12, 9], CONTEXT), POINTS),
    "maf-narrow": (lambda: MaskedAutoregressive(5, Affine(), [3, 2], CONTEXT), POINTS),
    "maf-one": (lambda: MaskedAutoregressive(1, Affine(), [4], CONTEXT), (1,)),
    "spline-ar": (lambda: MaskedAutoregressive(5, RationalQuadratic(6, 3.0), [16], CONTEXT), POINTS),
    "iaf": (lambda: Inverse(MaskedAutoregressive(5, Affine(), [12, 9], CONTEXT)), POINTS),
    "context-affine": (lambda: ContextAffine(4, CONTEXT), IMAGE),
    "multi-scale": (levels, IMAGE),
    "compose": (lambda: Compose([ActNorm(5), coupling(Affine()), LULinear(5), coupling(Additive())]), POINTS),
}


def made(name: str) -> tuple[Transform, Tensor, Tensor]:
    """The transform in float64 with parameters that are not those of its start, data and context."""
    make, shape = TRANSFORMS[name]
    transform = make().double()
    with torch.no_grad():
        for index, p in enumerate(transform.parameters()):
            size = 0.3 if p.ndim < 2 else 0.7 / p[0].numel() ** 0.5  # θ of the size of x, as after training
            p += size * normal(1, *p.shape, purpose=f"parameter {index}")[0]
    x = normal(6, *shape)
    return transform, torch.sigmoid(x) if name == "logit" else x, normal(6, CONTEXT, purpose="context")


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_inverse_is_the_inverse(name):
    """To 1e-10 in float64 and 1e-5 in float32, relative to the largest value."""
    transform, x, context = made(name)
    for dtype, slack in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        f, y, c = transform.to(dtype), x.to(dtype), context.to(dtype)
        with torch.no_grad():
            z, log_det = f(y, c)
            again, back = f.inverse_and_log_det(z, c)
            assert (f.inverse(z, c) - y).abs().max() <= slack * max(1.0, y.abs().max().item())
        assert torch.allclose(again, y, atol=slack, rtol=slack)
        assert torch.allclose(back, -log_det, atol=100 * slack, rtol=slack)
        assert log_det.shape == (6,)
        assert log_det.dtype == z.dtype == dtype


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_log_determinant_is_that_of_the_jacobian(name):
    transform, x, context = made(name)
    log_det = transform.log_abs_det_jacobian(x, context)
    for i in range(3):
        one = context[i : i + 1]
        J = torch.autograd.functional.jacobian(lambda v, one=one: transform(v[None], one)[0].flatten(), x[i])
        exact = torch.linalg.slogdet(J.reshape(x[i].numel(), -1))[1]
        assert log_det[i].item() == pytest.approx(exact.item(), abs=1e-10)


@pytest.mark.parametrize("name", [name for name, (make, _) in TRANSFORMS.items() if list(make().parameters())])
def test_every_parameter_gets_a_gradient(name):
    """An inverse autoregressive flow learns through the steps of its inverse."""
    transform, x, context = made(name)
    value, log_det = transform(x, context)
    (value.square().sum() + log_det.sum()).backward()
    for key, p in transform.named_parameters():
        assert p.grad is not None, key
        assert torch.isfinite(p.grad).all(), key


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("size", [1e3, 1e8])
def test_values_far_outside_have_finite_gradients(name, size):
    transform, x, context = made(name)
    far = (size * x).requires_grad_()
    z, log_det = transform(far, context)
    assert torch.isfinite(z).all()
    assert torch.isfinite(log_det).all()
    (z.sum() + log_det.sum()).backward()
    assert torch.isfinite(far.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in transform.parameters() if p.grad is not None)


def test_a_spline_at_its_ends_and_beyond():
    """Knots, the ends and what lies outside: continuous, with slope 1 there; its inverse agrees; NaN nowhere."""
    spline = RationalQuadratic(6, 3.0)
    theta = normal(1, 17, purpose="theta")[0].view(17, 1, 1).expand(17, 1, 9)
    x = torch.tensor([-1e30, -3.0 - 1e-9, -3.0, -3.0 + 1e-9, 0.0, 3.0 - 1e-9, 3.0, 3.0 + 1e-9, 1e30]).double()
    x = x.view(1, -1).requires_grad_()
    z, log_slope = spline.forward(x, theta)
    assert torch.allclose(z[0, [0, 1, 2, 6, 7, 8]], x[0, [0, 1, 2, 6, 7, 8]])
    assert torch.allclose(log_slope[0, [0, 1, 2, 3, 5, 6, 7, 8]], torch.zeros(8).double(), atol=1e-7)
    assert torch.allclose(spline.inverse(z, theta), x)
    (z.sum() + log_slope.sum()).backward()
    assert torch.isfinite(x.grad).all()
    knots = spline.knots(theta)[:, :, 0, 0]
    at, slope = spline.forward(knots[0][None], theta[..., :7])
    assert torch.allclose(at[0], knots[1], atol=1e-12)
    assert torch.allclose(slope[0].exp(), knots[2], atol=1e-12)


@pytest.mark.parametrize("univariate", [Additive(), Affine(), SigmoidAffine(), RationalQuadratic()])
def test_parameters_of_zero_are_the_identity(univariate):
    x = 2.0 * normal(9, 4)
    z, log_slope = univariate.forward(x, torch.zeros(univariate.parameters, 9, 4, dtype=torch.float64))
    assert torch.allclose(z, x, atol=1e-12)
    assert log_slope is None or torch.allclose(log_slope, torch.zeros_like(x), atol=1e-12)


def test_squeeze_and_its_orders():
    """Four pixels of a block become channels; the checkerboard order separates the two colours of the board."""
    x = torch.arange(16.0).view(1, 1, 4, 4)
    z = Squeeze()(x)[0]
    assert z[0, :, 0, 0].tolist() == [0.0, 1.0, 4.0, 5.0]
    colour = ((torch.arange(4)[:, None] + torch.arange(4)) % 2).float()[None, None]
    board = Squeeze()(colour)[0][:, list(ORDERS["checkerboard"])]
    assert (board[:, :2] == 0).all()
    assert (board[:, 2:] == 1).all()


def test_a_determinant_may_be_negative():
    """A reflection: the plain matrix and its decomposition agree, where ``logdet`` is NaN."""
    plain, lu = PlainLinear(3).double(), LULinear(3).double()
    with torch.no_grad():
        plain.weight.copy_(torch.diag(torch.tensor([2.0, -1.0, 0.5])))
        assert torch.isnan(torch.logdet(plain.matrix(torch.float64)))
        assert plain.log_abs_det(torch.float64).item() == pytest.approx(0.0)
        plain.weight.copy_(lu.matrix(torch.float64))
    x = normal(4, 3, 2, 2)
    for a, b in zip(plain(x), lu(x), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_every_matrix_of_an_lu_layer_is_invertible():
    """Whatever the optimiser does: |det W| = exp Σ s exactly, for parameters far from the start."""
    lu = LULinear(6).double()
    with torch.no_grad():
        for p in lu.parameters():
            p += 2.0 * normal(1, *p.shape, purpose="far")[0]
        exact = torch.linalg.slogdet(lu.matrix(torch.float64))[1]
    assert lu.log_abs_det(torch.float64).item() == pytest.approx(exact.item(), abs=1e-9)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Coupling(3, 0, torch.nn.Identity(), Affine()), "passing = 0 of 3"),
        (lambda: RationalQuadratic(bins=1), "bins = 1"),
        (lambda: RationalQuadratic(bound=0.0), "bound = 0.0"),
        (lambda: Logit(0.5), "alpha = 0.5"),
        (lambda: MLPConditioner(2, 2, []), r"hidden = \[\]"),
    ],
)
def test_bad_arguments_are_named(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


@pytest.mark.parametrize("name", ["spline", "spline-image", "spline-ar"])
def test_splines_in_parts_are_the_whole(name, monkeypatch):
    transform, x, context = made(name)
    z, log_det = transform(x, context)
    monkeypatch.setattr("zoo_flows.spline.AT_ONCE", 2 * x[0].numel())  # two rows of six, or a few
    with torch.no_grad():
        assert torch.allclose(transform(x, context)[0], z, atol=1e-14)  # fewer rows, other vector instructions
        assert torch.allclose(transform(x, context)[1], log_det, atol=1e-14)
        assert torch.allclose(transform.inverse(z, context), x, atol=1e-10)
        assert transform(x[:0], context[:0])[0].shape == x[:0].shape
