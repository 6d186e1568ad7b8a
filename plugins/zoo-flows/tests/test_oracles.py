"""The same layers with the same parameters in zuko and nflows give the same numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, distributions, nn

from zoo_core.interfaces import Streams
from zoo_flows.actnorm import ActNorm
from zoo_flows.autoregressive import MaskedAutoregressive
from zoo_flows.coupling import Coupling
from zoo_flows.linear import LULinear
from zoo_flows.networks import MLPConditioner
from zoo_flows.spline import RationalQuadratic
from zoo_flows.transform import Transform
from zoo_flows.univariate import Affine, Univariate

D, N = 6, 50


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    """Importing zuko switches off the argument checks of every distribution in the process; they come back here."""
    kind = distributions.Distribution
    validate, constraints = kind._validate_args, kind.__dict__.get("arg_constraints")
    yield
    kind._validate_args, kind.arg_constraints = validate, constraints


def normal(*shape: int, purpose: str = "x") -> Tensor:
    return Streams(0, purpose, 0, shape[0], dtype=torch.float64).normal(*shape[1:])


def stirred(transform: Transform) -> Transform:
    transform = transform.double()
    with torch.no_grad():
        for index, p in enumerate(transform.parameters()):
            p += 0.4 * normal(1, *p.shape, purpose=f"parameter {index}")[0]
    return transform.requires_grad_(False)


def coupling(univariate: Univariate) -> Coupling:
    network = MLPConditioner(2, univariate.parameters * 4, [16])
    transform = stirred(Coupling(D, 2, network, univariate))
    assert isinstance(transform, Coupling)
    return transform


def zuko_affine(theta: Tensor, reach: float = 3.0) -> distributions.Transform:
    """zuko's map with our bound on the scale: its own is another function of the same number."""
    zuko = pytest.importorskip("zuko")
    its = zuko.transforms.MonotonicAffineTransform(theta[0], theta[1])
    its.log_scale = reach * torch.tanh(theta[1] / reach)
    its.scale = its.log_scale.exp()
    return its


def zuko_spline(theta: Tensor, ours: RationalQuadratic) -> distributions.Transform:
    """zuko's spline through our knots."""
    zuko = pytest.importorskip("zuko")
    knots = ours.knots(theta)
    its = zuko.transforms.MonotonicRQSTransform(theta[:1].movedim(0, -1), theta[:1].movedim(0, -1), theta[:0], 1.0)
    its.horizontal, its.vertical, its.derivatives = (each.movedim(0, -1) for each in knots)
    return its


def check(ours: Transform, theirs: distributions.Transform, x: Tensor) -> None:
    z, log_det = ours(x)
    its, its_log_det = theirs.call_and_ladj(x)
    assert torch.allclose(z, its, atol=1e-12)
    assert torch.allclose(log_det, its_log_det.sum(1), atol=1e-11)
    assert torch.allclose(ours.inverse(z), theirs.inv(z), atol=1e-9)


@pytest.mark.parametrize("univariate", [Affine(), RationalQuadratic(6, 3.0)], ids=["affine", "spline"])
def test_coupling_is_zukos(univariate):
    zuko = pytest.importorskip("zuko")
    ours = coupling(univariate)

    def meta(x_a: Tensor) -> distributions.Transform:
        theta = ours._theta(x_a, torch.empty(len(x_a), 4, dtype=x_a.dtype), None)
        return zuko_affine(theta) if isinstance(univariate, Affine) else zuko_spline(theta, univariate)

    mask = torch.arange(D) < 2
    check(ours, zuko.transforms.CouplingTransform(meta, mask), 2.0 * normal(N, D))


@pytest.mark.parametrize("univariate", [Affine(), RationalQuadratic(6, 3.0)], ids=["affine", "spline"])
def test_autoregressive_layers_are_zukos(univariate):
    """Its inverse takes d passes of the whole network, ours one of each weight."""
    zuko = pytest.importorskip("zuko")
    ours = stirred(MaskedAutoregressive(D, univariate, [16, 16]))

    def meta(x: Tensor) -> distributions.Transform:
        theta = ours._theta(x, None)
        return zuko_affine(theta) if isinstance(univariate, Affine) else zuko_spline(theta, univariate)

    check(ours, zuko.transforms.AutoregressiveTransform(meta, passes=D), 2.0 * normal(N, D))


