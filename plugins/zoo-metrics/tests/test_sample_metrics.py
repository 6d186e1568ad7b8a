"""Metrics of samples, from end to end: models that replay real data score what real data does."""

from __future__ import annotations

import math

import pytest
import torch

from zoo_core import datasets
from zoo_core.datasets.densities import DENSITIES
from zoo_core.errors import IncompatibleError
from zoo_core.evaluation import evaluate, evaluate_all
from zoo_core.interfaces import ConditionSpec, Density, DirectSampler, Model, SampleSpace
from zoo_core.sampling import make_sampler
from zoo_metrics import real

DIGITS = ["r-digits-v1", "fd-digits-v1", "kid", "precision", "recall", "density", "coverage", "inception-score"]


class Replay(Model, DirectSampler):
    """Sample i is row i of given images, on the model's side."""

    def __init__(self, images: torch.Tensor, low: float = -1.0, high: float = 1.0, labels: int | None = None) -> None:
        super().__init__()
        self.space = SampleSpace("image", tuple(images.shape[1:]), low, high)
        self.register_buffer("images", self.space.from_user(images))
        self.conditions = {} if labels is None else {"label": ConditionSpec.label(labels)}

    def draw(self, streams, *, condition=None):
        if condition is not None:
            first = torch.stack([(self.labels == label).nonzero()[0, 0] for label in condition["label"]])
            return self.images[first]
        return self.images[(streams.start + torch.arange(len(streams))) % len(self.images)]


class Truth(Model, Density, DirectSampler):
    """The data's own distribution, or some of its modes."""

    def __init__(self, name: str, modes: int | None = None) -> None:
        super().__init__()
        self.density, self.modes = DENSITIES[name], modes
        self.space = SampleSpace("points", (self.density.dimensions,))
        self.register_buffer("one", torch.ones(()))

    def log_prob(self, x, *, condition=None, streams=None):
        return self.density.log_prob(x)

    def draw(self, streams, *, condition=None):
        if self.modes is None:
            return self.density.sample(streams)
        j = streams.integers(self.modes)
        return (self.density.means[j] + self.density.scales[j, None] * streams.normal(2)).float()


def measure(model, metrics, data, **options):
    results = evaluate_all(model, metrics, data=data, sampler=make_sampler(model, "direct"), **options)
    return dict(zip(metrics, results, strict=True))


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    return datasets.load("digits", "train")


@pytest.fixture(scope="module")
def test_digits(digits):
    test = real.test_split(digits)
    return real.some(test, len(test), "anchors")


def test_real_test_images_score_the_floor(digits, test_digits):
    """All of them: the same set as the anchor, whatever the metric, and r = 0."""
    found = measure(Replay(test_digits.scaled(0, 1)), DIGITS, digits)
    assert found["r-digits-v1"].value == pytest.approx(0.0, abs=1e-4)
    for name in DIGITS[1:]:
        result = found[name]
        assert result.n == len(test_digits)
        assert 0 < result.stderr < (0.5 * result.value if name != "kid" else 0.1)  # KID is about zero here
        assert result.value == pytest.approx(result.anchors["floor"], rel=1e-3), name
        assert "digits-v1" in result.protocol
        assert result.protocol.startswith("direct; ")
    assert min(found[name].value for name in ("precision", "recall", "coverage")) > 0.9
    assert 5 < found["inception-score"].value < 10


@pytest.mark.long
def test_the_mean_over_missing_classes_is_one(digits, test_digits):
    """r of exactly those images that the anchor is made of, averaged over the classes."""
    n, scores = 300, []
    for c in range(10):
        images = test_digits.scaled(0, 1)[test_digits.y != c]
        scores.append(measure(Replay(images), ["r-digits-v1"], digits, n=n)["r-digits-v1"])
    assert sum(s.value for s in scores) / 10 == pytest.approx(1.0, abs=1e-4)
    assert set(scores[0].anchors) == {"FD", "FD floor", "FD one class missing"}
    assert all(s.value > 0.2 for s in scores)


