"""Whole trajectories of our samplers against those of diffusers, with a nonlinear network on every path."""

import json
import math
from itertools import accumulate, pairwise
from operator import mul

import pytest
import torch
from click.testing import CliRunner

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Denoiser, DirectSampler, Model, SampleSpace, Streams
from zoo_core.paths import (
    CosinePath,
    DiscretePath,
    LinearPath,
    SubVariancePreserving,
    VarianceExploding,
    VariancePreserving,
    to_prediction,
)
from zoo_core.samplers.ancestral import Ancestral
from zoo_core.samplers.dpm_solver import DPMSolver
from zoo_core.samplers.langevin import PredictorCorrector, langevin_step
from zoo_diffusers.crosscheck.__main__ import command
from zoo_diffusers.crosscheck.report import crosscheck

diffusers = pytest.importorskip("diffusers")

LINEAR_TABLE = DiscretePath([*accumulate((1 - 1e-4 - 0.0199 * k / 999 for k in range(1000)), mul)])
PATHS = {
    "ddpm": LINEAR_TABLE,
    "linear": LinearPath(),
    "cosine": CosinePath(),
    "vp": VariancePreserving(),
    "subvp": SubVariancePreserving(),
    "ve": VarianceExploding(),
}
SAMPLES_OF_TABLES = {
    "ancestral variance=fixed_small",
    "ddim",
    "ddim eta=0.5",
    "ddim eta=1",
    "euler coordinate=sigma",
    "heun coordinate=sigma",
    "dpm-solver order=1",
    "dpm-solver order=2",
    "dpm-solver order=3 published=true",
    "dpm-solver order=1 sde=true",
    "dpm-solver order=2 sde=true",
    "unipc order=1",
    "unipc order=2",
    "unipc order=3",
}
OWN = {  # diffusers' schedulers with a path of their own
    "ddpm": {"CMStochasticIterativeScheduler"},
    "linear": {"FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"},
    "cosine": set(),
    "vp": {"ScoreSdeVpScheduler", "CMStochasticIterativeScheduler"},
    "subvp": {"CMStochasticIterativeScheduler"},
    "ve": {"ScoreSdeVeScheduler", "CMStochasticIterativeScheduler"},
}


class Wavy(Model, Denoiser):
    """A bounded, nonlinear answer that mixes coordinates and depends on t: a wrong time or a wrong ε̂ shows."""

    def __init__(self, path, bounded=True):
        super().__init__()
        self.path, self.prediction = path, "v"
        self.space = SampleSpace("points", (6,), *((-1.0, 1.0) if bounded else (None, None)))
        self.register_buffer("one", torch.ones((), dtype=torch.float64))

    def predict(self, x_t, t, *, condition=None):
        size = math.hypot(self.path.alpha(t), self.path.sigma(t))
        y = x_t / size
        answer = torch.tanh(0.7 * y + 0.3 * y.roll(1, -1)) + 0.2 * math.sin(6.0 * t)
        return to_prediction(self.path, "v", x_t, t, answer * size)


@pytest.mark.filterwarnings("ignore")  # of diffusers, on import and for deprecated schedulers
@pytest.mark.parametrize("name", PATHS)
def test_trajectories_agree(name):
    """Where diffusers computes in float64: 1e-12 over twenty steps.  Where it rounds the state to float32 at every
    step, 6e-8 each time: 5e-6."""
    rows = list(crosscheck(Wavy(PATHS[name])))
    names = {row.sampler for row in rows}
    assert names >= SAMPLES_OF_TABLES
    assert {row.scheduler for row in rows} >= OWN[name]
    assert ("ancestral variance=fixed_large" in names) == (name in ("ddpm", "cosine", "vp", "ve"))
    for row in rows:
        assert row.agrees
        assert len(row.differences) == row.steps
        exact = row.tolerance < 1e-6
        assert row.largest < (1e-12 if exact else 5e-6), row
    assert sum(row.tolerance < 1e-6 for row in rows) >= 3


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PATHS)
def test_clipped_trajectories_agree(name):
    """DDPM and DDIM hold x̂ in [−1, 1], and DDIM derives ε̂ anew where it is told to; we always do."""
    rows = list(crosscheck(Wavy(PATHS[name]), clip=True, steps=10))
    assert {row.scheduler for row in rows} == {"DDPMScheduler", "DDIMScheduler"}
    assert all(row.largest < 1e-12 for row in rows)
    free = list(crosscheck(Wavy(PATHS[name]), steps=10, only="DDIM"))
    assert {row.sampler for row in free} == {"ddim", "ddim eta=0.5"}


