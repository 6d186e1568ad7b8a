"""The Gaussian path of a noise schedule that is given as a table, as in DDPM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from zoo_core.errors import IncompatibleError
from zoo_core.paths.gaussian import GaussianPath, Spacing

__all__ = ["DiscretePath"]


class DiscretePath(GaussianPath):
    """The variance-preserving path of a table ᾱ_0 … ᾱ_{T−1}: α = √ᾱ, σ = √(1 − ᾱ).

    Entry k belongs to the time t = (k + 1)/T, and t = 0 to the data; between entries log ᾱ is interpolated linearly.

    Args:
        alpha_bar: table of the T cumulative products of 1 − β, strictly decreasing, in (0, 1).

    Raises:
        ValueError: the table is empty, not strictly decreasing, or has values outside (0, 1).
    """

    def __init__(self, alpha_bar: Sequence[float]) -> None:
        table = [1.0, *map(float, alpha_bar)]
        if len(table) < 2 or any(not 0.0 < b < a for a, b in pairwise(table)):
            raise ValueError("alpha_bar must be a non-empty, strictly decreasing table with values in (0, 1)")
        self._alpha_bar = table
        self.t_min = 1.0 / self.steps

    @property
    def steps(self) -> int:
        """The length T of the table."""
        return len(self._alpha_bar) - 1

    def time(self, index: int) -> float:
        """Returns the time t of table entry ``index``; index −1 is the data, t = 0."""
        return (index + 1) / self.steps

    def index(self, t: float) -> float:
        """Returns the table entry at time ``t``, as a fraction where ``t`` lies between two entries."""
        position = t * self.steps
        nearest = round(position)
        return (nearest if abs(position - nearest) < 1e-9 * self.steps else position) - 1

    def times(self, steps: int, spacing: Spacing = "trailing") -> list[float]:
        """Returns the grid of any path, but rounds ``trailing`` and ``leading`` to table entries, as in training.

        Raises:
            IncompatibleError: more steps than the table has, or an unknown spacing.
        """
        if steps > self.steps:
            raise IncompatibleError(
                f"steps = {steps}; this model has a noise schedule of {self.steps} steps, no more can be taken"
            )
        if spacing not in ("leading", "trailing"):
            return super().times(steps, spacing)
        if spacing == "leading":
            return [self.time(i * (self.steps // steps)) for i in reversed(range(steps))] + [0.0]
        return [self.time(round(t * self.steps) - 1) for t in super().times(steps, spacing)]

    def alpha_bar(self, t: float) -> float:
        """Returns ᾱ(t) = α(t)²."""
        position = self.index(t) + 1
        below = min(max(int(position), 0), self.steps)
        if position == below or below == self.steps:
            return self._alpha_bar[below]
        low, high = math.log(self._alpha_bar[below]), math.log(self._alpha_bar[below + 1])
        return math.exp(low + (position - below) * (high - low))

    def alpha(self, t: float) -> float:
        return math.sqrt(self.alpha_bar(t))

    def sigma(self, t: float) -> float:
        return math.sqrt(1.0 - self.alpha_bar(t))
