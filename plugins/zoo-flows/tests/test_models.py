"""What a flow promises: a density, its samples, codes, a start that is remembered, conditions, images."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from torch.utils.flop_counter import FlopCounterMode

from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import ConditionError, IncompatibleError
from zoo_core.interfaces import Batch, Condition, DataSet, Streams
from zoo_core.loading import weights_file
from zoo_core.plots.latent import interpolation
from zoo_core.sampling import sample
from zoo_core.testing import quadrature
from zoo_core.training.likelihood import NegativeLogLikelihood
from zoo_flows.actnorm import ActNorm
from zoo_flows.autoregressive import MaskedAutoregressive
from zoo_flows.autoregressive_flows import IAF, MAF
from zoo_flows.flow import Flow
from zoo_flows.glow import Glow
from zoo_flows.latent_space import attribute_direction, change_attribute, interpolate
from zoo_flows.nsf import NSF
from zoo_flows.plots import bent_grid, bent_grids, temperatures
from zoo_flows.realnvp import RealNVP
from zoo_flows.sampler import Tempered
from zoo_flows.spline import RationalQuadratic
from zoo_flows.univariate import Affine
from zoo_metrics.likelihood import BitsPerDimension

SMALL = {"hidden": [16]}
VECTORS = {
    "realnvp": lambda: RealNVP([2], layers=4, **SMALL),
    "nsf": lambda: NSF([2], layers=2, **SMALL),
    "nsf-ar": lambda: NSF([2], layers=2, autoregressive=True, **SMALL),
    "maf": lambda: MAF([2], layers=3, **SMALL),
    "maf-linear": lambda: MAF([2], layers=3, mixing="linear", **SMALL),
    "iaf": lambda: IAF([2], layers=2, **SMALL),
    "maf-conditional": lambda: MAF([2], layers=2, classes=3, **SMALL),
    "nsf-logistic": lambda: NSF([2], layers=2, base="logistic", **SMALL),
}
IMAGES = {
    "glow": lambda **o: Glow([1, 8, 8], steps=2, width=8, **o),
    "glow-spline": lambda **o: Glow([1, 8, 8], steps=2, width=8, coupling="spline", **o),
    "glow-plain": lambda **o: Glow([2, 4, 4], levels=1, steps=2, width=8, lu=False, coupling="additive", **o),
    "glow-attention": lambda **o: Glow(
        [1, 8, 8], steps=[1, 2], width=[8, 16], blocks=[0, 1], attention=[1], coupling="spline", **o
    ),
    "realnvp": lambda **o: RealNVP([1, 8, 8], layers=6, width=8, blocks=1, **o),
}


def stirred(model: Flow, size: float = 0.3) -> Flow:
    """Started, in float64, with parameters that are not those of its start."""
    model = model.double()
    x = data(model, 64)
    labels = None if model.classes is None else Condition(label=torch.arange(64) % model.classes)
    model.start(Batch(x, labels), Streams(0, "start", 0, 64, dtype=x.dtype))
    with torch.no_grad():
        for index, p in enumerate(model.parameters()):
            scale = size if p.ndim < 2 else 2 * size / p[0].numel() ** 0.5
            p += scale * Streams(0, f"parameter {index}", 0, 1, dtype=p.dtype).normal(*p.shape)[0]
    return model.eval().requires_grad_(False)


def data(model: Flow, n: int) -> torch.Tensor:
    streams = Streams(0, "data", 0, n, dtype=torch.float64)
    shape = model.space.sizes
    return streams.uniform(*shape) if model.space.kind == "image" else 2.0 * streams.normal(*shape) + 1.0


@pytest.mark.long
@pytest.mark.parametrize("name", VECTORS)
def test_densities_integrate_to_one(name):
    """Stirred less than elsewhere: a spline's density can have ridges too narrow for 600,000 nodes."""
    model = stirred(VECTORS[name](), 0.15)
    with torch.inference_mode():
        x = sample(model, 500, sampler="direct", batch_size=500)
        cells = quadrature.integrate(lambda v: model.log_prob(v.double()), x)
    assert cells.total == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("name", VECTORS)
