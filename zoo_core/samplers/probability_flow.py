r"""The probability-flow ODE of any Gaussian path, in the angle θ = atan2(σ, α) (Song et al. 2021, eq. 13).

    y = x_t/√(α² + σ²) = cos θ·x + sin θ·ε,        dy/dθ = cos θ·ε̂ − sin θ·x̂.

All terms are finite at both ends, where σ or α is 0, and the path enters through θ alone, so that all paths share one
equation.  θ runs from `least` (data) to `greatest` (noise, π/2 where α = 0).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo_core.interfaces.capabilities import Denoiser
from zoo_core.interfaces.condition import Condition
from zoo_core.paths import GaussianPath, broadcast
from zoo_core.samplers.path import guided

__all__ = ["ProbabilityFlow", "angle"]

LEAST_TIME = 1e-5
"""The least time at which a model is evaluated: at σ = 0 a data prediction does not determine ε̂."""


def angle(path: GaussianPath, t: float) -> float:
    """Returns θ(t)."""
    return math.atan2(path.sigma(t), path.alpha(t))


class ProbabilityFlow:
    """The field dy/dθ of a model.

    Args:
        model: any path model.
        condition: condition of the samples, one row each.
        guidance: strength of guidance; 1 is none, see :class:`~zoo_core.interfaces.sampler.Sampler`.

    Attributes:
        least, greatest: least and greatest angle θ at which the model is evaluated.
        first, last: times at these angles; ``last`` is the time of the noise.
    """

    def __init__(self, model: Denoiser, condition: Condition | None = None, guidance: float = 1.0) -> None:
        self.model, self.condition, self.guidance = model, condition, guidance
        path = model.path
        self.first, self.last = max(path.t_min, LEAST_TIME), path.t_max
        self.least, self.greatest = angle(path, self.first), angle(path, self.last)

    def __call__(self, theta: Tensor, y: Tensor) -> Tensor:
        """Returns dy/dθ at y ``(n, …)`` and θ, which is ``(n,)``, or ``(1,)`` for all samples alike."""
        if len(theta) == 1:
            return self._at_one(theta.item(), y)
        angles = theta.tolist()
        time_of = {value: self.time(value) for value in set(angles)}
        times = [time_of[value] for value in angles]
        radii = [math.hypot(self.model.path.alpha(t), self.model.path.sigma(t)) for t in times]
        cos, sin = (broadcast(f(theta).to(y.dtype), y) for f in (torch.cos, torch.sin))
        x_t = y * broadcast(y.new_tensor(radii), y)
        t = torch.tensor(times, dtype=torch.float64, device=y.device)
        prediction = guided(self.model, x_t, t, self.condition, self.guidance)
        return cos * prediction.noise - sin * prediction.data

    def _at_one(self, theta: float, y: Tensor) -> Tensor:
        t = self.time(theta)
        radius = math.hypot(self.model.path.alpha(t), self.model.path.sigma(t))
        prediction = guided(self.model, radius * y, t, self.condition, self.guidance)
        return math.cos(theta) * prediction.noise - math.sin(theta) * prediction.data

    def data(self, theta: float, y: Tensor) -> Tensor:
        """Predicts x̂ ``(n, …)`` at the angle ``theta`` and the state y."""
        t = self.time(theta)
        radius = math.hypot(self.model.path.alpha(t), self.model.path.sigma(t))
        return guided(self.model, radius * y, t, self.condition, self.guidance).data

    def rows(self, index: Tensor) -> ProbabilityFlow:
        """Returns the equation of the samples ``index``, with their rows of the condition."""
        if self.condition is None:
            return self
        return ProbabilityFlow(self.model, self.condition.rows(index), self.guidance)

    def time(self, theta: float) -> float:
        """Returns t(θ), between :attr:`first` and :attr:`last`."""
        if theta >= self.greatest:
            return self.last
        if theta <= self.least:
            return self.first
        t = self.model.path.time_of_log_snr(-2.0 * math.log(math.tan(theta)))
        return min(max(t, self.first), self.last)
