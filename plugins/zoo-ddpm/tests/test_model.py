"""The models that ship: what they draw, how they are refused, and that batches do not matter."""

from __future__ import annotations

import pytest
import torch

import zoo_core
from zoo_core.errors import IncompatibleError
from zoo_core.sampling import sample
from zoo_ddpm.model import DDPM


@pytest.fixture(scope="module")
def digits():
    return zoo_core.load("ddpm-mnist")


@pytest.mark.long
@pytest.mark.slow
def test_the_same_seed_gives_the_same_images_for_every_batch_size(digits):
    """Batches of 1, 7 and 64: 1e-4, since convolutions round differently; the same batches, the same bytes."""
    whole = sample(digits, 64, seed=0, steps=4, batch_size=64)
    assert torch.equal(whole, sample(digits, 64, seed=0, steps=4, batch_size=64))
    for size in (1, 7):
        assert (whole - sample(digits, 64, seed=0, steps=4, batch_size=size)).abs().max() < 1e-4


@pytest.mark.slow
def test_the_same_at_the_default_number_of_steps():
    """In float64, since float32's rounding, which depends on the size of a batch, grows to 4e-4 of one pixel."""
    digits = zoo_core.load("ddpm-mnist", dtype="float64")
    whole = sample(digits, 16, seed=0, batch_size=16)
    for size in (1, 7):
        assert (whole - sample(digits, 16, seed=0, batch_size=size)).abs().max() < 1e-9


def test_images_are_in_range_and_differ(digits):
    x = sample(digits, 4, steps=5)
    assert x.shape == (4, 1, 28, 28)
    assert x.min() >= 0
    assert x.max() <= 1
    assert (x[0] - x[1]).abs().max() > 0.1


def test_half_precision_draws_nearly_the_same(digits):
    """bfloat16 has three digits; the state stays in float32, so five steps stay within a tenth on average."""
    low = zoo_core.load("ddpm-mnist", dtype="bfloat16")
    assert low.dtype == torch.bfloat16
    difference = (sample(low, 4, steps=5) - sample(digits, 4, steps=5)).abs()
    assert difference.mean() < 0.03


def test_moons_lie_on_the_moons():
    """95 % of 400 ancestral samples are within four noise widths (0.2) of the curves."""
    from zoo_core.datasets.densities import DENSITIES

    curves, _ = DENSITIES["two-moons"].quadrature  # type: ignore[attr-defined]
    x = sample(zoo_core.load("ddpm-moons"), 400, steps=200, batch_size=400)
    distance = torch.cdist(x.double(), curves).amin(1)
    assert (distance < 0.2).double().mean() > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": "score"}, "expected noise, data or v"),
        ({"variance": "large"}, "expected one of fixed_small, fixed_large, learned"),
        ({"noise_schedule": "sigmoid"}, "expected one of linear, quadratic, cosine"),
        ({"network": {"kind": "transformer"}}, "network.kind = 'transformer'; expected one of unet, mlp"),
        ({"network": {"kind": "unet", "widths": [10]}}, "groups = 8 must divide"),
        ({"network": {"kind": "unet", "widths": [8], "attention": [3]}}, "names a level that is not among"),
    ],
)
def test_bad_configurations_are_named(change, message):
    config = {"shape": [1, 8, 8], "network": {"kind": "unet", "widths": [8]}, **change}
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        DDPM(**config)


def test_export_refuses_what_diffusers_does_not_have(tmp_path):
    from zoo_core.saving.exporting import export

    with pytest.raises(IncompatibleError, match="with a U-Net only"):
        export("ddpm-moons", "diffusers", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(IncompatibleError, match=r"is for ddpm.*; gmm-digits is a gmm"):
        export("gmm-digits", "diffusers", tmp_path / "out")
    (tmp_path / "there").mkdir()
    with pytest.raises(IncompatibleError, match="is there already"):
        export("ddpm-mnist-plain", "diffusers", tmp_path / "there")