@pytest.mark.long
def test_worse_images_score_worse(digits, test_digits):
    clean = test_digits.scaled(0, 1)
    noise = torch.rand(clean.shape, generator=torch.Generator().manual_seed(0))
    values = [
        measure(Replay((clean + a * noise).clamp(0, 1)), ["fd-digits-v1", "kid", "precision"], digits)
        for a in (0.0, 0.2, 0.5)
    ]
    for name, sign in (("fd-digits-v1", 1), ("kid", 1), ("precision", -1)):
        a, b, c = (sign * v[name].value for v in values)
        assert a < b < c


@pytest.mark.long
def test_results_do_not_depend_on_batches_and_leave_the_global_generator_alone(digits, test_digits):
    model, state = Replay(test_digits.scaled(0, 1)), torch.random.get_rng_state()
    one, other = (measure(model, DIGITS, digits, n=200, batch_size=size) for size in (7, 200))
    for name in DIGITS:
        assert one[name].value == pytest.approx(other[name].value, rel=1e-4, abs=1e-4)
        assert one[name].stderr == pytest.approx(other[name].stderr, rel=1e-3, abs=1e-4)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_samples_are_rounded_to_the_levels_of_the_data(digits, test_digits):
    """Less than half a level of change is no change: a saved PNG scores the same."""
    clean = test_digits.scaled(0, 1)
    jitter = (torch.rand(clean.shape, generator=torch.Generator().manual_seed(0)) - 0.5) * 0.9 / 16
    exact, near = (
        measure(Replay(x, -4.0, 4.0), ["fd-digits-v1"], digits)["fd-digits-v1"].value
        for x in (clean, (clean + jitter).clamp(0, 1))
    )
    assert near == pytest.approx(exact, abs=1e-6)


def test_part_of_the_classes_is_compared_with_its_like(digits, test_digits):
    """Zeros against zeros: no class can be missing, so there is a floor and no r."""
    zeros = digits.only([0])
    model = Replay(digits.only([0]).scaled(0, 1))
    found = measure(model, ["fd-digits-v1", "class-accuracy", "recall"], zeros, n=110)
    assert found["class-accuracy"].value > 0.95
    assert found["fd-digits-v1"].anchors == {}  # fewer than 110 zeros are in the test split
    assert "136 training images" in found["fd-digits-v1"].protocol
    with pytest.raises(IncompatibleError, match="no class can be missing"):
        evaluate(model, "r-digits-v1", data=zeros)


def test_class_accuracy_of_a_conditional_model(digits):
    images, labels = digits.scaled(0, 1), digits.y
    right, wrong = Replay(images, labels=10), Replay(images, labels=10)
    right.register_buffer("labels", labels)
    wrong.register_buffer("labels", (labels + 1) % 10)
    assert measure(right, ["class-accuracy"], digits, n=200)["class-accuracy"].value > 0.95
    assert measure(wrong, ["class-accuracy"], digits, n=200)["class-accuracy"].value < 0.05


def test_what_does_not_fit_says_why(digits, test_digits):
    model = Replay(test_digits.scaled(0, 1))
    for metric, data, reason in (
        ("fd-mnist-v1", digits, "are for mnist, not for digits"),
        ("kid", datasets.load("digits", "test"), "compared with the training split"),
        ("class-accuracy", digits, "would be correct for an unconditional model"),
        ("high-quality", digits, "no mixture whose modes are known"),
        ("js", digits, "needs Density"),
        ("elbo", digits, "has no method importance_log_prob"),
        ("kid", datasets.load("two-moons"), r"two-moons has examples of points 2; the model's samples are image 1×8×8"),
    ):
        with pytest.raises(IncompatibleError, match=reason):
            measure(model, [metric], data)
    with pytest.raises(IncompatibleError, match="n = 50; a comparison"):
        measure(model, ["kid"], digits, n=50)
    with pytest.raises(IncompatibleError, match="use -n 360"):
        measure(model, ["r-digits-v1"], digits, n=400)


