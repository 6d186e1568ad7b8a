"""The schedules: their definitions, and diffusers' float32 tables."""

import math

import pytest
import torch

from zoo_ddpm.noise_schedule import betas, discrete_path

OURS_TO_THEIRS = {"linear": "linear", "quadratic": "scaled_linear", "cosine": "squaredcos_cap_v2"}


def test_linear_ends():
    table = betas("linear", 1000)
    assert table[0] == pytest.approx(1e-4, rel=1e-14)
    assert table[-1] == pytest.approx(0.02, rel=1e-14)


def test_cosine_is_its_definition_until_the_cap():
    path = discrete_path("cosine", 1000)

    def f(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    for k in (0, 1, 499, 998):
        assert path.alpha_bar(path.time(k)) == pytest.approx(f((k + 1) / 1000) / f(0), rel=1e-9)
    assert betas("cosine", 1000)[-1] == 0.999


@pytest.mark.parametrize("schedule", OURS_TO_THEIRS)
@pytest.mark.parametrize("steps", [10, 1000])
def test_agrees_with_diffusers(schedule, steps):
    """diffusers keeps float32 tables: 1e-7 on β, and 2e-5 relative on ᾱ after a thousand products."""
    schedulers = pytest.importorskip("diffusers")
    theirs = schedulers.DDPMScheduler(
        num_train_timesteps=steps, beta_start=1e-4, beta_end=0.02, beta_schedule=OURS_TO_THEIRS[schedule]
    )
    ours = torch.tensor(betas(schedule, steps), dtype=torch.float64)
    assert (ours - theirs.betas.double()).abs().max() < 1e-7
    path = discrete_path(schedule, steps)
    alpha_bar = torch.tensor([path.alpha_bar(path.time(k)) for k in range(steps)], dtype=torch.float64)
    assert ((alpha_bar - theirs.alphas_cumprod.double()) / alpha_bar).abs().max() < 2e-5


def test_refuses_what_is_no_schedule():
    with pytest.raises(ValueError, match="expected one of linear, quadratic, cosine"):
        betas("sigmoid", 10)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 2"):
        betas("linear", 1)