def test_codes_samples_and_their_densities_agree(name):
    model = stirred(VECTORS[name]())
    streams = Streams(0, "sample", 0, 20, dtype=torch.float64)
    labels = None if model.classes is None else Condition(label=torch.arange(20) % 3)
    x, log_prob = model.draw_with_log_prob(streams, condition=labels)
    assert torch.allclose(log_prob, model.log_prob(x, condition=labels), atol=1e-8)
    assert torch.allclose(x, model.draw(streams.restarted(), condition=labels))
    z = model.encode(x, condition=labels)
    assert torch.allclose(z, model.draw_latent(streams.restarted()), atol=1e-9)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("classes", [None, 3])
def test_image_flows_are_exact(name, classes):
    """log p from the autograd Jacobian of the whole model, and decode as the inverse of encode."""
    model = stirred(IMAGES[name](classes=classes), 0.1)
    x = data(model, 2)
    labels = None if classes is None else Condition(label=torch.tensor([0, 2]))
    z = model.encode(x, condition=labels)
    assert z.shape == (2, model.dimensions)
    assert torch.allclose(model.decode(z, condition=labels), x, atol=1e-9)
    row = None if labels is None else labels.rows(slice(0, 1))
    J = torch.autograd.functional.jacobian(lambda v: model.encode(v[None], condition=row)[0], x[0])
    log_det = torch.linalg.slogdet(J.reshape(model.dimensions, -1))[1]
    expected = -0.5 * z[0].square().sum() - 0.5 * model.dimensions * math.log(2 * math.pi) + log_det
    assert model.log_prob(x, condition=labels)[0].item() == pytest.approx(expected.item(), abs=1e-8)


def test_the_uniform_model_has_eight_bits_per_dimension():
    """The logit of uniform values is logistic: with α = 0 and that base the density is 1 everywhere on the cube."""
    model = MAF([1, 4, 4], layers=1, hidden=[8], base="logistic", alpha=0.0).double().eval()
    images = DataSet("test", "test", torch.randint(0, 256, (50, 1, 4, 4), dtype=torch.uint8), levels=256)
    metric = BitsPerDimension()
    state = metric.init(model, images)
    x = Prepared(model, images).rows(torch.arange(50)).x
    result = metric.compute(metric.update(state, model, Batch(x), Streams(0, "evaluation", 0, 50)))
    assert result.value == pytest.approx(8.0, abs=1e-9)
    assert result.stderr < 1e-9


def test_variational_dequantisation_is_a_bound_of_probabilities():
    """Of a uniform density, P(v) = 1/m^D for every v: the bound lies below and near: the noise is nearly uniform."""
    model = Glow([1, 4, 4], levels=1, steps=1, width=4, alpha=0.0, base="logistic", dequantisation={"levels": 4})
    model = model.double().eval().requires_grad_(False)
    levels = model.transform.transforms[1].levels[0]
    levels.transforms = torch.nn.ModuleList([levels.transforms[0]])  # no step: the uniform density
    v = Streams(0, "levels", 0, 400).integers(4, 1, 4, 4).double() / 3.0
    bound = model.log_prob(v, streams=Streams(0, "evaluation", 0, 400, dtype=torch.float64))
    exact = -16 * math.log(4.0)
    assert bound.mean().item() < exact
    assert bound.mean().item() == pytest.approx(exact, abs=0.2)
    assert model.discrete
    assert model.log_prob_is == "bound"
    assert torch.allclose(model.decode(model.encode(v)), v)


def test_a_model_that_was_loaded_is_not_started_again():
    """Trained, saved, loaded: the first batch of a second training has the same density, in train mode too."""
    model, x = NSF([2], layers=2, **SMALL), torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    objective, streams = NegativeLogLikelihood(), Streams(0, "train/0", 0, 64)
    untouched = {k: v.clone() for k, v in model.state_dict().items()}
    model.eval().log_prob(x)
    model.decode(x)
    assert all(torch.equal(v, untouched[k]) for k, v in model.state_dict().items())  # looking starts nothing
    optimiser = torch.optim.Adam(model.train().parameters(), 1e-2)
    for _ in range(5):
        (loss,) = objective.losses(model, Batch(x), streams)
        optimiser.zero_grad()
        loss.value.backward()
        optimiser.step()
    other = NSF([2], layers=2, **SMALL)
    other.load_state_dict(weights_file.parse(weights_file.serialise(model.state_dict()), name="test"))
    shifted = 10.0 * x + 5.0
    before = -other.eval().log_prob(shifted).mean()
    (loss,) = objective.losses(other.train(), Batch(shifted), streams)
    assert torch.equal(loss.value, before)
    assert torch.equal(model.log_prob(x), other.log_prob(x))


