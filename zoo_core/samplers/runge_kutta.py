r"""One-step methods for the probability-flow ODE: Euler, midpoint, Heun, classical Runge–Kutta.

In a coordinate u with a rescaled state Y = S·x_t the equation is dY/du = p·Y + q·x̂:

| coordinate | u           | S         | p       | q             |                                              |
|------------|-------------|-----------|---------|---------------|----------------------------------------------|
| ``time``   | t           | 1         | σ′/σ    | α′ − σ′·α/σ   | the velocity, as flow matching has it        |
| ``sigma``  | σ/α         | 1/α       | 1/u     | −1/u          | EDM (Karras et al. 2022, eq. 1 and alg. 1)   |
| ``angle``  | atan2(σ, α) | 1/√(α²+σ²)| cot u   | −1/sin u      | regular where α = 0                          |

The last two do not depend on the path: on one grid of σ/α all paths give the same samples.  A slope is linear in Y and
x̂, hence so is every stage, and a method is a list of coefficients.  The step to σ = 0 returns x̂.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Denoiser
from zoo_core.paths import GaussianPath, Spacing
from zoo_core.samplers.ode import EULER, HEUN, MIDPOINT, RK4, Tableau
from zoo_core.samplers.path import PathSampler, Stage, Step

__all__ = ["RK", "Coordinate", "Euler", "Heun", "Midpoint"]

Coordinate = Literal["time", "sigma", "angle"]


class _RungeKutta(PathSampler):
    """A one-step method on the probability-flow ODE; see the module.

    Args:
        steps: number of solver steps, each with one network evaluation per stage of the method; the last step has one.
        coordinate: coordinate of the ODE, ``time``, ``sigma`` or ``angle``.
        spacing: time grid.
        clip: whether every x̂ is held in the range of the data.
    """

    method: Tableau

    def __init__(
        self,
        steps: int = 20,
        coordinate: Coordinate = "angle",
        spacing: Spacing = "trailing",
        clip: bool | None = None,
    ) -> None:
        super().__init__(steps, spacing, clip)
        if coordinate not in get_args(Coordinate):
            raise IncompatibleError(f"coordinate = {coordinate!r}; expected one of {', '.join(get_args(Coordinate))}")
        self.coordinate: Coordinate = coordinate
        self.needs_signal_at_start = coordinate == "sigma"

    def evaluations(self, steps: int) -> int:
        return (steps - 1) * len(self.method.nodes) + 1  # the last step returns x̂, which takes one evaluation

    def plan(self, model: Denoiser, times: Sequence[float]) -> list[Step]:
        return [self._step(model.path, t, s) for t, s in pairwise(times)]

    def _step(self, path: GaussianPath, t: float, s: float) -> Step:
        if path.sigma(s) == 0.0:
            return Step(t, 1.0, 0.0)
        u, u_end = self._u(path, t), self._u(path, s)
        h, scale = u_end - u, self._scale(path, t)
        slopes: list[list[float]] = []  # of each stage, as coefficients of x_t and the x̂ of the stages up to it
        stages: list[tuple[float, list[float]]] = []
        for j, (node, row) in enumerate(zip(self.method.nodes, self.method.matrix, strict=True)):
            t_j = t if node == 0.0 else s if node == 1.0 else self._time(path, u + node * h)
            Y = [scale, *[0.0] * (j + 1)]
            for weight, slope in zip(row, slopes, strict=False):
                for k, value in enumerate(slope):
                    Y[k] += h * weight * value
            stages.append((t_j, [value / self._scale(path, t_j) for value in Y[: j + 1]]))
            p, q = self._field(path, t_j)
            slope = [p * value for value in Y]
            slope[j + 1] += q
            slopes.append(slope)
        end = [scale, *[0.0] * len(slopes)]
        for weight, slope in zip(self.method.weights, slopes, strict=True):
            for k, value in enumerate(slope):
                end[k] += h * weight * value
        end = [value / self._scale(path, s) for value in end]
        later = [
            Stage(t_j, at[0], tuple(at[1:]), weight) for (t_j, at), weight in zip(stages[1:], end[2:], strict=True)
        ]
        return Step(t, end[1], end[0], stages=tuple(later))

    def _u(self, path: GaussianPath, t: float) -> float:
        if self.coordinate == "time":
            return t
        if self.coordinate == "sigma":
            return path.sigma(t) / path.alpha(t)
        return math.atan2(path.sigma(t), path.alpha(t))

    def _time(self, path: GaussianPath, u: float) -> float:
        if self.coordinate == "time":
            return u
        return path.time_of_log_snr(-2.0 * math.log(u if self.coordinate == "sigma" else math.tan(u)))

    def _scale(self, path: GaussianPath, t: float) -> float:
        if self.coordinate == "time":
            return 1.0
        if self.coordinate == "sigma":
            return 1.0 / path.alpha(t)
        return 1.0 / math.hypot(path.alpha(t), path.sigma(t))

    def _field(self, path: GaussianPath, t: float) -> tuple[float, float]:
        """Returns p and q at t."""
        alpha, sigma = path.alpha(t), path.sigma(t)
        if self.coordinate == "time":
            rate = path.sigma_dot(t) / sigma
            return rate, path.alpha_dot(t) - rate * alpha
        if self.coordinate == "sigma":
            return alpha / sigma, -alpha / sigma
        return alpha / sigma, -math.hypot(alpha, sigma) / sigma


class Euler(_RungeKutta):
    """Euler's method, of first order, on the velocity in t unless ``coordinate`` is given.

    Args:
        steps: number of solver steps, each of one network evaluation.
        coordinate: coordinate of the ODE, ``time``, ``sigma`` (which is DDIM) or ``angle``.
        spacing: time grid.
        clip: whether every x̂ is held in the range of the data.
    """

    name = "euler"
    method = EULER

    def __init__(
        self,
        steps: int = 50,
        coordinate: Coordinate = "time",
        spacing: Spacing = "trailing",
        clip: bool | None = None,
    ) -> None:
        super().__init__(steps, coordinate, spacing, clip)


class Heun(_RungeKutta):
    __doc__ = (
        "Heun's method, of second order with two evaluations a step (Karras et al. 2022, alg. 1).\n"
        + str(_RungeKutta.__doc__).partition("\n")[2]
    )
    name = "heun"
    method = HEUN


class Midpoint(_RungeKutta):
    __doc__ = (
        "The midpoint method, of second order with two evaluations a step.\n"
        + str(_RungeKutta.__doc__).partition("\n")[2]
    )
    name = "midpoint"
    method = MIDPOINT


class RK(_RungeKutta):
    __doc__ = (
        "The classical Runge–Kutta method, of fourth order with four evaluations a step.\n"
        + str(_RungeKutta.__doc__).partition("\n")[2]
    )
    name = "rk4"
    method = RK4
