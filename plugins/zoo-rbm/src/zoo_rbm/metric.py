r"""The negative log-likelihood of a machine whose normaliser is estimated: E F(x) + log Z, in nats.

The standard error is that of the mean over the data and that of log Z, added in squares.  Beside the value stands the
reverse bound: on the first examples it is compared with the forward estimate example by example, and the difference is
added to the value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from zoo_core.datasets.prepared import protocol
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, DataSet, Density, EnergyBased, Metric, Model, Result, Streams, can
from zoo_rbm.model import RestrictedBoltzmannMachine
from zoo_rbm.normaliser import ALL_LEVELS, annealed_log_normaliser, levels_for, reverse_bound

__all__ = ["AnnealedLikelihood"]

RUNS = 100
"""Runs of annealing (Salakhutdinov & Murray 2008)."""

REVERSED = 100
"""Examples from which the reverse bound is computed."""


@dataclass(frozen=True)
class Energies:
    """Free energies of held-out data, and the estimate of log Z.

    Attributes:
        log_z, stderr: estimate of log Z and its standard error, nats.
        exact: exact log Z, where it is known.
        protocol: settings of the measurement.
        energies: F(x) of each example, float64.
        gaps: forward estimate of log p(x) less the reverse bound, of the examples that have one, float64.
    """

    log_z: float
    stderr: float
    exact: float | None
    protocol: str
    energies: Tensor
    gaps: Tensor


class AnnealedLikelihood(Metric[Energies]):
    """The negative log-likelihood by annealed importance sampling, with the reverse bound as an anchor.

    Args:
        runs: number of runs of annealing, at least 2.
        most_levels: greatest number of levels of a run.
        bounded: number of examples from which the reverse bound is computed, the first ones; 0 computes none.

    Raises:
        IncompatibleError: there are fewer than two runs, and so no standard error.
    """

    uses = "data"
    needs = (EnergyBased,)

    def __init__(self, runs: int = RUNS, most_levels: int = ALL_LEVELS, bounded: int = REVERSED) -> None:
        if runs < 2:
            raise IncompatibleError(f"runs = {runs}; expected at least 2 runs, or there is no standard error")
        self.runs, self.most_levels, self.bounded = runs, most_levels, bounded

    def quick(self) -> AnnealedLikelihood:
        return AnnealedLikelihood(10, 100)

    def check(self, model: Model, data: DataSet) -> None:
        super().check(model, data)
        if not isinstance(model, RestrictedBoltzmannMachine):
            raise IncompatibleError(f"anneals restricted Boltzmann machines, which {type(model).__name__} is not")

    def by_default(self, model: Model) -> bool:
        return not can(model, Density)

    def init(self, model: Model, data: DataSet) -> Energies:
        self.check(model, data)
        assert isinstance(model, RestrictedBoltzmannMachine)
        betas = levels_for(model, self.most_levels)
        streams = Streams(0, "annealing", 0, self.runs, device=model.device, dtype=model.state_dtype)
        found = annealed_log_normaliser(model, betas, streams)
        with torch.no_grad():
            exact = float(model.log_normaliser()) if can(model, Density) else None
        words = f"AIS, {self.runs} runs of {len(betas) - 1:,} levels, log Z = {found.value:.2f} ± {found.stderr:.2f}"
        none = torch.zeros(0, dtype=torch.float64)
        return Energies(found.value, found.stderr, exact, words + protocol(model, data), none, none)

    def update(self, state: Energies, model: Model, batch: Batch[Any], streams: Streams) -> Energies:
        assert isinstance(model, RestrictedBoltzmannMachine)
        energies = model.free_energy(batch.x).double().cpu()
        gaps = state.gaps
        few = (streams.indices < self.bounded).cpu()
        if few.any():
            which = few.to(batch.x.device)
            below = reverse_bound(model, batch.x[which], levels_for(model, self.most_levels), streams.rows(which)).cpu()
            gaps = torch.cat([gaps, -energies[few] - state.log_z - below])
        return replace(state, energies=torch.cat([state.energies, energies]), gaps=gaps)

    def merge(self, a: Energies, b: Energies) -> Energies:
        return replace(a, energies=torch.cat([a.energies, b.energies]), gaps=torch.cat([a.gaps, b.gaps]))

    def compute(self, state: Energies) -> Result:
        n = len(state.energies)
        mean = float(state.energies.mean())
        spread = float(state.energies.std()) / math.sqrt(n) if n > 1 else 0.0
        anchors = {}
        if len(state.gaps):
            anchors["reverse bound"] = mean + state.log_z + float(state.gaps.mean())
        if state.exact is not None:
            anchors["exact"] = mean + state.exact
        return Result(
            value=mean + state.log_z,
            stderr=math.hypot(spread, state.stderr),
            n=n,
            unit="nats",
            direction="lower",
            anchors=anchors,
            protocol=state.protocol,
        )
