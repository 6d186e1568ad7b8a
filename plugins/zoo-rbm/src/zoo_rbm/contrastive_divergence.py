r"""Contrastive divergence: F is lowered at the data, and raised at states of the machine's own chains.

The gradient of the log-likelihood is E_model ∇F − E_data ∇F.  The first expectation is over states of chains that take
k sweeps: from the data of the batch (CD-k, Hinton 2002), or from where they were at the last step (PCD, Tieleman 2008).

The gradient is *centred* (Montavon & Müller 2012; Melchior et al. 2016).  With offsets μ and λ, moving averages of the
visible and hidden units of the data, and g the plain gradient,

    g'_W = g_W − g_a λᵀ − μ g_bᵀ,    g'_a = g_a − g'_W λ,    g'_b = g_b − g'_Wᵀ μ,

is the gradient of the same machine written with u − μ and h − λ in place of u and h.  Its steps do not depend on which
of black and white is called 1, and it reaches a better likelihood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Examples, GradientObjective, Loss, Streams
from zoo_rbm.model import RestrictedBoltzmannMachine

__all__ = ["ContrastiveDivergence", "PersistentContrastiveDivergence"]

OFFSET_RATE = 0.01
"""Share of the newest batch in the moving averages μ and λ (Melchior et al. 2016)."""

FIRST = 10_000
"""Most examples from which the biases are set: in a batch of a hundred, a pixel that is rarely black is never black."""

SETTLING = 100
"""Sweeps of the stored chains after training, which bring them from the last weights to the averaged ones."""


class _WithGradients(torch.autograd.Function):
    """A number whose gradients are given, not derived: those of parameters, in their order."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, *gradients_and_parameters: Tensor) -> Tensor:
        ctx.gradients = gradients_and_parameters[: len(gradients_and_parameters) // 2]
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> Any:
        given = [above[0] * each for each in ctx.gradients]
        return (None, *[None for _ in given], *given)


class ContrastiveDivergence(GradientObjective[RestrictedBoltzmannMachine, Tensor]):
    """Contrastive divergence with chains that start from the data, CD-k.

    Args:
        steps: number k of sweeps, at least 1.
        centred: whether the gradient is centred.

    Raises:
        IncompatibleError: there is no sweep.
    """

    def __init__(self, steps: int = 1, centred: bool = True) -> None:
        if steps < 1:
            raise IncompatibleError(f"steps = {steps}; expected at least one sweep")
        self.steps, self.centred = steps, centred
        self.offsets: dict[str, Tensor] = {}

    def initialise(self, model: RestrictedBoltzmannMachine, data: Examples, seed: int) -> None:
        first = next(iter(data.batches(FIRST)))
        model.start(first, Streams(seed, "start", 0, len(first), device=model.device))

    def negatives(self, model: RestrictedBoltzmannMachine, batch: Batch[Tensor], streams: Streams) -> Tensor:
        """Draws the states at which F is raised, ``(n, *space.shape)``."""
        return self.swept(model, batch.x, streams)

    def swept(self, model: RestrictedBoltzmannMachine, x: Tensor, streams: Streams) -> Tensor:
        """Returns states after k sweeps."""
        for _ in range(self.steps):
            x = model.gibbs_step(x, streams)
        return x

    def losses(self, model: RestrictedBoltzmannMachine, batch: Batch[Tensor], streams: Streams) -> Iterator[Loss]:
        with torch.no_grad():
            states = self.negatives(model, batch, streams)
        n = len(batch)
        share = batch.x.new_ones(n) if batch.weights is None else batch.weights.to(batch.x)
        share = share / share.sum()
        x = torch.cat([batch.x, states])  # data and chains at once: one product forward, and one back
        inputs = model.inputs(x)
        gap = torch.cat([share, share.new_full((len(states),), -1 / len(states))]) @ model.energy_at(x, inputs)
        if not self.centred:
            yield Loss(gap)
            return
        parameters = list(model.parameters())
        gradients = dict(zip(map(id, parameters), torch.autograd.grad(gap, parameters), strict=True))
        with torch.no_grad():
            self._move_offsets("visible", share @ model.units(batch.x))
            self._move_offsets("hidden", share @ torch.sigmoid(inputs[:n]))
            mu, lambda_ = self.offsets["visible"], self.offsets["hidden"]
            g_a, g_b = gradients[id(model.a)], gradients[id(model.b)]
            weights = gradients[id(model.W)].addr_(g_a, lambda_, alpha=-1).addr_(mu, g_b, alpha=-1)
            gradients[id(model.a)], gradients[id(model.b)] = g_a - weights @ lambda_, g_b - mu @ weights
        yield Loss(_WithGradients.apply(gap.detach(), *gradients.values(), *parameters))  # type: ignore[no-untyped-call]

    def _move_offsets(self, which: str, mean: Tensor) -> None:
        self.offsets[which] = torch.lerp(self.offsets.get(which, mean), mean, OFFSET_RATE)

    def state(self) -> dict[str, Tensor]:
        return dict(self.offsets)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.offsets = {key: state[key] for key in ("visible", "hidden") if key in state}

    def finish(self, model: RestrictedBoltzmannMachine, seed: int) -> None:
        """Stores the states of chains with the weights, where the model has room for some."""
        if model.chains is None:
            return
        streams = Streams(seed, "stored chains", 0, len(model.chains), device=model.device, dtype=model.state_dtype)
        with torch.no_grad():
            x = self.settled_from(model, streams)
            for _ in range(SETTLING):
                x = model.gibbs_step(x, streams)
            model.chains.copy_(x)

    def settled_from(self, model: RestrictedBoltzmannMachine, streams: Streams) -> Tensor:
        """Returns the states from which the stored chains settle."""
        return model.initial_state(streams)


class PersistentContrastiveDivergence(ContrastiveDivergence):
    """Contrastive divergence with chains that go on from step to step, PCD-k.

    Each of several processes has chains of its own.

    Args:
        steps: number k of sweeps at every step, at least 1.
        chains: number of chains, at least 1.
        centred: whether the gradient is centred.

    Raises:
        IncompatibleError: there is no sweep, or no chain.
    """

    def __init__(self, steps: int = 1, chains: int = 100, centred: bool = True) -> None:
        super().__init__(steps, centred)
        if chains < 1:
            raise IncompatibleError(f"chains = {chains}; expected at least one chain")
        self.count = chains
        self.states = torch.empty(0)

    def negatives(self, model: RestrictedBoltzmannMachine, batch: Batch[Tensor], streams: Streams) -> Tensor:
        first = streams.start // max(len(batch), 1) * self.count  # no two steps or processes share a stream
        own = Streams(
            streams.seed, "persistent chains", first, self.count, device=streams.device, dtype=model.state_dtype
        )
        if not len(self.states):
            self.states = model.initial_state(own)
        self.states = self.swept(model, self.states.to(batch.x), own)
        return self.states

    def state(self) -> dict[str, Tensor]:
        return {**super().state(), "chains": self.states}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        super().restore(state)
        self.states = state["chains"]

    def settled_from(self, model: RestrictedBoltzmannMachine, streams: Streams) -> Tensor:
        if not len(self.states):
            return super().settled_from(model, streams)
        return self.states[torch.arange(len(streams)) % len(self.states)].to(streams.device, streams.dtype)
