r"""A hidden Markov model with categorical emissions, over sequences x_1 … x_T of any length T ≥ 1.

    p(x, T) = (1 − e)^{T−1}·e · Σ_z π_{z_1}·B_{z_1 x_1} Π_{t>1} A_{z_{t−1} z_t}·B_{z_t x_t},

e being the probability of ending after a symbol.  Expected counts are those of forward and backward variables in logs.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoo_core.interfaces import (
    Batch,
    Condition,
    Density,
    DirectSampler,
    Examples,
    Model,
    Ragged,
    SampleSpace,
    StatisticsObjective,
    Streams,
)
from zoo_core.randomness import generator


class HMM(Model, Density[Ragged], DirectSampler[Ragged]):
    def __init__(self, states: int, symbols: int) -> None:
        super().__init__()
        self.space = SampleSpace("tokens", (None,), vocabulary=symbols)
        self.discrete = True
        self.pi: Tensor
        self.A: Tensor
        self.B: Tensor
        self.end: Tensor
        self.register_buffer("pi", torch.full((states,), 1 / states))
        self.register_buffer("A", torch.full((states, states), 1 / states))
        self.register_buffer("B", torch.full((states, symbols), 1 / symbols))
        self.register_buffer("end", torch.tensor(0.1))

    def emissions(self, x: Ragged) -> Tensor:
        """log B_{z x_t}, ``(n, T, states)``; 0 in the padding."""
        symbols = torch.where(x.mask, x.data, 0)
        return torch.where(x.mask[:, :, None], self.B.log().T[symbols], 0.0)

    def forward_variables(self, x: Ragged) -> Tensor:
        """log p(x_1 … x_t, z_t), ``(n, T, states)``; from the end of a row on it stays."""
        e, mask = self.emissions(x), x.mask
        alpha = [self.pi.log() + e[:, 0]]
        for t in range(1, e.shape[1]):
            moved = torch.logsumexp(alpha[-1][:, :, None] + self.A.log(), 1) + e[:, t]
            alpha.append(torch.where(mask[:, t, None], moved, alpha[-1]))
        return torch.stack(alpha, 1)

    def log_prob(self, x: Ragged, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        of_length = (x.lengths - 1) * torch.log1p(-self.end) + self.end.log()
        return torch.logsumexp(self.forward_variables(x)[:, -1], 1) + of_length

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Ragged:
        u = streams.uniform(1).squeeze(1)
        lengths = 1 + (torch.log1p(-u) / torch.log1p(-self.end)).long()
        z, symbols = streams.categorical(self.pi), []
        for t in range(int(lengths.max())):
            z = streams.categorical(self.A[z]) if t else z
            symbols.append(streams.categorical(self.B[z]))
        return Ragged(torch.stack(symbols, 1), lengths)


class BaumWelch(StatisticsObjective[HMM, Ragged]):
    def initialise(self, model: HMM, data: Examples, seed: int) -> None:
        source = generator(seed, "start")
        for value in (model.pi, model.A, model.B):
            random = -torch.rand(value.shape, generator=source).log()  # Dirichlet(1, …, 1)
            value.copy_(random / random.sum(-1, keepdim=True))

    def statistics(self, model: HMM, batch: Batch[Ragged]) -> dict[str, Tensor]:
        x, mask = batch.x, batch.x.mask
        e, alpha = model.emissions(x).double(), model.forward_variables(x).double()
        A = model.A.double().log()
        beta = [torch.zeros_like(alpha[:, 0])]
        for t in range(e.shape[1] - 1, 0, -1):
            moved = torch.logsumexp(A + (e[:, t] + beta[0])[:, None], 2)
            beta.insert(0, torch.where(mask[:, t, None], moved, beta[0]))
        evidence = torch.logsumexp(alpha[:, -1], 1)
        gamma = (alpha + torch.stack(beta, 1) - evidence[:, None, None]).exp() * mask[:, :, None]
        moves = torch.zeros_like(A)
        for t in range(1, e.shape[1]):
            pair = alpha[:, t - 1, :, None] + A + (e[:, t] + beta[t])[:, None] - evidence[:, None, None]
            moves += (pair.exp() * mask[:, t, None, None]).sum(0)
        symbols = torch.nn.functional.one_hot(torch.where(mask, x.data, 0), model.B.shape[1]).double()
        return {
            "pi": gamma[:, 0].sum(0),
            "A": moves,
            "B": torch.einsum("nts,ntv->sv", gamma, symbols),
            "steps": x.lengths.sum().double(),
            "count": torch.tensor(float(len(x)), dtype=torch.float64),
            "log_likelihood": model.log_prob(x).double().sum(),
        }

    def maximise(self, model: HMM, statistics: Mapping[str, Tensor]) -> None:
        for name in ("pi", "A", "B"):
            value = statistics[name]
            getattr(model, name).copy_(value / value.sum(-1, keepdim=True))
        model.end.copy_(statistics["count"] / statistics["steps"])
