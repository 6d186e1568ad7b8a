r"""What two samplers are run on, and what is recorded: states in the common coordinate y = x/√(α² + σ²)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor

from zoo_core.interfaces import Denoiser, Frame, Model, Streams
from zoo_core.paths import DiscretePath, GaussianPath
from zoo_core.samplers.path import PathSampler

__all__ = ["Draws", "Grid", "radius", "run_ours", "table_grid"]

TABLE = 1000
"""Entries of the table that stands for a continuous path."""


@dataclass(frozen=True)
class Grid:
    """The times of a comparison.

    Attributes:
        times: falling, with 0 at the end.
        indices: of these times in the table, without the last.
        table: ᾱ = α²/(α² + σ²) for all entries.
    """

    times: list[float]
    indices: list[int]
    table: list[float]


class Draws:
    """Noise from one torch generator, in the order of asking: what diffusers draws from too.

    Args:
        seed: of the generator.
        n: samples.
        dtype: in which diffusers draws.
        wanted: in which we need it.
        factors: what the draws are multiplied with, one after the other; 1 where there are no more.
    """

    def __init__(
        self, seed: int, n: int, dtype: torch.dtype, wanted: torch.dtype, factors: Sequence[float] = ()
    ) -> None:
        self.source, self.n, self.dtype, self.wanted = torch.Generator().manual_seed(seed), n, dtype, wanted
        self.factors = list(factors)

    def normal(self, *shape: int) -> Tensor:
        """The next draw, ``(n, *shape)``."""
        factor = self.factors.pop(0) if self.factors else 1.0
        return factor * torch.randn((self.n, *shape), generator=self.source, dtype=self.dtype).to(self.wanted)


def radius(path: GaussianPath, t: float) -> float:
    """√(α² + σ²)."""
    return math.hypot(path.alpha(t), path.sigma(t))


def table_grid(path: GaussianPath, steps: int, spacing: Literal["trailing", "leading"] = "trailing") -> Grid:
    """The path as a table, and a grid of at most ``steps`` steps that divide it.

    A table of DDPM is its own; on another path the entries lie evenly, up to the greatest time at which α > 0.
    """
    if isinstance(path, DiscretePath):
        count = path.steps
        times = [path.time(k) for k in range(count)]
    else:
        count = TABLE
        end = path.t_max if path.alpha(path.t_max) > 0.0 else 0.99 * path.t_max
        times = [end * (k + 1) / count for k in range(count)]
    steps = max(n for n in range(1, min(steps, count) + 1) if count % n == 0)
    first = count - 1 if spacing == "trailing" else count - count // steps
    indices = [first - i * (count // steps) for i in range(steps)]
    table = [1.0 / (1.0 + math.exp(-path.log_snr(t))) for t in times]
    return Grid([times[k] for k in indices] + [0.0], indices, table)


def run_ours(model: Denoiser, sampler: PathSampler, times: Sequence[float], y: Tensor, draws: Draws) -> list[Tensor]:
    """The states after each step, in the common coordinate.

    Args:
        model: a model.
        sampler: one of ours; its grid is replaced.
        times: falling, with 0 at the end.
        y: the first state, in the common coordinate.
        draws: the noise.
    """
    states: list[Tensor] = []
    vars(sampler)["times"] = lambda _: list(times)

    def record(frame: Frame) -> None:
        states.append(frame.state / radius(model.path, times[len(states) + 1]))

    start = y * radius(model.path, times[0])
    sampler.sample(cast(Model, model), cast(Streams, draws), noise=start, observer=record)
    return states