def test_a_spline_is_that_of_nflows():
    """From the same unconstrained numbers, inside and outside, in both directions."""
    module = pytest.importorskip("nflows.transforms.splines.rational_quadratic")
    ours = RationalQuadratic(7, 2.5)
    theta, x = 2.0 * normal(20, N, D, purpose="theta"), 2.0 * normal(N, D)
    one = math.log(math.expm1(1.0 - ours.least))  # our slopes begin at 1, theirs at softplus(0)
    widths, heights, slopes = theta.movedim(0, -1).split([7, 7, 6], -1)
    parts = {"tail_bound": 2.5}
    z, log_slope = module.unconstrained_rational_quadratic_spline(x, widths, heights, slopes + one, **parts)
    mine, mine_log_slope = ours.forward(x, theta)
    assert torch.allclose(mine, z, atol=1e-12)
    assert torch.allclose(mine_log_slope, log_slope, atol=1e-10)
    back, _ = module.unconstrained_rational_quadratic_spline(x, widths, heights, slopes + one, inverse=True, **parts)
    assert torch.allclose(ours.inverse(x, theta), back, atol=1e-9)


@pytest.mark.filterwarnings("ignore:Inputs to the softmax are not scaled down")  # of a network with no hidden_features
def test_a_spline_coupling_layer_is_that_of_nflows():
    module = pytest.importorskip("nflows.transforms.coupling")
    univariate = RationalQuadratic(6, 3.0)
    ours = coupling(univariate)
    shift = torch.zeros(univariate.parameters, dtype=torch.float64)
    shift[2 * univariate.bins :] = math.log(math.expm1(1.0 - univariate.least))

    class Network(nn.Module):
        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            return ours.conditioner(x) + shift.repeat(4)

    theirs = module.PiecewiseRationalQuadraticCouplingTransform(
        (torch.arange(D) >= 2).int(), lambda *_: Network(), num_bins=6, tails="linear", tail_bound=3.0
    )
    x = 2.0 * normal(N, D)
    z, log_det = ours(x)
    its, its_log_det = theirs(x)
    assert torch.allclose(z, its, atol=1e-12)
    assert torch.allclose(log_det, its_log_det, atol=1e-11)
    assert torch.allclose(ours.inverse(z), theirs.inverse(z)[0], atol=1e-9)


@pytest.mark.parametrize("shape", [(D,), (D, 3, 2)])
def test_actnorm_is_that_of_nflows(shape):
    module = pytest.importorskip("nflows.transforms.normalization")
    ours, theirs = stirred(ActNorm(D)), module.ActNorm(D).double().eval()
    assert isinstance(ours, ActNorm)
    theirs.log_scale.data = ours.log_scale.data
    theirs.shift.data = ours.shift.data * ours.log_scale.exp()
    x = normal(N, *shape)
    z, log_det = ours(x)
    its, its_log_det = theirs(x)
    assert torch.allclose(z, its)
    assert torch.allclose(log_det, its_log_det)
    assert torch.allclose(ours.inverse(z), theirs.inverse(z)[0])


@pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated")
def test_an_lu_layer_is_that_of_nflows():
    module = pytest.importorskip("nflows.transforms.lu")
    ours, theirs = stirred(LULinear(D, identity=True)), module.LULinear(D).double()
    assert isinstance(ours, LULinear)
    with torch.no_grad():
        theirs.lower_entries.copy_(ours.lower[theirs.lower_indices[0], theirs.lower_indices[1]])
        theirs.upper_entries.copy_(ours.upper[theirs.upper_indices[0], theirs.upper_indices[1]])
        theirs.unconstrained_upper_diag.copy_(torch.log(torch.expm1(ours.log_diagonal.exp() - theirs.eps)))
    x = normal(N, D)
    z, log_det = ours(x)
    its, its_log_det = theirs(x)
    assert torch.allclose(z, its)
    assert torch.allclose(log_det, its_log_det)
    assert torch.allclose(ours.inverse(z), theirs.inverse(z)[0])
