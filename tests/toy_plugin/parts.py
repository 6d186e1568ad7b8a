# ruff: noqa: RET504 (what is returned has a name, so that a test can change the line)
"""A sampler, three metrics and three objectives."""

from __future__ import annotations

import torch
from torch.nn.functional import softplus

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import GradientObjective, Loss, Metric, Result, StatisticsObjective
from zoo_core.samplers.ddim import DDIM


class Steps(DDIM):
    name = "toy-steps"

    def misfit(self, model):
        return super().misfit(model)

    def draw(self, model, call):
        x = super().draw(model, call)
        return x


class Mean(Metric):
    uses = "samples"
    often = True

    def by_default(self, model):
        return self.often

    def check(self, model, data):
        if data.split == "test":
            raise IncompatibleError("compared with the training split")

    def init(self, model, data):
        return torch.zeros(0, dtype=torch.float64)

    def update(self, state, model, batch, streams):
        values = batch.x.flatten(1).mean(1).double()
        return self.merge(state, values)

    def merge(self, a, b):
        return torch.cat([a, b])

    def compute(self, state):
        mean, stderr = state.mean().item(), state.std().item() / len(state) ** 0.5
        return Result(mean, stderr, len(state), "", "lower", {}, "plain mean")


class Rare(Mean):
    often = False


class Whole(Mean):
    def check(self, model, data):
        if data.split == "tiny":
            raise IncompatibleError("this needs the whole of it")

    def merge(self, a, b):
        both = torch.cat([a, b])
        return both


class Likelihood(GradientObjective):
    def losses(self, model, batch, streams):
        noise = 0.01 * streams.normal(*batch.x.shape[1:])
        value = -model.log_prob(batch.x + noise, condition=batch.condition).mean()
        yield Loss(value, terms={"nats": value.detach()})


class Game(GradientObjective):
    def losses(self, model, batch, streams):
        fake = model.generator(streams.normal(2))
        value = softplus(-model.critic(batch.x)).mean() + softplus(model.critic(fake.detach())).mean()
        yield Loss(value, "critic")
        yield Loss(softplus(-model.critic(model.generator(streams.normal(2)))).mean(), "generator")


class Moments(StatisticsObjective):
    weighs = True

    def initialise(self, model, data, seed):
        model.mean.fill_(0.5)
        model.variance.fill_(0.1)

    def statistics(self, model, batch):
        x = batch.x.double()
        w = torch.ones(len(x), dtype=torch.float64) if batch.weights is None else batch.weights.double()
        log_p = model.log_prob(x)
        seen = torch.where(x.isnan(), model.mean, x)
        squares = seen.square() + x.isnan() * model.variance
        return {
            "first": torch.tensordot(w, seen, 1),
            "second": torch.tensordot(w, squares, 1),
            "log_likelihood": (w * log_p).sum(),
            "count": w.sum(),
        }

    def maximise(self, model, statistics):
        mean = statistics["first"] / statistics["count"]
        model.mean.copy_(mean)
        model.variance.copy_(statistics["second"] / statistics["count"] - mean.square() + 1e-6)