@pytest.mark.filterwarnings("ignore")
def test_third_order_as_published_lacks_a_factor_of_two():
    """diffusers' third order takes half of x̂″ (see dpm_solver.py), and is ours with ``published``; the true one is not
    theirs; that it has order 3 is measured in test_path_samplers.py."""
    from zoo_diffusers.crosscheck.tables import TABLE_CHECKS, run_theirs
    from zoo_diffusers.crosscheck.trajectory import Draws, run_ours, table_grid

    model = Wavy(VariancePreserving(), bounded=False)
    check = next(c for c in TABLE_CHECKS if c.name.startswith("dpm-solver order=3"))
    y = Streams(0, "test", 0, 4, dtype=torch.float64).normal(6)
    grid = table_grid(model.path, 40)
    theirs = run_theirs(model, check, grid, y, 0, clip=False)[-2]

    def ours(**options):
        draws = Draws(0, 4, torch.float64, torch.float64)
        return run_ours(model, DPMSolver(40, 3, clip=False, **options), grid.times, y, draws)[-2]

    assert (ours(published=True) - theirs).abs().max() < 5e-6
    assert (ours() - theirs).abs().max() > 1e-4


def batch_share(z, score, snr, sigma):
    """ε/σ² of score_sde's corrector: 2·(snr·‖z‖/‖s‖)², the norms averaged over the batch."""
    of_noise, of_score = (v.flatten(1).norm(dim=1).mean().item() for v in (z, score))
    return 2.0 * (snr * of_noise / of_score) ** 2 / sigma**2


@pytest.mark.filterwarnings("ignore")
def test_langevin_corrector_is_that_of_score_sde():
    """One correction of the size that the batch's mean norms give, as theirs, to rounding (theirs draws in float32);
    with the size that we take, a sample does not depend on the batch."""
    from zoo_diffusers.crosscheck.trajectory import Draws

    scheduler = diffusers.ScoreSdeVeScheduler(snr=0.16)
    scheduler.set_timesteps(10)
    x = Streams(0, "x", 0, 3, dtype=torch.float64).normal(6)
    score = Streams(0, "score", 0, 3, dtype=torch.float64).normal(6) * torch.tensor([[0.5], [1.0], [3.0]])
    theirs = scheduler.step_correct(score, x, generator=torch.Generator().manual_seed(1)).prev_sample
    z = Draws(1, 3, torch.float32, torch.float64).normal(6)
    path = VarianceExploding()
    t = path.time_of_log_snr(0.0)  # σ = 1

    def corrected(step, x, score, z):
        return step.data * (x + score) + step.state * x + step.fresh * z

    ours = corrected(langevin_step(path, t, batch_share(z, score, 0.16, 1.0)), x, score, z)
    assert (ours - theirs).abs().max() < 1e-6
    own, _ = PredictorCorrector(snr=0.16).plan(Wavy(path), [t, 0.0])
    together = corrected(own, x, score, z)
    assert torch.equal(together[2:], corrected(own, x[2:], score[2:], z[2:]))
    assert (together - theirs).abs().max() > 1e-2