def test_actnorm_starts_with_mean_zero_and_variance_one():
    x = 3.0 * torch.randn(50, 4, 5, 5, generator=torch.Generator().manual_seed(0)) + 2.0
    x[:, 3] = 1.0  # the border of MNIST: constant, and not blown up to infinity
    layer = ActNorm(4)
    z = layer.start(x)
    assert z.mean((0, 2, 3)).abs().max() < 1e-4
    assert torch.allclose(z[:, :3].std((0, 2, 3)), torch.ones(3), atol=1e-3)
    assert torch.isfinite(layer.log_scale).all()
    kept = layer.shift.clone()
    layer.start(100.0 * x)
    assert torch.equal(kept, layer.shift)


@pytest.mark.parametrize("univariate", [Affine(), RationalQuadratic(5, 3.0)], ids=["affine", "spline"])
def test_the_incremental_inverse_is_the_naive_one_and_cheaper(univariate):
    """Every weight is used once: the products of all d steps are no more than those of one evaluation."""
    d = 24
    layer = MaskedAutoregressive(d, univariate, [48, 31]).double()
    with torch.no_grad():
        for index, p in enumerate(layer.parameters()):
            p += 0.2 * Streams(0, f"parameter {index}", 0, 1, dtype=p.dtype).normal(*p.shape)[0]
    z = Streams(0, "z", 0, 10, dtype=torch.float64).normal(d)
    counts = []
    with torch.no_grad():
        for run in (lambda: layer(z), lambda: layer.inverse(z), lambda: layer.naive_inverse(z)):
            with FlopCounterMode(display=False) as counter:
                run()
            counts.append(counter.get_total_flops())
        assert torch.allclose(layer.inverse(z), layer.naive_inverse(z), atol=1e-9)
    one, incremental, naive = counts
    assert incremental <= one
    assert naive == d * one
    assert torch.allclose(layer.inverse(z), layer.naive_inverse(z), atol=1e-9)  # with gradients, another way of storing


def test_a_conditional_flow_without_a_label_is_the_mixture():
    model = stirred(MAF([2], layers=2, classes=3, **SMALL))
    x = data(model, 8)
    each = torch.stack([model.log_prob(x, condition=Condition(label=torch.full((8,), y))) for y in range(3)])
    assert torch.allclose(model.log_prob(x), torch.logsumexp(each, 0) - math.log(3.0))
    assert not torch.allclose(each[0], each[1])
    for call in (model.encode, model.decode):
        with pytest.raises(ConditionError, match="needs a condition 'label'"):
            call(x)
    with pytest.raises(ConditionError):
        model.log_prob(x, condition=Condition(label=torch.full((8,), 3)))


@pytest.mark.parametrize(
    "make",
    [
        IMAGES["glow-attention"],
        IMAGES["realnvp"],
        lambda **o: RealNVP([2], layers=4, **SMALL, **o),
        lambda **o: MAF([2], layers=3, **SMALL, **o),
    ],
    ids=["glow-attention", "realnvp-image", "realnvp", "maf"],
)
def test_a_conditional_flow_starts_as_the_unconditional_one(make):
    plain, labelled = stirred(make()), make(classes=3).double()
    labelled.load_state_dict(labelled.started_from(plain.state_dict()), strict=True)
    x = data(plain, 6)
    label = Condition(label=torch.arange(6) % 3)
    assert torch.allclose(labelled.log_prob(x, condition=label), plain.log_prob(x), atol=1e-12)
    labelled.log_prob(x, condition=label).sum().backward()
    heard = [p.grad for name, p in labelled.named_parameters() if ".of_context." in name]
    assert heard
    assert all(g is not None and g.abs().max() > 0 for g in heard)  # it can learn to listen at once


