r"""The noise schedules that diffusers names, in float64: β_0 … β_{T−1} and ᾱ_k = Π_{j≤k} (1 − β_j).

* ``linear``: β in equal steps; ``scaled_linear``: √β in equal steps;
* ``squaredcos_cap_v2``: ᾱ(u) = cos²((u + 0.008)/1.008·π/2), β at most 0.999 (Nichol & Dhariwal 2021, eq. 17);
* ``sigmoid``: β = start + (end − start)·sigmoid(s), s in equal steps from −6 to 6;
* ``trained_betas``: a given list of β.

diffusers keeps the table in float32, which has a relative error of 1e-4 in σ near the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import mul
from typing import Any

from zoo_core.errors import WeightsError
from zoo_core.paths import DiscretePath

__all__ = ["alpha_bars", "betas", "table_config"]

NAMES = ("linear", "scaled_linear", "squaredcos_cap_v2")
"""Names of schedules by which our own tables can be exported."""


def betas(config: Mapping[str, Any]) -> list[float]:
    """Computes the forward variances of a scheduler's configuration.

    Raises:
        WeightsError: the schedule is none of these, or its numbers are invalid.
    """
    given = config.get("trained_betas")
    if given is not None:
        if not isinstance(given, (list, tuple)) or not all(isinstance(b, (int, float)) for b in given):
            raise WeightsError("scheduler: trained_betas is no list of numbers")
        return [float(b) for b in given]
    steps, name = config.get("num_train_timesteps", 1000), config.get("beta_schedule", "linear")
    start, end = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
    if not isinstance(steps, int) or not 2 <= steps <= 100_000:
        raise WeightsError(f"scheduler: num_train_timesteps = {steps!r}; expected 2 … 100,000")
    if not all(isinstance(b, (int, float)) and 0.0 < b < 1.0 for b in (start, end)):
        raise WeightsError(f"scheduler: beta_start = {start!r} and beta_end = {end!r}; expected numbers in (0, 1)")
    share = [k / (steps - 1) for k in range(steps)]
    if name == "linear":
        return [start + (end - start) * u for u in share]
    if name == "scaled_linear":
        low, high = math.sqrt(start), math.sqrt(end)
        return [(low + (high - low) * u) ** 2 for u in share]
    if name == "sigmoid":
        return [start + (end - start) / (1.0 + math.exp(6.0 - 12.0 * u)) for u in share]
    if name == "squaredcos_cap_v2":

        def alpha_bar(u: float) -> float:
            return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

        return [min(1.0 - alpha_bar((k + 1) / steps) / alpha_bar(k / steps), 0.999) for k in range(steps)]
    raise WeightsError(f"scheduler: beta_schedule = {name!r} is not known here; {', '.join(NAMES)} and sigmoid are")


def alpha_bars(config: Mapping[str, Any]) -> list[float]:
    """Computes ᾱ_0 … ᾱ_{T−1} of a scheduler's configuration."""
    return list(accumulate((1.0 - beta for beta in betas(config)), mul))


def table_config(table: Sequence[float] | DiscretePath) -> dict[str, Any]:
    """Makes the keys of a diffusers scheduler for a table ᾱ_0 … ᾱ_{T−1}, by a schedule's name where it has one."""
    if isinstance(table, DiscretePath):
        table = [table.alpha_bar(table.time(k)) for k in range(table.steps)]
    ends = {"num_train_timesteps": len(table), "beta_start": 1e-4, "beta_end": 0.02}
    for name in NAMES:
        named = ends | {"beta_schedule": name}
        if all(abs(a - b) <= 1e-12 * a for a, b in zip(table, alpha_bars(named), strict=True)):
            return named
    return ends | {"trained_betas": [1.0 - b / a for a, b in zip([1.0, *table], table, strict=False)]}
