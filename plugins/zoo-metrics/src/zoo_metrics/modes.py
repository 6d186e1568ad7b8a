r"""Coverage of the modes of a known mixture of Gaussians (Srivastava et al. 2017).

A sample is of *high quality* if it is within three standard deviations of the nearest mode, as are 98.9 % of the true
mixture's in two dimensions (1 − e^{−9/2}).  A mode is *covered* if the number of high-quality samples nearest to it is
at least a tenth of the expected number.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_core.datasets.densities import DENSITIES, Mixture
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Metric, Model, Result, Streams
from zoo_core.interfaces.dataset import DataSet
from zoo_metrics import real

__all__ = ["HighQuality", "ModeCoverage", "Visits", "covered", "visits"]

REACH = 3.0
BLOCKS = 10


@dataclass(frozen=True)
class Visits:
    """Numbers of samples ``(10,)``, and of high-quality ones by mode ``(10, modes)``, in blocks by index modulo ten."""

    data: DataSet
    n: Tensor
    good: Tensor


def visits(x: Tensor, mixture: Mixture) -> Tensor:
    """Returns the mode within three standard deviations of each point, one-hot, ``(n, modes)``; 0 for none."""
    distance = torch.cdist(x.double(), mixture.means) / mixture.scales
    nearest = distance.argmin(1)
    near = distance.min(1).values <= REACH
    return torch.nn.functional.one_hot(nearest, len(mixture.means)).double() * near[:, None]


def covered(good: Tensor, n: float, mixture: Mixture) -> int:
    """Counts the modes with at least a tenth of the expected n·w samples, and at least one."""
    return int((good >= (0.1 * n * mixture.weights).clamp_min(1.0)).sum())


class ModeMetric(Metric[Visits]):
    """The base of both metrics, which share the counts."""

    uses = "samples"

    def shares(self) -> Hashable:
        return "visits"

    def check(self, model: Model, data: DataSet) -> None:
        if not isinstance(DENSITIES.get(data.name), Mixture):
            raise IncompatibleError(f"{data.name} is no mixture whose modes are known")
        real.check(model, data)

    def init(self, model: Model, data: DataSet) -> Visits:
        self.check(model, data)
        n = torch.zeros(BLOCKS, dtype=torch.float64)
        return Visits(data, n, torch.zeros(BLOCKS, len(_mixture(data).means), dtype=torch.float64))

    def update(self, state: Visits, model: Model, batch: Batch, streams: Streams) -> Visits:
        block_of = torch.arange(streams.start, streams.start + len(batch)) % BLOCKS
        to_block = torch.nn.functional.one_hot(block_of, BLOCKS).double().mT
        return self.merge(state, Visits(state.data, to_block.sum(1), to_block @ visits(batch.x, _mixture(state.data))))

    def merge(self, a: Visits, b: Visits) -> Visits:
        return Visits(a.data, a.n + b.n, a.good + b.good)


class HighQuality(ModeMetric):
    """The share of samples within three standard deviations of a mode."""

    def compute(self, state: Visits) -> Result:
        n = int(state.n.sum())
        real.check_count(n)
        share = state.good.sum().item() / n
        d = _mixture(state.data).dimensions
        truth = torch.special.gammainc(torch.tensor(d / 2.0), torch.tensor(REACH**2 / 2)).item()
        stderr = math.sqrt(share * (1 - share) / n)
        return Result(share, stderr, n, "", "higher", {"true mixture": truth}, "within three standard deviations")


class ModeCoverage(ModeMetric):
    """The number of covered modes, with a jackknife error over ten blocks."""

    def compute(self, state: Visits) -> Result:
        n = state.n.sum().item()
        real.check_count(int(n))
        mixture, good = _mixture(state.data), state.good.sum(0)
        left_out = [covered(good - g, n - m.item(), mixture) for g, m in zip(state.good, state.n, strict=True)]
        variance = torch.tensor(left_out, dtype=torch.float64).var(correction=0).item()
        return Result(
            covered(good, n, mixture),
            math.sqrt((BLOCKS - 1) * variance),
            int(n),
            "modes",
            "higher",
            {"true mixture": float(len(mixture.means))},
            "covered by a tenth of what is due",
        )


def _mixture(data: DataSet) -> Mixture:
    found = DENSITIES[data.name]
    assert isinstance(found, Mixture)
    return found