@pytest.mark.filterwarnings("ignore")
def test_predictor_corrector_is_that_of_score_sde(monkeypatch):
    """The whole loop of a variance-exploding model.  Their predictor is the reverse-diffusion one, ancestral sampling
    with the large variance, where ours is Euler–Maruyama: it takes the place of ours here.  Their corrector draws
    in float32, their predictor in the state's dtype: both draw from one list here.  Their step size is rounded to
    float32, 6e-8 of it: 1e-5 on states of size 50."""
    path, steps = VarianceExploding(), 10
    model = Wavy(path, bounded=False)

    def noises():
        return iter(Streams(3, "z", 0, 2 * steps, dtype=torch.float64).normal(3, 6))

    times = [1.0 + i * (1e-5 - 1.0) / (steps - 1) for i in range(steps)] + [0.0]
    scheduler = diffusers.ScoreSdeVeScheduler(steps, snr=0.17, sigma_min=path.sigma_min, sigma_max=path.sigma_max)
    scheduler.set_timesteps(steps)
    scheduler.set_sigmas(steps)
    scheduler.discrete_sigmas = torch.tensor([path.sigma(t) for t in reversed(times[:-1])], dtype=torch.float64)
    start = path.sigma_max * Streams(0, "x", 0, 3, dtype=torch.float64).normal(6)
    drawn = noises()
    monkeypatch.setattr("diffusers.schedulers.scheduling_sde_ve.randn_tensor", lambda *a, **k: next(drawn))
    x, theirs = start, []
    for t, s in pairwise(times):
        x = scheduler.step_correct(-model.predict(x, t).noise / path.sigma(t), x).prev_sample
        score = -model.predict(x, t).noise / path.sigma(t)
        step = scheduler.step_pred(score, torch.tensor(t, dtype=torch.float64), x)
        x = step.prev_sample if s > 0.0 else step.prev_sample_mean
        theirs.append(x)

    y, z, ours = start, noises(), []
    for t, s in pairwise(times):
        fresh, prediction = next(z), model.predict(y, t)
        share = batch_share(fresh, prediction.noise / path.sigma(t), 0.17, path.sigma(t))
        step = langevin_step(path, t, share)
        y = step.data * prediction.data + step.state * y + step.fresh * fresh
        step = Ancestral(steps, "fixed_large").plan(model, [t, s])[0]
        y = step.data * model.predict(y, t).data + step.state * y
        y = y + step.fresh * next(z) if step.fresh else y
        ours.append(y)
    assert max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True)) < 1e-5


@pytest.mark.filterwarnings("ignore")
def test_coupled_paths_leave_out_what_adds_noise():
    rows = list(crosscheck(Wavy(LinearPath(independent=False)), steps=5))
    names = {row.sampler for row in rows}
    assert "dpm-solver order=2" in names
    assert not names & {"ancestral variance=fixed_small", "ddim eta=0.5", "dpm-solver order=1 sde=true", "consistency"}


class Dice(Model, DirectSampler):
    def __init__(self):
        super().__init__()
        self.space = SampleSpace("points", (1,))

    def draw(self, streams, *, condition=None):
        return streams.integers(6, 1).float()


def test_what_cannot_be_compared_says_why():
    with pytest.raises(IncompatibleError, match="needs Denoiser, which Dice is not"):
        next(crosscheck(Dice()))
    with pytest.raises(IncompatibleError, match="steps = 1"):
        next(crosscheck(Wavy(LinearPath()), steps=1))
    with pytest.raises(IncompatibleError, match="has no range to clip to"):
        next(crosscheck(Wavy(LinearPath(), bounded=False), clip=True))


def test_a_difference_is_a_failure():
    """A number that is no number is a difference too."""
    from zoo_diffusers.crosscheck.report import Row

    assert Row("ours", "theirs", 2, [1e-9, 2e-9], 1e-8).agrees
    assert not Row("ours", "theirs", 2, [1e-9, 2e-8], 1e-8).agrees
    broken = Row("ours", "theirs", 2, [1e-9, math.nan], 1e-8)
    assert not broken.agrees
    assert broken.largest == math.inf


@pytest.mark.filterwarnings("ignore")
def test_the_verb():
    """Two steps of one sampler on a shipped model: the table, its JSON, and a word that fits nothing."""
    shown = CliRunner().invoke(command, ["ddpm-mnist-plain", "--steps", "2", "-n", "1", "--only", "DDIM"])
    assert shown.exit_code == 0, shown.output
    assert "DDIMScheduler" in shown.output
    assert "yes" in shown.output
    one = ["ddpm-mnist-plain", "--steps", "2", "-n", "1", "--only", "unipc order=2", "--json"]
    shown = CliRunner().invoke(command, one)
    (row,) = json.loads(shown.output)
    assert row["agrees"]
    assert row["largest"] == max(row["differences"])
    missing = CliRunner().invoke(command, ["ddpm-mnist-plain", "--only", "nothing-such"])
    assert missing.exit_code != 0
