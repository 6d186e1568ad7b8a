"""The released models have the numbers that are computed by hand from their data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import zoo_core
from zoo_classical.normal import Normal
from zoo_core import datasets, registry
from zoo_core.errors import IncompatibleError
from zoo_core.plots.draw import draw
from zoo_core.training.run import train


def test_die():
    model = zoo_core.load("die-loaded")
    assert model.probabilities.tolist() == pytest.approx([0.2, 0.1, 0.2, 0.1, 0.3, 0.1], abs=1e-15)
    assert model.names()[4] == "p(face=5)"
    x = zoo_core.sample(model, 20_000, seed=0)
    share = torch.bincount(x.long().squeeze(1), minlength=6) / 20_000
    assert share.tolist() == pytest.approx([0.2, 0.1, 0.2, 0.1, 0.3, 0.1], abs=0.015)


def test_two_bits():
    model = zoo_core.load("two-bits")
    assert model.probabilities.flatten().tolist() == pytest.approx([0.2, 0.1, 0.3, 0.4], abs=1e-15)


def test_coin():
    """p = 0.7, whose likelihood is C(10, 7)·0.7⁷·0.3³ = 0.266828; Clopper and Pearson's interval is [0.348, 0.933]."""
    model = zoo_core.load("coin-7-of-10")
    (p,) = model.estimates()
    assert p.value == pytest.approx(0.7, abs=1e-15)
    assert np.exp(model.log_likelihood()) == pytest.approx(0.266828, abs=1e-6)
    assert (p.low, p.high) == pytest.approx((0.3475, 0.9333), abs=1e-4)
    assert p.stderr == pytest.approx(0.144914, abs=1e-6)


def test_heights_and_weights():
    model = zoo_core.load("heights-weights")
    x = datasets.load("heights-weights").tensor.double()
    assert len(x) == 12
    np.testing.assert_allclose(model.location.numpy(), x.mean(0).numpy(), rtol=1e-12)
    np.testing.assert_allclose(model.covariance.numpy(), np.cov(x.T.numpy(), bias=True), rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("bernoulli-coin-throws", [0.7]),
        ("poisson-customers", [3.5]),
        ("exponential-waiting-times", [0.5]),
        ("multinomial-three-classes", [0.5, 0.3, 0.2]),
        ("normal-5-2", [5.0, 4.0]),
        ("linear-line", [1.0, 2.0, 0.25]),
        ("logistic-two-groups", [0.5, 2.0, -1.0]),
    ],
)
def test_intervals_of_released_models_contain_the_truth(name, truth):
    found = zoo_core.load(name).estimates(0.99)
    assert len(found) == len(truth)
    for one, value in zip(found, truth, strict=True):
        assert one.low <= value <= one.high, one


@pytest.mark.long
@pytest.mark.parametrize("kind", ["likelihood", "kl"])
@pytest.mark.parametrize("name", ["two-bits", "heights-weights"])
def test_plots_are_drawn(name, kind, tmp_path):
    draw(zoo_core.load(name), kind, tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    assert text.count('<g id="axes_') == 4


def test_prior_in_a_recipe(tmp_path):
    """Beta(2, 2) after 7 of 10 has its mode at 8/12; another family's parameter is refused with one line."""
    entry = registry.load().get("coin-7-of-10")

    def trained(prior):
        recipe = {**entry.recipe, "objective_options": {"prior": prior}}
        return train(replace(entry, recipe=recipe), tmp_path / str(prior))

    assert trained({"alpha": 2, "beta": 2}).p.item() == pytest.approx(8 / 12)
    with pytest.raises(IncompatibleError, match="has alpha, beta"):
        trained({"shape": 2})
    with pytest.raises(IncompatibleError, match="a table"):
        trained(2)


def test_kl_of_two_normals():
    """KL(N(0, 1) ‖ N(2, 1.5²)) = log 1.5 + 5/4.5 − ½ = 1.0166, and log(1/1.5) + 6.25/2 − ½ = 2.2195 the other way."""
    p, q = Normal([1]), Normal([1])
    q.location.fill_(2.0)
    q.scale.fill_(1.5)
    assert (p.kl(q), q.kl(p)) == pytest.approx((1.016576, 2.219535), abs=1e-6)
