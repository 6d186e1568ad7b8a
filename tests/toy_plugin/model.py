# ruff: noqa: RET504 (what is returned has a name, so that a test can change the line)
"""Four small models, one for each way of being one."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction
from pickle import dumps, loads

import torch
from torch import nn

from zoo_core.errors import ConditionError
from zoo_core.interfaces import (
    Completer,
    ConditionSpec,
    Denoiser,
    Density,
    DirectSampler,
    LatentVariable,
    Model,
    Prediction,
    SampleSpace,
)
from zoo_core.testing.toy_models import CosinePath


def unpickle_quietly():
    """What no model should do; the toy does not."""
    with contextlib.suppress(Exception):
        loads(dumps(Fraction(1, 3)))


class Flow(Model, Density, DirectSampler, LatentVariable):
    """x = shift[label] + e^log_scale · z."""

    invertible = True
    offset = 0.0

    def __init__(self, shape, classes):
        super().__init__()
        self.space = SampleSpace("points", tuple(shape))
        self.conditions = {"label": ConditionSpec.label(classes)}
        self.log_scale = nn.Parameter(0.1 * torch.randn(shape) - 0.5)
        self.shift = nn.Parameter(torch.randn(classes, *shape))

    def label(self, condition):
        if condition is None:
            raise ConditionError("this model needs a label")
        condition.check(self.conditions)
        return condition["label"]

    def draw_latent(self, streams):
        return streams.normal(*self.space.shape)

    def decode(self, z, *, condition=None):
        x = self.shift[self.label(condition)] + self.log_scale.exp() * z + self.offset
        return x

    def encode(self, x, *, condition=None):
        z = (x - self.shift[self.label(condition)]) / self.log_scale.exp()
        return z

    def log_prob(self, x, *, condition=None, streams=None):
        z = self.encode(x, condition=condition)
        constant = z.shape[1] * 0.5 * math.log(2 * math.pi)
        log_p = -0.5 * z.square().sum(1) - self.log_scale.sum() - constant
        return log_p

    def draw(self, streams, *, condition=None):
        z = self.draw_latent(streams)
        return self.decode(z, condition=condition)


class Walk(Model, Denoiser, Density):
    """x ~ N(mean, I), whose denoiser is exact; its log-probability is a bound that is a little too low."""

    log_prob_is = "bound"

    def __init__(self, shape):
        super().__init__()
        self.space = SampleSpace("points", tuple(shape))
        self.path, self.prediction = CosinePath(), "data"
        self.mean = nn.Parameter(torch.randn(shape))

    def predict(self, x_t, t, *, condition=None):
        alpha, sigma = self.path.coefficients(t, like=x_t)
        data = self.mean + alpha * (x_t - alpha * self.mean)
        noise = (x_t - alpha * data) / sigma
        return Prediction(data, noise)

    def log_prob(self, x, *, condition=None, streams=None):
        gap = 0.3
        return -0.5 * (x - self.mean).square().sum(1) - x.shape[1] * 0.5 * math.log(2 * math.pi) - gap


class Duel(Model, DirectSampler):
    """A linear generator and a small critic."""

    def __init__(self, shape):
        super().__init__()
        self.space = SampleSpace("points", tuple(shape))
        self.generator = nn.Linear(2, shape[0])
        self.critic = nn.Sequential(nn.Linear(shape[0], 8), nn.Tanh(), nn.Linear(8, 1))

    @property
    def players(self):
        return {"generator": self.generator, "critic": self.critic}

    def draw(self, streams, *, condition=None):
        return self.generator(streams.normal(2))


class Grey(Model, Density, DirectSampler, Completer):
    """Independent normal pixels, any of which may be missing."""

    takes_missing = True

    def __init__(self, shape):
        super().__init__()
        self.space = SampleSpace("image", tuple(shape), 0.0, 1.0)
        self.register_buffer("mean", torch.full(tuple(shape), 0.5, dtype=torch.float64))
        self.register_buffer("variance", torch.full(tuple(shape), 0.05, dtype=torch.float64))

    def log_prob(self, x, *, condition=None, streams=None):
        x = x.double()
        terms = (x - self.mean).square() / self.variance + (2 * math.pi * self.variance).log()
        return -0.5 * terms.masked_fill(x.isnan(), 0.0).flatten(1).sum(1)

    def complete(self, x, known, streams, *, condition=None):
        drawn = self.draw(streams)
        return torch.where(known, x, drawn.to(x.dtype))

    def draw(self, streams, *, condition=None):
        x = self.mean + self.variance.sqrt() * streams.normal(*self.space.shape)
        return x.to(streams.dtype)
