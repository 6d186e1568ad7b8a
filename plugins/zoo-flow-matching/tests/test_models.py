"""The models that ship: likelihoods beside the exact entropy, straight lines, few steps."""

from __future__ import annotations

import math

import pytest
import torch

import zoo_core
from zoo_core import datasets
from zoo_core.datasets.densities import DENSITIES
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Streams
from zoo_core.paths import LinearPath
from zoo_core.sampling import make_sampler, sample
from zoo_core.testing.exact_denoisers import ExactDenoiser
from zoo_flow_matching.straightness import straightness


@pytest.mark.long
@pytest.mark.parametrize("name", ["cnf-moons", "cfm-moons"])
def test_likelihoods_come_near_the_entropy(name):
    """KL(data ‖ model) on 1,000 points is below 0.05 nats, with two standard errors to spare for the draw of the
    points."""
    x = datasets.load("two-moons", "test", n=1000).x
    with torch.no_grad():
        gap = DENSITIES["two-moons"].log_prob(x) - zoo_core.load(name).log_prob(x).double()
    assert gap.mean() < 0.05 + 2 * gap.std() / math.sqrt(1000)


@pytest.mark.parametrize(("name", "options"), [("cnf-moons", {}), ("cfm-moons", {"steps": 50})])
def test_samples_lie_on_the_moons(name, options):
    """95 % of 400 are within four noise widths (0.2) of the curves."""
    curves, _ = DENSITIES["two-moons"].quadrature  # type: ignore[attr-defined]
    x = sample(zoo_core.load(name), 400, batch_size=400, **options)
    assert (torch.cdist(x.double(), curves).amin(1) < 0.2).double().mean() > 0.95


def test_transport_straightens_the_lines():
    """Beside the exact flow of the same data along independent pairs, whose straightness is known without a network,
    that of minibatch transport has less than a fifth."""
    ring = DENSITIES["eight-gaussians"]
    independent = ExactDenoiser(LinearPath(), ring.means.tolist(), 0.02)  # type: ignore[attr-defined]
    bent = straightness(independent, Streams(0, "straightness", 0, 200, dtype=torch.float64))
    straight = straightness(zoo_core.load("otcfm-eight-gaussians"), Streams(0, "straightness", 0, 200))
    assert straight < 0.2 * bent


def test_a_coupled_model_takes_ode_samplers_only():
    model = zoo_core.load("otcfm-eight-gaussians")
    make_sampler(model, "ddim", steps=5, eta=0.0)
    with pytest.raises(IncompatibleError, match="couples noise and data"):
        make_sampler(model, "ancestral")
