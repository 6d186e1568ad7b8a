r"""Samplers that rest at a time: annealed Langevin dynamics, and predictor–corrector.

At a fixed t the chain

    x ← x + ε·s(x) + √(2ε)·z,       s = ∇ log p_t = (α·x̂ − x)/σ²,

has p_t for its limit as ε → 0.  It is one more step that is linear in x, x̂ and z.

**Annealed** (Song & Ermon 2019, algorithm 1): from the noisiest level to the least, K steps at each with ε = ½·η·σ², so
that the signal-to-noise ratio of a step is the same at every level; on N(0, σ²) the chain has variance σ²/(1 − η/4).
Between levels y = x/α stays what it is.

**Predictor–corrector** (Song et al. 2021, algorithms 2–5): at each time K steps with ε = 2·(ρ·‖z‖/‖s‖)², ρ being the
signal-to-noise ratio, then a step of the reverse SDE.  For the norms stand √d and √d/σ, which they are about where d is
large: ε = 2·(ρσ)².  So a sample does not depend on who else is in the batch, as with the paper's code, which averages
the norms over it; nor the step on x, which would draw from another density (in the plane visibly so).
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
    """The step of the chain at t with ε = ``share``·σ²."""
    return Step(t, share * path.alpha(t), 1.0 - share, math.sqrt(2.0 * share) * path.sigma(t))


class AnnealedLangevin(PathSampler):
    """Langevin dynamics at one noise level after the other.

    Args:
        steps: levels.
        repeats: K, network evaluations at each level; one more asks for x̂ at the end.
        eta: η in (0, 4), the size of a step.
        spacing: the levels.
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
            raise IncompatibleError(f"repeats = {repeats} and eta = {eta}; expected at least 1 and a number in (0, 4)")
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
    """Steps of the reverse SDE, each after a few of Langevin.

    Args:
        steps: times; each asks the network 1 + corrections times.
        corrections: K.
        snr: ρ, the signal-to-noise ratio of a correction.
        spacing: the time grid.
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
            raise IncompatibleError(f"corrections = {corrections} and snr = {snr}; expected at least 0, and above 0")
        self.corrections, self.snr = corrections, snr

    def evaluations(self, steps: int) -> int:
        return steps * (1 + self.corrections)

    def plan(self, model: Denoiser, times: Sequence[float]) -> list[Step]:
        steps: list[Step] = []
        for t, s in pairwise(times):
            steps += [langevin_step(model.path, t, 2.0 * self.snr**2)] * self.corrections
            steps.append(reverse_step(model.path, t, s))
        return steps
