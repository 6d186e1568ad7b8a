r"""Markov chains of energy-based models: one chain a sample, each step a sweep that leaves p = exp(−F)/Z as it is.

After enough sweeps a chain has forgotten where it began.  How many are enough is not known beforehand: a Boltzmann
machine of handwritten digits needs thousands from a random start, and a few from states that were near p already, which
is why persistent chains of the training can be shipped with the weights (Tieleman 2008).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Call, EnergyBased, Frame, Sampler, Values

__all__ = ["Gibbs", "PersistentChains"]


class Gibbs(Sampler[EnergyBased[Any]]):
    """Runs a chain from the model's initial state.

    Args:
        steps: number of sweeps, each of one evaluation of the conditionals.
    """

    name = "gibbs"
    needs = (EnergyBased,)

    def __init__(self, steps: int = 1000) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise IncompatibleError(f"steps = {steps}; a chain takes a whole number of sweeps, at least 1")
        self.steps = steps

    def begin(self, model: EnergyBased[Any], call: Call) -> Values:
        """Gives the state of each chain before the first sweep."""
        state: Values = model.initial_state(call.streams, condition=call.condition)
        return state

    def draw(self, model: EnergyBased[Any], call: Call) -> Values:
        x = self.begin(model, call)
        for i in range(self.steps):
            x = model.gibbs_step(x, call.streams, condition=call.condition)
            if call.observer is not None and isinstance(x, Tensor):
                call.observer(Frame(i + 1, self.steps, x, x))
        return x


class PersistentChains(Gibbs):
    """Goes on with the chains that ship with the weights: sample i from chain i modulo their number.

    Args:
        steps: number of sweeps from there.
    """

    name = "persistent-chains"

    def __init__(self, steps: int = 100) -> None:
        super().__init__(steps)

    def fits(self, model: EnergyBased[Any]) -> str | None:
        if model.persistent_chains() is None:
            return "goes on with chains that ship with the weights, and this model has none; use gibbs"
        return None

    def begin(self, model: EnergyBased[Any], call: Call) -> Values:
        chains, streams = model.persistent_chains(), call.streams
        assert chains is not None
        which = torch.arange(streams.start, streams.start + len(streams)) % len(chains)
        return chains[which.to(chains.device)].to(streams.device, streams.dtype)
