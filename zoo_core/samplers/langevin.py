r"""Samplers that rest at a time: annealed Langevin dynamics, and predictor–corrector.

At a fixed t the chain

    x ← x + ε·s(x) + √(2ε)·z,       s = ∇ log p_t = −ε̂/σ,

has p_t for its limit as ε → 0.

**Annealed** (Song & Ermon 2019, algorithm 1): from the noisiest level to the least, K steps at each.  In y = x/α the
noise of a level is σ̂ = σ/α and the step is ε = ½·η·σ̂², so that the signal-to-noise ratio of a step is the same at every
level; on N(0, σ̂²) the chain has variance σ̂²/(1 − η/4).

**Predictor–corrector** (Song et al. 2021, algorithms 2–5): at each time K steps with ε = 2·(ρ·‖z‖/‖s‖)², ρ being the
signal-to-noise ratio, then a step of the reverse SDE.  For the norms stand √d and √d/σ, which they are about where d is
large: ε = 2·(ρσ)².  So a sample does not depend on who else is in the batch, nor the step on x, which would draw from
another density (in the plane visibly so).  ``batch_norms`` takes the norms themselves, averaged over the batch, as the
paper's code does; only comparisons with that code want it.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Condition, Denoiser, Frame, Model, Observer, Streams
from zoo_core.paths import Spacing
from zoo_core.samplers.euler_maruyama import reverse_step
from zoo_core.samplers.path import PathSampler, Step, guided

__all__ = ["AnnealedLangevin", "PredictorCorrector"]


class _Resting(PathSampler):
    """What both share."""

    stochastic = True
    needs_data = True

    def plan(self, model: Denoiser, times: object) -> list[Step]:
        raise NotImplementedError  # these are not linear in what is known

    def _begin(self, model: Model, streams: Streams, noise: Tensor | None) -> tuple[Denoiser, list[float], Tensor]:
        self.check(model)
        assert isinstance(model, Denoiser)
        times = self.times(model)
        shape = [int(size) for size in model.space.shape if size is not None]
        return model, times, self.start(model, streams, times[0], shape) if noise is None else noise

    def _clipped(self, model: Denoiser, data: Tensor) -> Tensor:
        assert isinstance(model, Model)
        low, high = model.space.low, model.space.high
        return data.clamp(low, high) if (low is not None if self.clip is None else self.clip) else data


class AnnealedLangevin(_Resting):
    """Langevin dynamics at one noise level after the other.

    Args:
        steps: levels.
        repeats: K, network evaluations at each level; one more asks for x̂ at the end.
        eta: η in (0, 4), the size of a step.
        spacing: the levels.
        clip: whether x̂ is held in the range of the data.
    """

    def __init__(
        self,
        steps: int = 50,
        repeats: int = 12,
        eta: float = 0.1,
        spacing: Spacing = "log-snr",
        clip: bool | None = None,
    ) -> None:
        super().__init__(steps, spacing, clip)
        if repeats < 1 or not 0.0 < eta < 4.0:
            raise IncompatibleError(f"repeats = {repeats} and eta = {eta}; expected at least 1 and a number in (0, 4)")
        self.repeats, self.eta = repeats, eta

    def steps_within(self, evaluations: int) -> int:
        return (evaluations - 1) // self.repeats

    def sample(
        self,
        model: Model,
        streams: Streams,
        *,
        condition: Condition | None = None,
        guidance: float = 1.0,
        observer: Observer | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        denoiser, times, x = self._begin(model, streams, noise)
        path, levels = denoiser.path, times[:-1]
        if path.alpha(levels[0]) == 0.0:
            raise IncompatibleError("annealed Langevin has no first level where α = 0; use spacing = 'log-snr'")
        shape, total = x.shape[1:], len(levels) * self.repeats + 1
        y = x / path.alpha(levels[0])
        for i, t in enumerate(levels):
            alpha = path.alpha(t)
            ratio = path.sigma(t) / alpha
            for k in range(self.repeats):
                data = self._clipped(denoiser, guided(denoiser, alpha * y, t, condition, guidance).data)
                y = y + 0.5 * self.eta * (data - y) + math.sqrt(self.eta) * ratio * streams.normal(*shape)
                if observer is not None:
                    observer(Frame(i * self.repeats + k + 1, total, alpha * y, data))
        data = self._clipped(denoiser, guided(denoiser, alpha * y, t, condition, guidance).data)
        if observer is not None:
            observer(Frame(total, total, data, data))
        return data


class PredictorCorrector(_Resting):
    """Steps of the reverse SDE, each after a few of Langevin.

    Args:
        steps: times; each asks the network 1 + corrections times.
        corrections: K.
        snr: ρ, the signal-to-noise ratio of a correction.
        spacing: the time grid.
        clip: whether x̂ is held in the range of the data.
        batch_norms: the mean norm over the batch, for comparisons.
    """

    def __init__(
        self,
        steps: int = 200,
        corrections: int = 1,
        snr: float = 0.1,
        spacing: Spacing = "log-snr",
        clip: bool | None = None,
        batch_norms: bool = False,
    ) -> None:
        super().__init__(steps, spacing, clip)
        if corrections < 0 or not snr > 0.0:
            raise IncompatibleError(f"corrections = {corrections} and snr = {snr}; expected at least 0, and above 0")
        self.corrections, self.snr, self.batch_norms = corrections, snr, batch_norms

    def steps_within(self, evaluations: int) -> int:
        return evaluations // (1 + self.corrections)

    def sample(
        self,
        model: Model,
        streams: Streams,
        *,
        condition: Condition | None = None,
        guidance: float = 1.0,
        observer: Observer | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        denoiser, times, x = self._begin(model, streams, noise)
        path, shape, data = denoiser.path, x.shape[1:], x
        for i, (t, s) in enumerate(pairwise(times)):
            step = reverse_step(path, t, s)
            for _ in range(self.corrections):
                data = self._clipped(denoiser, guided(denoiser, x, t, condition, guidance).data)
                score = (path.alpha(t) * data - x) / path.sigma(t) ** 2
                x = self._corrected(x, score, streams.normal(*shape), path.sigma(t))
            data = self._clipped(denoiser, guided(denoiser, x, t, condition, guidance).data)
            x = step.data * data + step.state * x
            if step.fresh:
                x = x + step.fresh * streams.normal(*shape)
            if observer is not None:
                observer(Frame(i + 1, len(times) - 1, x, data))
        return x

    def _corrected(self, x: Tensor, score: Tensor, z: Tensor, sigma: float) -> Tensor:
        if not self.batch_norms:
            epsilon = 2.0 * (self.snr * sigma) ** 2
            return x + epsilon * score + math.sqrt(2.0 * epsilon) * z
        of_noise, of_score = (v.flatten(1).norm(dim=1).mean() for v in (z, score))
        step = 2.0 * (self.snr * of_noise / of_score).square()
        return x + step * score + (2.0 * step).sqrt() * z
