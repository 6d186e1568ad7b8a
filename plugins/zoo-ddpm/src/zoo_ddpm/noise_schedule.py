r"""Noise schedules: β_0 … β_{T−1} and ᾱ_k = Π_{j≤k} (1 − β_j), in float64.

* ``linear``: β from 1e-4 to 0.02 in equal steps (Ho et al. 2020, §4);
* ``quadratic``: √β in equal steps between the same ends (what Song et al. 2021 used for CelebA);
* ``cosine``: ᾱ(u) = cos²((u + s)/(1 + s)·π/2), s = 0.008, β clipped at 0.999 (Nichol & Dhariwal 2021, eq. 17).
"""

from __future__ import annotations

import math
from itertools import accumulate
from operator import mul
from typing import Literal, get_args

from zoo_core.paths import DiscretePath

__all__ = ["NoiseSchedule", "betas", "discrete_path"]

NoiseSchedule = Literal["linear", "quadratic", "cosine"]


def betas(schedule: NoiseSchedule, steps: int, *, start: float = 1e-4, end: float = 0.02) -> list[float]:
    """Returns the variances β_k of the forward steps.

    Args:
        schedule: name of the schedule, ``linear``, ``quadratic`` or ``cosine``.
        steps: number T of forward steps, at least 2.
        start, end: first and last β of ``linear`` and ``quadratic``.

    Raises:
        ValueError: an unknown schedule, or fewer than two steps.
    """
    if steps < 2:
        raise ValueError(f"steps = {steps}; a noise schedule has at least 2")
    if schedule == "linear":
        return [start + (end - start) * k / (steps - 1) for k in range(steps)]
    if schedule == "quadratic":
        low, high = math.sqrt(start), math.sqrt(end)
        return [(low + (high - low) * k / (steps - 1)) ** 2 for k in range(steps)]
    if schedule == "cosine":

        def alpha_bar(u: float) -> float:
            return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

        return [min(1.0 - alpha_bar((k + 1) / steps) / alpha_bar(k / steps), 0.999) for k in range(steps)]
    raise ValueError(f"unknown noise schedule {schedule!r}; expected one of {', '.join(get_args(NoiseSchedule))}")


def discrete_path(schedule: NoiseSchedule, steps: int) -> DiscretePath:
    """Makes the path of a schedule, whose ᾱ is the cumulative product of 1 − β."""
    return DiscretePath(list(accumulate((1.0 - beta for beta in betas(schedule, steps)), mul)))
