"""Langevin dynamics: the stationary law in closed form, with and without Metropolis steps, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch

import zoo_core
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Density, DirectSampler, Model, SampleSpace, Streams
from zoo_core.sampling import make_sampler, sample
from zoo_score_sde.langevin import Langevin


class Normal(Model, Density):
    """N(0, s² I) in two dimensions."""

    def __init__(self, scale: float = 0.5) -> None:
        super().__init__()
        self.space, self.scale = SampleSpace("points", (2,)), scale

    def log_prob(self, x, *, condition=None, streams=None):  # type: ignore[no-untyped-def]
        return -0.5 * (x / self.scale).square().sum(1) - 2 * math.log(self.scale * math.sqrt(2 * math.pi))


def drawn(sampler, n=4000, model=None):
    return sampler.sample(model or Normal(), Streams(0, "sample", 0, n, dtype=torch.float64))


@pytest.mark.parametrize("step_size", [0.05, 0.2])
def test_unadjusted_variance_is_known(step_size):
    """s²/(1 − a/(2s²)) after 60 moves; the variance of 8,000 normal numbers has a relative error of √(2/8000) = 1.6 %,
    five of which are allowed."""
    x = drawn(Langevin(steps=60, step_size=step_size, metropolis=False))
    expected = 0.25 / (1 - step_size / (2 * 0.25))
    assert x.square().mean().item() == pytest.approx(expected, rel=5 * math.sqrt(2 / 8000))


@pytest.mark.parametrize("step_size", [0.05, 0.2])
def test_metropolis_steps_leave_the_density_invariant(step_size):
    x = drawn(Langevin(steps=60, step_size=step_size))
    assert x.square().mean().item() == pytest.approx(0.25, rel=5 * math.sqrt(2 / 8000))
    assert x.mean().abs() < 5 * 0.5 / math.sqrt(8000)


@pytest.mark.long
def test_too_long_steps_are_refused_and_not_taken():
    """ULA with a > 2·2s² runs away; MALA stays where it is."""
    assert not torch.isfinite(drawn(Langevin(steps=3000, step_size=2.0, metropolis=False), n=2)).all()
    assert drawn(Langevin(steps=200, step_size=2.0), n=100).abs().max() < 5.0


@pytest.mark.long
def test_draws_of_a_flow():
    """On nsf-moons the mean log p of the samples is that of direct ones, within five standard errors of 200 each."""
    model = zoo_core.load("nsf-moons")
    sampler = Langevin(steps=150, step_size=0.002)
    with torch.no_grad():
        ours, direct = (model.log_prob(sample(model, 200, sampler=s, batch_size=200)) for s in (sampler, "direct"))
    error = math.hypot(ours.std().item(), direct.std().item()) / math.sqrt(200)
    assert abs(ours.mean() - direct.mean()) < 5 * error


def test_a_sample_does_not_depend_on_its_mates():
    model = zoo_core.load("nsf-moons")
    whole = sample(model, 4, sampler=Langevin(steps=5), batch_size=4)
    assert (whole - sample(model, 4, sampler=Langevin(steps=5), batch_size=1)).abs().max() < 1e-5


class Counted(Normal):
    discrete = True


class Flat(Normal):
    def log_prob(self, x, *, condition=None, streams=None):  # type: ignore[no-untyped-def]
        return torch.zeros(len(x))


class Drawn(Model, DirectSampler):
    space = SampleSpace("points", (2,))

    def draw(self, streams, *, condition=None):  # type: ignore[no-untyped-def]
        return streams.normal(2)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Drawn(), "needs Density"),
        (Counted(), "that of Counted is discrete"),
        (Flat(), "needs a gradient, and log p of Flat has none"),
    ],
)
def test_what_has_no_gradient_is_refused(model, message):
    with pytest.raises(IncompatibleError, match=message):
        Langevin().check(model)


def test_bounds_are_refused():
    with pytest.raises(IncompatibleError, match="has a bound"):
        Langevin().check(zoo_core.load("ddpm-moons"))


@pytest.mark.parametrize("options", [{"steps": 0}, {"step_size": 0.0}, {"spread": -1.0}])
def test_bad_options_are_named(options):
    with pytest.raises(IncompatibleError, match="langevin"):
        make_sampler(zoo_core.load("nsf-moons"), "langevin", **options)
