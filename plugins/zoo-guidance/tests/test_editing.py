"""Inpainting, SDEdit and interpolation on Gaussians, where what should come out is known; and at the terminal."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

import zoo_core
from zoo_core.cli import main
from zoo_core.errors import DataError, IncompatibleError
from zoo_core.interfaces import Call, Condition, Denoiser, Model, Prediction, SampleSpace, Streams
from zoo_core.paths import DiscretePath, GaussianPath, LinearPath, VariancePreserving
from zoo_core.registry.entry import Entry
from zoo_core.saving import snapshot
from zoo_core.testing.exact_denoisers import ExactDenoiser
from zoo_guidance.editing import SDEdit, ShortenedModel
from zoo_guidance.given_images import given
from zoo_guidance.inpainting import Inpaint
from zoo_guidance.interpolation import Interpolate, slerp
from zoo_guidance.noisy_classifier import NoisyClassifier

RHO = 0.8
TABLE = DiscretePath([math.exp(-5.0 * ((k + 1) / 100) ** 2) for k in range(100)])


class Correlated(Model, Denoiser):
    """The exact denoiser of N(0, Σ) in the plane, with correlation ρ."""

    prediction = "data"

    def __init__(self, path: GaussianPath) -> None:
        super().__init__()
        self.path, self.space = path, SampleSpace("points", (2,))
        self.covariance = torch.tensor([[1.0, RHO], [RHO, 1.0]], dtype=torch.float64)

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        assert isinstance(t, float)
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        noisy = alpha**2 * self.covariance + sigma**2 * torch.eye(2, dtype=torch.float64)
        data = (x_t.double() @ torch.linalg.solve(noisy, alpha * self.covariance)).to(x_t.dtype)
        return Prediction(data, (x_t - alpha * data) / sigma)


@pytest.mark.long
def test_inpainting_of_a_gaussian_is_its_conditional_distribution():
    """x₂ given x₁ = 1.5 is N(ρ·1.5, 1 − ρ²).

    With 40 resamplings the mean is right to 0.06 and the variance to 15 % (4,000 samples: five standard errors are 0.05
    and 11 %; the rest is the steps'); plain replacement is further off.
    """
    model, known = Correlated(VariancePreserving()), torch.tensor([[1.5, 0.0]])
    mask = torch.tensor([True, False])
    bias = []
    for resamplings in (1, 40):
        call = Call(Streams(0, "t", 0, 4000))
        x = Inpaint(steps=50, resamplings=resamplings).complete(model, known.expand(4000, 2), mask, call)
        assert torch.equal(x[:, 0], known.expand(4000, 2)[:, 0])  # what is kept is kept to the bit
        bias.append(abs(x[:, 1].mean().item() - RHO * 1.5))
        variance = x[:, 1].var().item()
    assert bias[1] < 0.06
    assert abs(variance / (1.0 - RHO**2) - 1.0) < 0.15
    assert bias[1] < 0.5 * bias[0]


@pytest.mark.parametrize("path", [VariancePreserving(), LinearPath(), TABLE])
@pytest.mark.parametrize("strength", [0.2, 0.6])
def test_sdedit_of_a_gaussian_has_the_moments_it_should(path, strength):
    """The ODE of N(0, s²) scales x_t by s/√(α²s² + σ²): from x come N(α·s·x/√v, σ²·s²/v).

    4,000 samples, five standard errors; 400 steps of first order leave less than that.
    """
    s, x, n = 0.7, 1.0, 4000
    model = ExactDenoiser(path, ((0.0,),), s)
    edit = SDEdit(strength=strength, steps=100 if path is TABLE else 400)
    end = ShortenedModel(model, strength).end
    alpha, sigma = path.alpha(end), path.sigma(end)
    root = math.sqrt(alpha**2 * s**2 + sigma**2)
    call = Call(Streams(0, "t", 0, n, dtype=torch.float64))
    made = edit.edit(model, torch.full((n, 1), x, dtype=torch.float64), call)
    mean, std = alpha * s * x / root, sigma * s / root
    slack = 0.05 if path is TABLE else 0.0  # 20 and 60 steps
    assert abs(made.mean().item() - mean) < 5 * std / math.sqrt(n) + slack
    assert abs(made.std().item() / std - 1.0) < 5 / math.sqrt(2 * n) + slack


def test_a_shortened_table_has_its_entries_at_whole_indices():
    part = ShortenedModel(ExactDenoiser(TABLE), 0.25)
    assert isinstance(part.path, DiscretePath)
    assert part.path.steps == 25
    for k in range(25):
        assert part.path.alpha(part.path.time(k)) == pytest.approx(TABLE.alpha(TABLE.time(k)), rel=1e-12)
        assert TABLE.index(part.path.time(k) * part.end) == pytest.approx(k, abs=1e-9)


def test_slerp_goes_along_the_great_circle():
    """Ends to float32 rounding; angles and norms grow evenly; parallel vectors are joined by a line."""
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    for u in (0.0, 0.25, 0.5, 1.0):
        x = slerp(a, b, torch.tensor([u]))[0]
        assert x.tolist() == pytest.approx([math.cos(u * math.pi / 2), math.sin(u * math.pi / 2)], abs=1e-6)
    long = slerp(a, 3 * b, torch.tensor([0.5]))
    assert long.norm().item() == pytest.approx(2.0)
    nearly_opposite = torch.tensor([[-2.0, 1e-3]])
    assert slerp(a, nearly_opposite, torch.tensor([0.5])).norm().item() == pytest.approx(1.5)
    assert torch.allclose(slerp(a, 3 * a, torch.tensor([0.5])), 2 * a)


def test_interpolation_begins_at_its_ends_and_depends_on_the_index_only(tmp_path):
    """Sample 4j is end j itself: there and back through the ODE, to ten times its tolerance."""
    model = ExactDenoiser(VariancePreserving(), ((-1.0, 0.0), (1.0, 0.5)), 0.4)
    ends = torch.tensor([[-1.2, 0.1], [0.9, 0.4], [1.3, 0.8]])
    file = tmp_path / "ends.safetensors"
    from zoo_core.saving.samples import save_samples

    save_samples(ends, str(file), model.space)
    sampler = Interpolate(str(file), points=4, tolerance=1e-4)
    x = sampler.sample(model, Streams(0, "t", 0, 9))
    assert (x[::4] - ends).abs().max() < 1e-2
    assert (sampler.sample(model, Streams(0, "t", 5, 2)) - x[5:7]).abs().max() < 1e-3
    assert torch.isfinite(x).all()


def test_what_is_given(tmp_path, monkeypatch):
    model = zoo_core.load("ddpm-mnist")
    pixels = torch.arange(28 * 28, dtype=torch.int32).remainder(256).to(torch.uint8)
    Image.frombytes("L", (28, 28), bytes(pixels.tolist())).save(tmp_path / "one.png")
    x = given(str(tmp_path / "one.png"), model)
    assert torch.allclose((x.flatten() + 1) * 127.5, pixels.float(), atol=1e-3)
    Image.new("L", (20, 20)).save(tmp_path / "small.png")
    with pytest.raises(DataError, match=r"small\.png: the picture is 20×20 pixels; resize it to 28×28"):
        given(str(tmp_path / "small.png"), model)
    (tmp_path / "no.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"no\.png cannot be read as \.png"):
        given(str(tmp_path / "no.png"), model)
    with pytest.raises(IncompatibleError, match="is neither a file nor a data set such as mnist/test"):
        given("nowhere/test", model)


def test_regions_and_masks(tmp_path):
    model = zoo_core.load("ddpm-mnist")
    left, right = (Inpaint(mask=name).kept(model) for name in ("left", "right"))
    assert torch.equal(left, ~right)
    assert left[0, :, :14].all()
    assert Inpaint(mask="border").kept(model).sum() == 28 * 28 - 14 * 14
    picture = Image.new("L", (28, 28))
    picture.paste(255, (0, 0, 28, 7))
    picture.save(tmp_path / "mask.png")
    assert Inpaint(mask=str(tmp_path / "mask.png")).kept(model).sum() == 28 * 7
    points = ExactDenoiser(LinearPath(), ((0.0, 0.0),))
    assert Inpaint(mask=[1, 0]).kept(points).tolist() == [True, False]
    with pytest.raises(IncompatibleError, match="mask has 3 numbers; a sample of this model has 2"):
        Inpaint(mask=[1, 0, 0]).kept(points)
    with pytest.raises(IncompatibleError, match="mask = 'left' is for images"):
        Inpaint().kept(points)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SDEdit(strength=0.0), r"strength = 0.0; expected a number in \(0, 1\]"),
        (lambda: Inpaint(steps=0), "steps = 0 and resamplings = 5"),
        (lambda: Interpolate(points=0), "points = 0"),
        (
            lambda: SDEdit(sampler="interpolate", steps=None).check(ExactDenoiser(LinearPath())),
            "cannot begin from a given state",
        ),
        (lambda: SDEdit().check(ExactDenoiser(LinearPath(independent=False))), "couples noise and data"),
        (lambda: Inpaint().check(ExactDenoiser(LinearPath(independent=False))), "couples noise and data"),
    ],
)
def test_what_does_not_fit(make, words):
    with pytest.raises(IncompatibleError, match=words):
        make()


def zoo(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert isinstance(end.value.code, int)
    return end.value.code


def test_at_the_terminal(tmp_path: Path, capsys):
    """Every one of them, in five steps on two moons; and what is refused, with the exit code of a wrong command."""
    classifier = NoisyClassifier([2], 2, widths=[8])
    config = {"shape": [2], "classes": 2, "widths": [8]}
    entry = Entry("halves", "noisy-classifier", "zoo-guidance", config, "two halves")
    folder = tmp_path / "halves"
    snapshot.save(folder, entry, classifier.state_dict())
    out = str(tmp_path / "x.safetensors")
    draw = ("sample", "ddpm-moons", "-n", "4", "--out", out)
    guided = ("--sampler", "classifier-guidance", "--steps", "5", "--set", f"classifier={folder}")
    assert zoo(*draw, *guided, "--label", "1", "--guidance", "2") == 0
    assert zoo(*draw, *guided) == 2  # no label
    assert zoo(*draw, *guided, "--label", "2") == 2  # of two
    capsys.readouterr()
    assert zoo(*draw, "--label", "1") == 2
    assert "this model has no condition 'label'" in capsys.readouterr().err
    given = ("--set", f"image={out}")
    for more in (
        ("inpaint", "--steps", "5", "--set", "mask=[1, 0]"),
        ("sdedit", "--steps", "5", "--set", "strength=0.3", "--set", "sampler=euler-maruyama"),
        ("interpolate", "--set", "points=2", "--set", "tolerance=0.01"),
    ):
        assert zoo(*draw, *given, "--sampler", *more) == 0, capsys.readouterr().err
