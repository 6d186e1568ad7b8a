r"""The normaliser of a large machine by annealing, and a bound from the other side.

*Forward*: annealed importance sampling from independent units to the machine, by
:func:`~zoo_core.samplers.annealed_importance.annealed_importance`, with the levels of Salakhutdinov & Murray (2008).
Its log Z is too small on average, so that likelihoods come out too high.

*Reverse* (RAISE: Burda, Grosse & Salakhutdinov 2015): the chain that draws v₀ ~ p₀ and takes one sweep at each of
β₁ < … < β_K = 1 is itself a generative model of v = v_K, close to the machine.  From data v_K = v it is run backwards,
v_{k−1} by a sweep at β_k, which is reversible, and

    log w = log p₀(v₀) + Σ_k F_{β_k}(v_{k−1}) − F_{β_k}(v_k),        E w = p_annealed(v),

so that E log w is a lower bound of the log-likelihood of the model that was sampled: it cannot flatter.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from zoo_core.interfaces import Condition, EnergyBased, Streams
from zoo_core.samplers.annealed_importance import LogNormaliser, annealed_importance
from zoo_rbm.model import RestrictedBoltzmannMachine

__all__ = ["Annealed", "annealed_log_normaliser", "levels", "levels_for", "reverse_bound"]

SEGMENTS = ((0.5, 500), (0.9, 4_000), (1.0, 10_000))
"""End of each segment of β, and the number of levels in it (Salakhutdinov & Murray 2008)."""

ALL_LEVELS = sum(count for _, count in SEGMENTS)

LEVELS_PER_UNIT = 12
"""Levels for each unit of a machine that needs fewer than all: the error grows with the number of units."""


def levels(count: int = ALL_LEVELS) -> list[float]:
    """Returns about ``count`` levels after β = 0, spaced as those of Salakhutdinov & Murray (2008), and 0 itself."""
    found = [0.0]
    for end, most in SEGMENTS:
        steps, start = max(1, round(most * count / ALL_LEVELS)), found[-1]
        found += [start + (end - start) * i / steps for i in range(1, steps)] + [end]
    return found


def levels_for(model: RestrictedBoltzmannMachine, most: int = ALL_LEVELS) -> list[float]:
    """Returns the levels for a machine of this size: twelve for each unit, at most 14,500."""
    return levels(min(most, LEVELS_PER_UNIT * (model.visible + model.hidden)))


class Annealed(EnergyBased[Tensor]):
    """A machine annealed to β.

    Machines of one path share what the hidden units receive from the last state, most of the work of a level.

    Args:
        machine: machine at β = 1.
        beta: level of annealing in [0, 1].
        seen: the last state and its inputs, which machines of one path share.
    """

    def __init__(self, machine: RestrictedBoltzmannMachine, beta: float, seen: list[Tensor]) -> None:
        self.machine, self.beta, self.seen, self.space = machine, beta, seen, machine.space

    def inputs(self, x: Tensor) -> Tensor:
        """Computes what hidden units of the machine at β = 1 receive, ``(n, hidden)``."""
        if not self.seen or self.seen[0] is not x:
            self.seen[:] = [x, self.machine.inputs(x)]
        return self.seen[1]

    def initial_state(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        return self.machine.initial_state(streams)

    def free_energy(self, x: Tensor, *, condition: Condition | None = None) -> Tensor:
        return self.machine.energy_at(x, self.inputs(x), self.beta)

    def gibbs_step(self, x: Tensor, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        return self.machine.sweep_at(self.inputs(x), streams, self.beta)


def base_log_normaliser(model: RestrictedBoltzmannMachine) -> float:
    """Computes log Z at β = 0, where all units are independent, and hidden bits fair."""
    with torch.no_grad():
        return model.hidden * math.log(2.0) + float(model.log_integral(model.base.double()))


def annealed_log_normaliser(model: RestrictedBoltzmannMachine, betas: list[float], streams: Streams) -> LogNormaliser:
    """Estimates log Z with its standard error; one run per stream."""
    seen: list[Tensor] = []
    return annealed_importance(lambda beta: Annealed(model, beta, seen), base_log_normaliser(model), betas, streams)


def reverse_bound(model: RestrictedBoltzmannMachine, x: Tensor, betas: list[float], streams: Streams) -> Tensor:
    """Estimates the log-likelihood of data from below.

    Args:
        model: machine.
        x: data on the model's side, ``(n, *space.shape)``.
        betas: levels from 0 to 1, growing.
        streams: random streams, one per row.

    Returns:
        log w of each row in nats, ``(n,)`` in float64, whose mean is at most that of log p_annealed(x).
    """
    seen: list[Tensor] = []
    with torch.inference_mode():
        log_w = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for _, beta in reversed(list(pairwise(betas))):
            machine = Annealed(model, beta, seen)
            log_w -= machine.free_energy(x).double()
            x = machine.gibbs_step(x, streams)
            log_w += machine.free_energy(x).double()
        return log_w - Annealed(model, 0.0, seen).free_energy(x).double() - base_log_normaliser(model)
