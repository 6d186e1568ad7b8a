"""Path samplers against closed forms: where the exact denoiser is known, samples have the exact distribution."""

import math
from itertools import pairwise

import pytest
import torch

from zoo_core.errors import ConditionError, IncompatibleError
from zoo_core.interfaces import Condition, ConditionSpec, Denoiser, DirectSampler, Model, SampleSpace, Streams
from zoo_core.paths import DiscretePath, GaussianPath, Prediction, to_prediction
from zoo_core.samplers.ancestral import Ancestral
from zoo_core.samplers.ddim import DDIM
from zoo_core.samplers.direct import Direct
from zoo_core.sampling import sample


class Linear(GaussianPath):
    def alpha(self, t):
        return 1.0 - t

    def sigma(self, t):
        return t


def beta_table(steps=1000):
    table, bar = [], 1.0
    for k in range(steps):
        bar *= 1 - (1e-4 + (0.02 - 1e-4) * k / (steps - 1))
        table.append(bar)
    return DiscretePath(table)


class Gaussian(Model, Denoiser):
    """The exact denoiser of N(m, s²) on any path: E[x | x_t] = m + α s²/(α² s² + σ²)·(x_t − α m)."""

    mean, scale = 1.5, 0.5

    def __init__(self, path, kind="points", low=None, high=None):
        super().__init__()
        self.path, self.prediction = path, "data"
        self.space = SampleSpace(kind, (1,), low, high)
        self.register_buffer("one", torch.ones((), dtype=torch.float64))

    def predict(self, x_t, t, *, condition=None):
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        s2 = self.scale**2
        data = self.mean + alpha * s2 / (alpha**2 * s2 + sigma**2) * (x_t - alpha * self.mean)
        return to_prediction(self.path, "data", x_t, t, data)


@pytest.mark.parametrize("path", [beta_table(), Linear()], ids=["ddpm", "linear"])
def test_ddim_maps_the_prior_onto_the_data_at_first_order(path):
    """The flow of a Gaussian is linear, x = m + s/√(α²s² + σ²)·(x_T − αm): the error of DDIM falls as 1/steps."""
    model = Gaussian(path)
    x_T = torch.linspace(-2, 2, 9, dtype=torch.float64).unsqueeze(1)
    alpha, sigma = path.alpha(1.0), path.sigma(1.0)
    spread = math.sqrt(alpha**2 * model.scale**2 + sigma**2)
    exact = model.mean + model.scale / spread * (x_T - alpha * model.mean)
    errors = []
    for steps in (50, 100, 200):
        streams = Streams(0, "test", 0, 9, dtype=torch.float64)
        errors.append((DDIM(steps).sample(model, streams, noise=x_T) - exact).abs().max().item())
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert errors[-1] < 0.02
    assert all(0.8 < slope < 1.3 for slope in slopes)


@pytest.mark.parametrize(
    "sampler",
    [
        Ancestral(500, variance="fixed_large"),
        Ancestral(500, variance="fixed_small"),
        DDIM(500),
        DDIM(500, eta=0.5),
        DDIM(500, eta=1.0),
    ],
    ids=["large", "small", "ddim", "eta0.5", "eta1"],
)
def test_samples_have_the_right_mean_and_spread(sampler):
    """2,000 samples: four standard errors are 0.045 for the mean and 0.032 for the standard deviation; five hundred
    first-order steps are off by less than 0.01."""
    x = sample(Gaussian(beta_table()), 2000, sampler=sampler, batch_size=2000)
    assert x.mean().item() == pytest.approx(1.5, abs=0.055)
    assert x.std().item() == pytest.approx(0.5, abs=0.042)


def test_the_last_step_returns_the_data_prediction():
    model = Gaussian(beta_table())
    seen = []
    x = DDIM(10).sample(model, Streams(0, "t", 0, 3, dtype=torch.float64), observer=seen.append)
    assert torch.equal(x, seen[-1].data)
    assert [frame.step for frame in seen] == list(range(1, 11))


def test_clipping_holds_the_data_in_its_range():
    model = Gaussian(beta_table(), "image", -1.0, 1.0)  # the mean 1.5 lies outside
    x = DDIM(20).sample(model, Streams(0, "t", 0, 50, dtype=torch.float64))
    assert x.max() <= 1.0
    free = DDIM(20, clip=False).sample(model, Streams(0, "t", 0, 50, dtype=torch.float64))
    assert free.max() > 1.0


