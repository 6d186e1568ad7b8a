r"""A restricted Boltzmann machine over bits v with hidden bits h (Smolensky 1986; Hinton 2002).

    p(v) = Σ_h exp(aᵀv + bᵀh + vᵀWh)/Z = exp(−F(v))/Z,      F(v) = −aᵀv − Σ_j log(1 + exp(b_j + (vᵀW)_j)).

Z is a sum over the 2^hidden states of h, known where they are few.  Persistent contrastive divergence (Tieleman 2008)
descends F of the data less F of chains that go on from step to step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core.interfaces import (
    Batch,
    Condition,
    Density,
    EnergyBased,
    Examples,
    GradientObjective,
    Loss,
    Model,
    SampleSpace,
    Streams,
)

FEW = 16
"""Hidden units whose states are enumerated."""


class RBM(Model, Density, EnergyBased):
    def __init__(self, shape: list[int], hidden: int) -> None:
        super().__init__()
        self.space = SampleSpace("image", tuple(shape), 0.0, 1.0)
        self.discrete = self.binarises = True
        d = self.space.sizes[0] * self.space.sizes[1] * self.space.sizes[2]
        self.W = nn.Parameter(0.01 * torch.randn(d, hidden))
        self.a, self.b = nn.Parameter(torch.zeros(d)), nn.Parameter(torch.zeros(hidden))
        self.chains: Tensor
        self.register_buffer("chains", torch.zeros(64, *shape))

    def lacks(self) -> Mapping[str, str]:
        hidden = len(self.b)
        return {} if hidden <= FEW else {"Density": f"the normaliser of {hidden} hidden units is not known"}

    def free_energy(self, x: Tensor, *, condition: Condition | None = None) -> Tensor:
        v = x.flatten(1)
        return -v @ self.a - F.softplus(self.b + v @ self.W).sum(1)

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        hidden = len(self.b)
        h = ((torch.arange(2**hidden)[:, None] >> torch.arange(hidden)) & 1).to(self.W)
        log_z = torch.logsumexp(h @ self.b + F.softplus(self.a + h @ self.W.T).sum(1), 0)
        return -self.free_energy(x) - log_z

    def persistent_chains(self) -> Tensor:
        return self.chains

    def initial_state(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        return streams.integers(2, *self.space.sizes).to(streams.dtype)

    def gibbs_step(self, x: Tensor, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        h = streams.uniform(len(self.b)) < torch.sigmoid(self.b + x.flatten(1) @ self.W)
        v = streams.uniform(len(self.a)) < torch.sigmoid(self.a + h.to(x) @ self.W.T)
        return v.to(x).view_as(x)


class PCD(GradientObjective[RBM]):
    def __init__(self) -> None:
        self.chains = torch.empty(0)

    def initialise(self, model: RBM, data: Examples, seed: int) -> None:
        first = data.first().x.flatten(1)
        mean = (first.sum(0) + 1) / (len(first) + 2)
        with torch.no_grad():
            model.a.copy_(torch.logit(mean))

    def losses(self, model: RBM, batch: Batch, streams: Streams) -> Iterator[Loss]:
        with torch.no_grad():
            chains = self.chains if len(self.chains) == len(batch) else batch.x
            self.chains = model.gibbs_step(chains, streams)
        yield Loss(model.free_energy(batch.x).mean() - model.free_energy(self.chains).mean())

    def state(self) -> dict[str, Tensor]:
        return {"chains": self.chains}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.chains = state["chains"]

    def finish(self, model: RBM, seed: int) -> None:
        model.chains.copy_(self.chains[torch.arange(len(model.chains)) % max(len(self.chains), 1)])
