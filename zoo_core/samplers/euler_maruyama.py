r"""Euler–Maruyama on the reverse-time SDE of any path (Song et al. 2021, eq. 6).

With f = α′/α, g² = 2σσ′ − 2fσ², the score −ε̂/σ and Δ = t − s,

    x_s = x_t − Δ·(f·x_t + g²·ε̂/σ_t) + g·√Δ·z.

f and g are infinite where α = 0, so the time grid must begin at α > 0, as ``log-snr`` and ``karras`` do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Denoiser
from zoo_core.paths import GaussianPath, Spacing
from zoo_core.samplers.path import PathSampler, Step

__all__ = ["EulerMaruyama", "reverse_step"]


class EulerMaruyama(PathSampler):
    """The Euler–Maruyama method on the reverse SDE.

    Args:
        steps: number of solver steps, each of one network evaluation.
        spacing: time grid.
        clip: whether x̂ is held in the range of the data.
    """

    name = "euler-maruyama"
    adds_noise = True
    needs_signal_at_start = True

    def __init__(self, steps: int = 200, spacing: Spacing = "log-snr", clip: bool | None = None) -> None:
        super().__init__(steps, spacing, clip)

    def plan(self, model: Denoiser, times: Sequence[float]) -> list[Step]:
        return [reverse_step(model.path, t, s) for t, s in pairwise(times)]


def reverse_step(path: GaussianPath, t: float, s: float) -> Step:
    """Returns the step from t to s.

    Raises:
        IncompatibleError: α(t) = 0.
    """
    if path.sigma(s) == 0.0:
        return Step(t, 1.0, 0.0)
    if path.alpha(t) == 0.0:
        raise IncompatibleError(
            f"the reverse SDE cannot begin at t = {t:g}, where α = 0; use spacing = 'log-snr' or 'karras'"
        )
    length, g2, sigma = t - s, path.diffusion_squared(t), path.sigma(t)
    pull = length * g2 / sigma**2
    return Step(t, pull * path.alpha(t), 1.0 - length * path.drift(t) - pull, math.sqrt(g2 * length))