def test_sample_i_depends_on_the_seed_and_on_i_only():
    """Element-wise arithmetic: to the bit, whatever the batch size and the part of the run."""
    model = Gaussian(beta_table())
    whole = sample(model, 20, sampler=Ancestral(50), seed=3)
    for size in (1, 7, 20):
        assert torch.equal(whole, sample(model, 20, sampler=Ancestral(50), seed=3, batch_size=size))
    assert torch.equal(whole[12:], sample(model, 8, sampler=Ancestral(50), seed=3, first=12))
    assert not torch.equal(whole, sample(model, 20, sampler=Ancestral(50), seed=4))


def test_nothing_draws_from_the_global_generator():
    before = torch.get_rng_state()
    sample(Gaussian(beta_table()), 5, sampler=Ancestral(10))
    assert torch.equal(before, torch.get_rng_state())


class Labelled(Gaussian):
    """Classes are means; without a label the mean is 0."""

    conditions = {"label": ConditionSpec.label(3)}  # noqa: RUF012

    def predict(self, x_t, t, *, condition=None):
        mean = (
            torch.zeros(len(x_t), 1, dtype=x_t.dtype) if condition is None else condition["label"].unsqueeze(1).to(x_t)
        )
        data = mean + 0.0 * x_t
        return Prediction(data, (x_t - self.path.alpha(t) * data) / self.path.sigma(t))


def test_guidance_moves_the_prediction_along_the_condition():
    model, condition = Labelled(beta_table()), Condition(label=torch.tensor([0, 1, 2]))
    for scale in (0.0, 1.0, 3.0):
        x = sample(model, 3, sampler=DDIM(10), condition=condition, guidance=scale)
        assert torch.allclose(x.squeeze(1), scale * torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64))


@pytest.mark.parametrize("condition", [Condition(label=torch.tensor([0, 3])), Condition(label=torch.tensor([-1, 0]))])
def test_a_condition_out_of_range_is_refused(condition):
    with pytest.raises(ConditionError, match="out of range; expected 0 … 2"):
        sample(Labelled(beta_table()), 2, sampler=DDIM(10), condition=condition)


def test_an_unknown_condition_is_refused():
    with pytest.raises(ValueError, match="no condition 'speaker'"):
        sample(Labelled(beta_table()), 1, sampler=DDIM(2), condition=Condition(speaker=torch.tensor([0])))


class Coupled(Linear):
    independent = False


def test_what_does_not_fit_says_why():
    with pytest.raises(IncompatibleError, match="couples noise and data"):
        Ancestral(10).check(Gaussian(Coupled()))
    DDIM(10).check(Gaussian(Coupled()))
    with pytest.raises(IncompatibleError, match="needs DirectSampler"):
        Direct().check(Gaussian(Linear()))
    with pytest.raises(IncompatibleError, match="eta = 2"):
        DDIM(10, eta=2.0)
    with pytest.raises(IncompatibleError, match="steps = 0"):
        DDIM(0)
    with pytest.raises(IncompatibleError, match="was trained with fixed_small"):
        Ancestral(10, variance="learned").sample(Gaussian(beta_table()), Streams(0, "t", 0, 1))


class Dice(Model, DirectSampler):
    """A model that draws in one go."""

    def __init__(self):
        super().__init__()
        self.space = SampleSpace("points", (1,))

    def draw(self, streams, *, condition=None):
        return streams.integers(6, 1).float()


def test_direct_models_draw():
    x = sample(Dice(), 600, sampler="direct", seed=1)
    assert set(x.flatten().tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}
    assert torch.equal(x[:10], sample(Dice(), 10, sampler="direct", seed=1, batch_size=3))
    with pytest.raises(IncompatibleError, match="has no option 'steps'; it has none"):
        sample(Dice(), 1, sampler="direct", steps=3)
    with pytest.raises(IncompatibleError, match="needs Denoiser"):
        sample(Dice(), 1, sampler="ddim")
    with pytest.raises(IncompatibleError, match="no default sampler"):
        sample(Dice(), 1)
