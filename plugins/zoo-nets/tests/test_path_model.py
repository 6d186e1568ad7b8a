"""A network on a path: predictions, currencies, classes, and weights that carry over from path to path."""

from __future__ import annotations

import math

import pytest
import torch

import zoo_core
from zoo_core.errors import ConditionError
from zoo_core.interfaces import Condition, Prediction
from zoo_core.paths import (
    CosinePath,
    GaussianPath,
    LinearPath,
    SubVariancePreserving,
    VariancePreserving,
    from_prediction,
    to_prediction,
)
from zoo_nets.path_model import PathModel

MLP = {"kind": "mlp", "width": 16, "depth": 2}
CURRENCIES = ["noise", "data", "v", "velocity", "score"]


class Straight(GaussianPath):
    """α = 1 − t, σ = t, with derivatives: as simple as a path can be."""

    def alpha(self, t: float) -> float:
        return 1.0 - t

    def sigma(self, t: float) -> float:
        return t

    def alpha_dot(self, t: float) -> float:
        return -1.0

    def sigma_dot(self, t: float) -> float:
        return 1.0


class Exploding(Straight):
    """α = 1, σ = 50t: far from variance-preserving."""

    def alpha(self, t: float) -> float:
        return 1.0

    def sigma(self, t: float) -> float:
        return 50.0 * t

    def alpha_dot(self, t: float) -> float:
        return 0.0

    def sigma_dot(self, t: float) -> float:
        return 50.0


def model_of(path=None, prediction="velocity", **options):  # type: ignore[no-untyped-def]
    made = PathModel(path or Straight(), [2], MLP, prediction, **options).double()
    source = torch.Generator().manual_seed(0)
    for name, p in made.named_parameters():
        if "class_embedding" not in name:
            p.data.normal_(std=0.4, generator=source)
    return made


@pytest.fixture
def states():
    source = torch.Generator().manual_seed(1)
    x, noise = (torch.randn(5, 2, dtype=torch.float64, generator=source) for _ in range(2))
    return x, noise, torch.tensor([0.05, 0.3, 0.5, 0.8, 0.95], dtype=torch.float64)


