r"""Multistep consistency sampling (Song et al. 2023, algorithm 1): noise is added to x̂, and removed again.

x_s = α_s·x̂ + σ_s·z,      z ~ N(0, I) fresh,      and x̂ itself at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from zoo_core.interfaces import Denoiser
from zoo_core.paths import Spacing
from zoo_core.samplers.path import PathSampler, Step

__all__ = ["Consistency"]


class Consistency(PathSampler):
    """Consistency sampling in one step, or in several with fresh noise between them.

    Args:
        steps: number of solver steps, each of one network evaluation.
        spacing: time grid.
        clip: whether x̂ is held in the range of the data.
    """

    name = "consistency"

    def __init__(self, steps: int = 1, spacing: Spacing = "trailing", clip: bool | None = None) -> None:
        super().__init__(steps, spacing, clip)
        self.stochastic = steps > 1

    def plan(self, model: Denoiser, times: Sequence[float]) -> list[Step]:
        path = model.path
        return [Step.of(path, t, path.alpha(s), 0.0, path.sigma(s)) for t, s in pairwise(times)]
