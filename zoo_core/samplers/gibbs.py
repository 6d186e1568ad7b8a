r"""Gibbs sampling of energy-based models: one chain per sample, whose steps leave p = exp(−F)/Z invariant.

After enough sweeps a chain is independent of its first state.  The number of sweeps is not known in advance: a
Boltzmann machine of handwritten digits needs thousands from a random state, but few from a state that p makes likely.
Therefore the persistent chains of training can be stored with the weights (Tieleman 2008).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Call, EnergyBased, Frame, Sampler, Values

__all__ = ["Gibbs", "PersistentChains"]


class Gibbs(Sampler[EnergyBased[Any]]):
    """Gibbs sampling from the model's initial state.

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
        """Returns the state of each chain before the first sweep."""
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
    """Gibbs sampling from chains that are stored with the weights: sample i continues chain i modulo their number.

    Args:
        steps: number of sweeps from the stored states.
    """

    name = "persistent-chains"

    def __init__(self, steps: int = 100) -> None:
        super().__init__(steps)

    def fits(self, model: EnergyBased[Any]) -> str | None:
        if model.persistent_chains() is None:
            return "continues chains that are stored with the weights, and this model has none; use gibbs"
        return None

    def begin(self, model: EnergyBased[Any], call: Call) -> Values:
        chains, streams = model.persistent_chains(), call.streams
        assert chains is not None
        which = torch.arange(streams.start, streams.start + len(streams)) % len(chains)
        return chains[which.to(chains.device)].to(streams.device, streams.dtype)