@pytest.mark.parametrize("preconditioning", ["angular", "none"])
@pytest.mark.parametrize("path", [Straight(), Exploding()])
@pytest.mark.parametrize("currency", CURRENCIES)
def test_answer_and_prediction_say_the_same(currency, path, preconditioning, states):
    """to_prediction of the answer is the prediction, to 1e-9 of float64 (α and σ range over a factor of 20)."""
    x, noise, t = states
    model = model_of(path, currency, preconditioning=preconditioning)
    x_t = path.diffuse(x, noise, t)
    told, said = model.predict(x_t, t), to_prediction(path, currency, x_t, t, model.answer(x_t, t))
    assert torch.allclose(told.data, said.data, rtol=1e-9, atol=1e-9)
    assert torch.allclose(told.noise, said.noise, rtol=1e-9, atol=1e-9)
    alpha, sigma = path.coefficients(t, like=x)
    assert torch.allclose(alpha * told.data + sigma * told.noise, x_t, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("path", [Straight(), Exploding()])
@pytest.mark.parametrize("currency", CURRENCIES)
def test_the_target_is_worth_the_data_and_the_noise(currency, path, states):
    x, noise, t = states
    target = model_of(path, currency).target(x, noise, t)
    found = to_prediction(path, currency, path.diffuse(x, noise, t), t, target)
    assert torch.allclose(found.data, x, rtol=1e-9, atol=1e-9)
    assert torch.allclose(found.noise, noise, rtol=1e-9, atol=1e-9)
    assert torch.allclose(from_prediction(path, currency, found, t), target, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("preconditioning", ["angular", "none"])
def test_one_time_for_all_is_one_per_sample(preconditioning, states):
    x, _, _ = states
    model = model_of(preconditioning=preconditioning)
    one, each = model.predict(x, 0.37), model.predict(x, torch.full((5,), 0.37, dtype=torch.float64))
    assert torch.allclose(one.data, each.data, atol=1e-12)
    assert torch.allclose(one.noise, each.noise, atol=1e-12)


def test_angular_predictions_at_the_ends():
    """θ = 0: the state is the data; θ = π/2: it is the noise, whatever the network says."""
    model, x = model_of(), torch.ones(3, 2, dtype=torch.float64)
    assert torch.equal(model.predict(x, 0.0).data, x)
    assert torch.allclose(model.predict(x, 1.0).noise, x, atol=1e-15)
    assert torch.isfinite(model.predict(x, 1.0).data).all()


def test_angular_weights_do_not_know_the_path(states):
    """States of the same angle on two paths, α_s·r and σ_s·r: the same prediction of data and noise, to 1e-12."""
    x, noise, _ = states
    straight, exploding = model_of(Straight()), model_of(Exploding())
    exploding.load_state_dict(straight.state_dict())
    t = 0.4
    s = math.tan(math.atan2(t, 1 - t)) / 50.0
    a = straight.predict(straight.path.diffuse(x, noise, t), t)
    b = exploding.predict(exploding.path.diffuse(x, noise, s), s)
    assert torch.allclose(a.data, b.data, atol=1e-12)
    assert torch.allclose(a.noise, b.noise, atol=1e-12)


def test_labels_are_heard_and_the_null_class_is_the_default(states):
    x, _, t = states
    model = model_of(classes=3)
    unconditional = model.predict(x, t).data
    label = Condition(label=torch.tensor([0, 1, 2, 0, 1]))
    assert torch.equal(model.predict(x, t, condition=label).data, unconditional)  # the classes begin at zero
    torch.nn.init.normal_(model.network.class_embedding.weight, generator=torch.Generator().manual_seed(0))
    unconditional = model.predict(x, t).data
    assert not torch.allclose(model.predict(x, t, condition=label).data, unconditional)
    null = Condition(label=torch.full((5,), 3))
    assert torch.equal(model.predict(x, t, condition=null).data, unconditional)
    with pytest.raises(ConditionError, match="it is unconditional"):
        model_of().predict(x, t, condition=label)


@pytest.mark.parametrize("network", [MLP, {"kind": "unet", "widths": [8], "head_width": 8}])
def test_a_conditional_model_starts_as_the_unconditional_one(network):
    shape = [2] if network["kind"] == "mlp" else [1, 4, 4]
    plain, conditional = (PathModel(Straight(), shape, network, "velocity", classes=c) for c in (None, 10))
    assert set(conditional.state_dict()) - set(plain.state_dict()) == {"network.class_embedding.weight"}
    torch.nn.init.normal_(plain.network.head.weight, generator=torch.Generator().manual_seed(0))
    conditional.load_state_dict(conditional.started_from(plain.state_dict()), strict=True)
    x, t = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)), torch.tensor([0.1, 0.2, 0.5, 0.9])
    label = Condition(label=torch.tensor([0, 1, 2, 9]))
    assert torch.equal(plain.predict(x, t).data, conditional.predict(x, t, condition=label).data)


@pytest.mark.parametrize("network", [MLP, {"kind": "unet", "widths": [8], "head_width": 8, "groups": 4, "patch": 2}])
def test_an_unconditional_model_starts_as_the_conditional_one_without_a_label(network):
    """To 1e-12 in float64, where the null class is added to the time before or after the bias."""
    shape = [2] if network["kind"] == "mlp" else [1, 4, 4]
    conditional, plain = (PathModel(Straight(), shape, network, "velocity", classes=c).double() for c in (10, None))
    source = torch.Generator().manual_seed(0)
    for p in conditional.parameters():
        p.data.normal_(std=0.4, generator=source)
    before = {k: v.clone() for k, v in conditional.state_dict().items()}
    plain.load_state_dict(plain.started_from(conditional.state_dict()), strict=True)
    assert all(torch.equal(v, before[k]) for k, v in conditional.state_dict().items())
    x = torch.randn(4, *shape, dtype=torch.float64, generator=source)
    t = torch.tensor([0.1, 0.2, 0.5, 0.9], dtype=torch.float64)
    assert torch.allclose(plain.predict(x, t).data, conditional.predict(x, t).data, atol=1e-12)
    labelled = conditional.predict(x, t, condition=Condition(label=torch.tensor([0, 1, 2, 9]))).data
    assert not torch.allclose(plain.predict(x, t).data, labelled, atol=1e-3)


UNET = {"kind": "unet", "widths": [8], "head_width": 8}


def test_a_model_that_is_shown_features_starts_as_the_one_that_is_not():
    plain, shown = (PathModel(Straight(), [1, 4, 4], UNET, "velocity", fourier=k) for k in ((), (7, 8)))
    torch.nn.init.normal_(plain.network.head.weight, generator=torch.Generator().manual_seed(0))
    shown.load_state_dict(shown.started_from(plain.state_dict()), strict=True)
    x, t = torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0.001, 0.2, 0.5, 0.9])
    # The products are of other sizes, and their sums in another order: rounding of float32.
    assert torch.allclose(plain.predict(x, t).data, shown.predict(x, t).data, atol=1e-5)