def test_temperature():
    model = stirred(NSF([2], layers=2, **SMALL))
    streams = Streams(0, "sample", 0, 30, dtype=torch.float64)
    assert torch.equal(Tempered(1.0).sample(model, streams), model.draw(streams.restarted()))
    cold = Tempered(0.0).sample(model, streams.restarted())
    assert torch.allclose(cold, cold[:1].expand_as(cold))
    with pytest.raises(ValueError, match=r"temperature = -1"):
        Tempered(-1.0)


def test_latent_space():
    model = stirred(RealNVP([2], layers=4, **SMALL))
    x, has = data(model, 40), torch.arange(40) % 2 == 0
    direction = attribute_direction(model, x, has)
    assert torch.allclose(change_attribute(model, x, direction, 0.0), x, atol=1e-9)
    moved = model.encode(change_attribute(model, x[~has], direction)).mean(0)
    assert torch.allclose(moved, model.encode(x[has]).mean(0), atol=1e-9)
    way = interpolate(model, x[:3], x[3:6], 5)
    assert way.shape == (3, 5, 2)
    assert torch.allclose(way[:, 0], x[:3], atol=1e-9)
    assert torch.allclose(way[:, -1], x[3:6], atol=1e-9)
    with pytest.raises(ValueError, match="40 of 40"):
        attribute_direction(model, x, torch.ones(40, dtype=torch.bool))


@pytest.mark.long
def test_plots():
    model = stirred(NSF([2], layers=2, **SMALL))
    grids = bent_grids(model)
    assert torch.allclose(grids[-1].flatten(0, 1), model.decode(grids[0].flatten(0, 1).double()).float(), atol=1e-4)
    for plot in (bent_grid, temperatures):
        figure = Figure()
        plot(model, figure, 0)
        assert len(figure.axes) >= 4
    glow = stirred(IMAGES["glow"](classes=3), 0.1)
    for plot in (temperatures, interpolation):  # a conditional flow shows its classes in turn
        plot(glow, Figure(), 0)
    with pytest.raises(IncompatibleError, match="bent grid"):
        bent_grids(glow)


def test_half_precision_networks_leave_the_map_invertible():
    """Under bfloat16 autocast only the networks' products are rounded: decode(encode(x)) is x to float32."""
    model = stirred(IMAGES["glow"](), 0.1).float()
    x = data(model, 4).float()
    with torch.autocast("cpu", torch.bfloat16):
        z = model.encode(x)
        assert z.dtype == torch.float32
        assert torch.allclose(model.decode(z), x, atol=1e-4)


def test_the_example_runs():
    example = Path(__file__).parents[3] / "examples" / "change_of_variables.py"
    runpy.run_path(str(example), run_name="__main__")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: NSF([1]), "coupling layers need 2 dimensions"),
        (lambda: RealNVP([1]), "at least 2 dimensions"),
        (lambda: MAF([2, 2]), r"shape = \[2, 2\]"),
        (lambda: MAF([2], layers=0), "layers = 0"),
        (lambda: MAF([2], mixing="none"), "mixing = 'none'"),
        (lambda: MAF([2], base="cauchy"), "base = 'cauchy'"),
        (lambda: Glow([1, 10, 10], levels=2), "levels = 2"),
        (lambda: Glow([4]), "expected an image"),
        (lambda: Glow([1, 8, 8], coupling="cubic"), "coupling = 'cubic'"),
        (lambda: Glow([1, 8, 8], steps=[2, 2, 2]), r"\[2, 2, 2\]: 3 numbers; expected one, or one for each of the 2"),
        (lambda: Glow([1, 8, 8], blocks=1, width=16, attention=[2]), r"attention = \[2\] names a level"),
        (lambda: Glow([1, 8, 8], blocks=0, width=16, attention=[0]), "width = 16 and blocks = 0; attention needs"),
        (lambda: Glow([1, 8, 8], dequantisation={"kind": 1}), "dequantisation.kind"),
    ],
)
def test_bad_configurations_are_named(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()