@pytest.mark.long
def test_the_true_mixture():
    data = datasets.load("eight-gaussians")
    names = ["high-quality", "mode-coverage", "js", "entropy", "kid", "mmd", "sliced-wasserstein"]
    found = measure(Truth("eight-gaussians"), names, data, n=2000)
    quality = found["high-quality"]
    assert quality.anchors["true mixture"] == pytest.approx(1 - math.exp(-4.5), rel=1e-6)
    assert quality.value == pytest.approx(quality.anchors["true mixture"], abs=4 * quality.stderr)
    assert found["mode-coverage"].value == 8
    assert found["js"].value == pytest.approx(0.0, abs=1e-9)
    assert found["entropy"].value == pytest.approx(data.entropy, abs=4 * found["entropy"].stderr)
    for name in ("kid", "mmd", "sliced-wasserstein"):
        assert found[name].value == pytest.approx(found[name].anchors["floor"], abs=5 * found[name].stderr)


def test_lost_modes_are_counted():
    data = datasets.load("eight-gaussians")
    found = measure(Truth("eight-gaussians", modes=3), ["high-quality", "mode-coverage", "recall"], data, n=1000)
    assert found["mode-coverage"].value == 3
    assert found["high-quality"].value > 0.97
    assert found["recall"].value < 0.6


def test_kl_of_the_truth_is_zero():
    found = evaluate(Truth("two-moons"), "kl", data=datasets.load("two-moons", "test", n=500))
    assert (found.value, found.n, found.unit) == (pytest.approx(0.0, abs=1e-9), 500, "nats")


class Linear(Model, Density, DirectSampler):
    """x | z ~ N(z, 1), z ~ N(0, 1), so x ~ N(0, 2); q(z | x) is the prior."""

    def __init__(self, dimensions: int = 1) -> None:
        super().__init__()
        self.space = SampleSpace("points", (dimensions,))
        self.register_buffer("one", torch.ones((), dtype=torch.float64))

    def log_prob(self, x, *, condition=None, streams=None):
        return torch.distributions.Normal(0.0, math.sqrt(2)).log_prob(x).sum(1)

    def importance_log_prob(self, x, k, streams):
        z = streams.normal(k)
        return torch.distributions.Normal(z, 1.0).log_prob(x).logsumexp(1) - math.log(k)

    def draw(self, streams, *, condition=None):
        return math.sqrt(2) * streams.normal(1)


def test_bounds_by_importance_sampling():
    """−ELBO = ½ log 2π + ½ E(x − z)² in closed form; 5,000 samples are within 0.01 nats of −log p."""
    data = datasets.load("two-gaussians-1d", "test", n=300)
    nll, elbo, iwae = (evaluate(Linear(), name, data=data) for name in ("nll", "elbo", "iwae-5000"))
    closed = 0.5 * math.log(2 * math.pi) + 0.5 * (data.x.double().square().mean().item() + 1.0)
    assert elbo.value == pytest.approx(closed, abs=4 * elbo.stderr)
    assert iwae.value == pytest.approx(nll.value, abs=0.01)
    assert elbo.value > iwae.value
    assert (elbo.protocol, iwae.protocol) == (
        "ELBO, one code per example",
        "IWAE, 5,000 importance samples per example",
    )
    with pytest.raises(IncompatibleError, match="two-gaussians-1d has points 1"):
        evaluate(Linear(), "elbo-bits", data=data)


def test_exact_divergence_metrics_of_streams_are_seeded():
    data = datasets.load("eight-gaussians")
    one, same, other = (
        measure(Truth("eight-gaussians"), ["entropy"], data, n=200, seed=seed)["entropy"].value for seed in (0, 0, 1)
    )
    assert one == same != other