def test_features_are_those_of_the_level_as_far_as_noise_lets_it_be_told():
    """Without noise they say where in its level a number is; with noise they are damped as their means are."""
    model = PathModel(Straight(), [1, 4, 4], UNET, "velocity", fourier=(8,)).double()
    level = 2.0 / 256
    y = torch.linspace(-1.0, -1.0 + level, 16, dtype=torch.float64).view(1, 1, 4, 4)
    _, sine, cosine = model._with_features(y, 0.0)[0]
    assert torch.allclose(torch.stack([sine, cosine]), model._with_features(y + 37 * level, 0.0)[0, 1:], atol=1e-12)
    assert torch.allclose(sine.square() + cosine.square(), torch.ones(4, 4).double())

    noise = 0.2 * level
    around = torch.linspace(-8.0, 8.0, 20001, dtype=torch.float64)  # the mean under N(0, 1), by the trapezoidal rule
    density = torch.exp(-0.5 * around**2) / math.sqrt(2.0 * math.pi)
    omega = math.pi * 2.0**8
    mean = torch.trapezoid(torch.sin(omega * (y[0, 0, :, :, None] + noise * around)) * density, around)
    damped = model._with_features(y, noise)[0, 1]
    assert torch.allclose(damped, mean, atol=1e-9)
    assert model._with_features(y, 0.5)[0, 1:].abs().max() == 0.0


@pytest.mark.needs_data("mnist")
def test_the_weights_of_the_ddpm_fit():
    """ddpm-mnist-plain answers v on the cosine schedule, as our angular network does: on noisy digits the mean squared
    error is within a quarter of the DDPM's own, though the clocks differ by up to eight entries."""
    digits = zoo_core.load("ddpm-mnist-plain")
    model = PathModel(CosinePath(), [1, 28, 28], digits.entry.config["network"], "v")
    model.load_state_dict(digits.state_dict())
    from zoo_core import datasets

    x = datasets.load("mnist", "test", n=32).x.float() / 127.5 - 1.0
    source = torch.Generator().manual_seed(0)
    noise, index = torch.randn(x.shape, generator=source), torch.randint(0, 1000, (32,), generator=source)
    t = (index + 1).double() / 1000
    with torch.no_grad():
        theirs = digits.answer(digits.path.diffuse(x, noise, t), index)[0]
        alpha, sigma = digits.path.coefficients(t, like=x)
        reference = (theirs - (alpha * noise - sigma * x)).square().mean()
        ours = (model.answer(model.path.diffuse(x, noise, t), t) - model.target(x, noise, t)).square().mean()
    assert ours < 1.25 * reference


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction": "epsilon"}, "prediction = 'epsilon'; expected one of noise, data"),
        ({"preconditioning": "edm"}, "preconditioning = 'edm'; expected one of angular, none"),
        ({"network": {"kind": "transformer"}}, "expected one of unet, mlp"),
        ({"classes": 0}, "classes = 0 for a label; expected at least 1"),
        ({"fourier": [7], "preconditioning": "none"}, "needs preconditioning = 'angular', not 'none'"),
    ],
)
def test_bad_configurations_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        PathModel(Straight(), **{"shape": [2], "network": MLP, "prediction": "noise", **options})


class ExactGaussian(PathModel):
    """The exact prediction of data N(0, s² I)."""

    scale = 0.6

    def predict(self, x_t, t, *, condition=None):  # type: ignore[no-untyped-def]
        alpha, sigma = self.path.coefficients(t, like=x_t)
        variance = alpha**2 * self.scale**2 + sigma**2
        return Prediction(alpha * self.scale**2 / variance * x_t, sigma / variance * x_t)


@pytest.mark.parametrize("path", [LinearPath(), CosinePath(), VariancePreserving(), SubVariancePreserving()])
def test_log_prob_is_that_of_the_ode(path):
    """Of an exact Gaussian in two dimensions, on every path: to 5e-3 nats at the adaptive method's tolerance."""
    model = ExactGaussian(path, [2], MLP, "velocity").double()
    x = 0.6 * torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = -0.5 * (x / 0.6).square().sum(1) - 2 * math.log(0.6 * math.sqrt(2 * math.pi))
    assert (model.log_prob(x) - expected).abs().max() < 5e-3
    assert torch.equal(model.log_prob(x), model.log_prob(x))
