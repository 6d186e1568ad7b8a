r"""Samplers with Langevin steps at a fixed time: annealed Langevin dynamics, and predictor–corrector.

At a fixed t the chain

    x ← x + ε·s(x) + √(2ε)·z,       s = ∇ log p_t = (α·x̂ − x)/σ²,

converges to p_t as ε → 0.  Its step is linear in x, x̂ and z, like all steps of a path sampler.

**Annealed** (Song & Ermon 2019, algorithm 1): from the noisiest level to the least, K steps at each with ε = ½·η·σ², so
that the signal-to-noise ratio of a step is the same at every level; on N(0, σ²) the chain has variance σ²/(1 − η/4).
Between levels y = x/α is kept.

**Predictor–corrector** (Song et al. 2021, algorithms 2–5): at each time K steps with ε = 2·(ρ·‖z‖/‖s‖)², ρ being the
signal-to-noise ratio, then a step of the reverse SDE.  Here the norms are replaced by √d and √d/σ, their approximate
values for large d, so ε = 2·(ρσ)².  The paper's code averages the norms over the batch, which makes a sample depend on
the others in it.  A norm of each single sample would make the step depend on x, and the limit would not be p_t (the
difference is visible in the plane).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Denoiser
from zoo_core.paths import GaussianPath, Spacing
from zoo_core.samplers.euler_maruyama import reverse_step
from zoo_core.samplers.path import PathSampler, Step

__all__ = ["AnnealedLangevin", "PredictorCorrector", "langevin_step"]


def langevin_step(path: GaussianPath, t: float, share: float) -> Step:
    """Returns the step of the chain at t with ε = ``share``·σ²."""
    return Step(t, share * path.alpha(t), 1.0 - share, math.sqrt(2.0 * share) * path.sigma(t))


class AnnealedLangevin(PathSampler):
    """Annealed Langevin dynamics, from the greatest noise level to the least.

    Args:
        steps: number of noise levels.
        repeats: K, the number of steps at each level, each of one network evaluation; one more gives x̂ at the end.
        eta: η in (0, 4), the step size relative to σ².
        spacing: grid of the noise levels.
        clip: whether x̂ is held in the range of the data.
    """

    name = "annealed-langevin"
    adds_noise = True
    needs_signal_at_start = True

    def __init__(
        self,
        steps: int = 50,
        repeats: int = 12,
        eta: float = 0.4,
        spacing: Spacing = "log-snr",
        clip: bool | None = None,
    ) -> None:
        super().__init__(steps, spacing, clip)
        if repeats < 1 or not 0.0 < eta < 4.0:
            raise IncompatibleError(f"repeats = {repeats} and eta = {eta}; expected repeats ≥ 1 and eta in (0, 4)")
        self.repeats, self.eta = repeats, eta

    def evaluations(self, steps: int) -> int:
        return steps * self.repeats + 1

    def plan(self, model: Denoiser, times: Sequence[float]) -> list[Step]:
        path, levels, steps = model.path, times[:-1], []
        for t, following in pairwise([*levels, levels[-1]]):
            step = langevin_step(path, t, 0.5 * self.eta)
            steps += [step] * (self.repeats - 1)
            scale = path.alpha(following) / path.alpha(t)
            steps.append(Step(t, scale * step.data, scale * step.state, scale * step.fresh))
        return [*steps, Step(levels[-1], 1.0, 0.0)]


class PredictorCorrector(PathSampler):
    """Reverse-SDE steps, each preceded by Langevin corrector steps.

    Args:
        steps: number of times, each of 1 + corrections network evaluations.
        corrections: K, the number of corrector steps at each time, at least 0.
        snr: ρ, the signal-to-noise ratio of a corrector step, above 0.
        spacing: time grid.
        clip: whether x̂ is held in the range of the data.
    """

    name = "predictor-corrector"
    adds_noise = True
    needs_signal_at_start = True

    def __init__(
        self,
        steps: int = 200,
        corrections: int = 1,
        snr: float = 0.1,
        spacing: Spacing = "log-snr",
        clip: bool | None = None,
    ) -> None:
        super().__init__(steps, spacing, clip)
        if corrections < 0 or not snr > 0.0:
            raise IncompatibleError(
                f"corrections = {corrections} and snr = {snr}; expected corrections ≥ 0 and snr > 0"
            )
        self.corrections, self.snr = corrections, snr

    def evaluations(self, steps: int) -> int:
        return steps * (1 + self.corrections)

    def plan(self, model: Denoiser, times: Sequence[float]) -> list[Step]:
        steps: list[Step] = []
        for t, s in pairwise(times):
            steps += [langevin_step(model.path, t, 2.0 * self.snr**2)] * self.corrections
            steps.append(reverse_step(model.path, t, s))
        return steps
