"""The models that ship: their scores beside the exact ones, and what they draw."""

from __future__ import annotations

import pytest
import torch

import zoo_core
from zoo_core import datasets
from zoo_core.datasets.densities import DENSITIES
from zoo_core.interfaces import Streams
from zoo_core.sampling import sample
from zoo_score_sde.exact_score import ExactScore


@pytest.mark.parametrize(
    ("name", "density", "share"),
    [("score-moons", "two-moons", 0.002), ("score-eight-gaussians", "eight-gaussians", 0.01)],
)
def test_scores_are_nearly_exact(name, density, share):
    """Of 2,000 noisy points at random times the error of the score, weighted by σ², is a small share of its square:
    0.05 % was measured on the moons, 0.3 % on the narrow modes."""
    model, x = zoo_core.load(name), datasets.load(density, "test", n=2000).x
    streams = Streams(0, "noise", 0, 2000)
    noise, t = streams.normal(2), model.training_times(streams)
    x_t = model.path.diffuse(x, noise, t)
    _, sigma = model.path.coefficients(t, like=x)
    with torch.no_grad():
        ours, truth = model.score(x_t, t), ExactScore.of(density)(model.path, x_t, t)
    assert (sigma * (ours - truth)).square().mean() < share * (sigma * truth).square().mean()


def test_moons_lie_on_the_moons():
    """95 % of 400 samples are within four noise widths (0.2) of the curves."""
    curves, _ = DENSITIES["two-moons"].quadrature  # type: ignore[attr-defined]
    x = sample(zoo_core.load("score-moons"), 400, batch_size=400)
    assert (torch.cdist(x.double(), curves).amin(1) < 0.2).double().mean() > 0.95


def test_all_eight_modes_are_drawn():
    """Of 400 samples every mode gets 25 to 80 (50 are due, with a standard deviation of 6.6), and 90 % are within five
    of its widths."""
    ring = DENSITIES["eight-gaussians"]
    distance = torch.cdist(sample(zoo_core.load("score-eight-gaussians"), 400, batch_size=400).double(), ring.means)
    near, mode = distance.min(1)
    counts = torch.bincount(mode, minlength=8)
    assert counts.min() >= 25
    assert counts.max() <= 80
    assert (near < 5 * 0.02).double().mean() > 0.9
