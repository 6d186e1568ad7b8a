r"""Consistency distillation (Song et al. 2023, algorithm 2).

A frozen teacher's ODE leads from z = x + σ_{i+1}·ε one step down to ẑ at σ_i, and the two answers are drawn together,

    E [ d( f_θ(z, σ_{i+1}),  sg f_θ⁻(ẑ, σ_i) ) / (σ_{i+1} − σ_i) ].

In the coordinates z, σ̂ the probability-flow ODE of every path is dz/dσ̂ = ε̂(z, σ̂): with h = σ_i − σ_{i+1},

    ddim   ẑ = z + h·ε̂(z, σ_{i+1}),
    heun   ẑ = z + (h/2)·(ε̂(z, σ_{i+1}) + ε̂(z + h·ε̂(z, σ_{i+1}), σ_i)).

The target θ⁻ is a moving average, θ⁻ ← μ·θ⁻ + (1 − μ)·θ after every step; with μ = 0 it is θ itself, without gradient,
which was found to be no worse (Song & Dhariwal 2024, §3.2).  The average that is shipped is the recipe's ``ema``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from zoo_consistency.grid import levels, lognormal_weights
from zoo_consistency.model import Consistency
from zoo_consistency.training import consistency_loss
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Condition, Denoiser, GradientObjective, Loss, Model, Streams
from zoo_core.loading import load

__all__ = ["Distillation", "Solver", "teacher_step"]

Solver = Literal["heun", "ddim"]


class Distillation(GradientObjective[Consistency]):
    """Consistency along a teacher's trajectories.

    Args:
        teacher: a model on a path, as ``zoo load`` names it; it is frozen.
        intervals: N, the number of steps in which the teacher's ODE is cut.
        solver: ``heun`` (two evaluations of the teacher) or ``ddim`` (one).
        mean, spread: of log σ, which is lognormal as in iCT.
        huber: c of the pseudo-Huber distance; 0.00054·√d unless given.
        target_decay: μ in [0, 1).

    Raises:
        ValueError: an argument outside its set.
    """

    def __init__(
        self,
        teacher: str = "ddpm-moons",
        intervals: int = 40,
        solver: Solver = "heun",
        mean: float = -1.1,
        spread: float = 2.0,
        huber: float | None = None,
        target_decay: float = 0.0,
    ) -> None:
        if not 0.0 <= target_decay < 1.0:
            raise ValueError(f"target_decay = {target_decay}; expected a number in [0, 1)")
        if solver not in get_args(Solver):
            raise ValueError(f"solver = {solver!r}; expected one of {', '.join(get_args(Solver))}")
        if intervals < 1 or spread <= 0.0:
            raise ValueError(f"intervals = {intervals} and spread = {spread}; expected at least 1 and more than 0")
        self.name, self.intervals, self.solver = teacher, intervals, solver
        self.mean, self.spread, self.huber = mean, spread, huber
        self.target_decay = target_decay
        self._teacher: Model | None = None
        self._target: Consistency | None = None
        self._restored: dict[str, Tensor] = {}

    def losses(self, model: Consistency, batch: Batch, streams: Streams) -> Iterator[Loss]:
        teacher = self._ready(model, batch.x.device)
        grid = levels(self.intervals, model.sigma_min, model.sigma_max)
        index = streams.categorical(lognormal_weights(grid, self.mean, self.spread)).cpu()
        low, high = grid[index].to(batch.x.device), grid[index + 1].to(batch.x.device)
        z = batch.x + high.to(batch.x.dtype).view(-1, *[1] * (batch.x.ndim - 1)) * streams.normal(*batch.x.shape[1:])
        with torch.no_grad():
            below = teacher_step(teacher, z, high, low, self.solver, batch.condition)
        target = self.target(model)
        yield consistency_loss(model, target, (z, high), (below, low), batch.condition, self.huber)
        if target is not model:
            new = [p.detach() for p in model.parameters()]
            torch._foreach_lerp_(list(target.parameters()), new, 1.0 - self.target_decay)

    def target(self, model: Consistency) -> Consistency:
        """The model of θ⁻: the model itself without a moving average."""
        if self.target_decay == 0.0:
            return model
        if self._target is None:
            self._target = copy.deepcopy(model).requires_grad_(False)
            if self._restored:
                self._target.load_state_dict(self._restored)
        return self._target

    def state(self) -> dict[str, Tensor]:
        return {} if self._target is None else dict(self._target.state_dict())

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._target, self._restored = None, dict(state)

    def _ready(self, model: Model, device: torch.device) -> Denoiser:
        if self._teacher is None:
            teacher = load(self.name)
            if not isinstance(teacher, Denoiser) or teacher.space != model.space:
                raise IncompatibleError(f"teacher = {self.name!r} draws no samples of this kind along a path")
            self._teacher = teacher
        self._teacher.to(device)
        assert isinstance(self._teacher, Denoiser)
        return self._teacher


def teacher_step(
    teacher: Denoiser, z: Tensor, high: Tensor, low: Tensor, solver: Solver, condition: Condition | None = None
) -> Tensor:
    """One step of the teacher's ODE from level ``high`` to ``low``, in z = x + σ̂·ε.

    Args:
        teacher: whose ε̂; asked within the levels that it was trained at, t_min … t_max.
        z: ``(n, …)``.
        high, low: σ̂ before and after, ``(n,)``.
        solver: ``heun`` or ``ddim``.
        condition: of the data.
    """
    h = (low - high).to(z.dtype).view(-1, *[1] * (z.ndim - 1))
    slope = _noise(teacher, z, high, condition)
    ahead = z + h * slope
    return ahead if solver == "ddim" else z + 0.5 * h * (slope + _noise(teacher, ahead, low, condition))


def _noise(teacher: Denoiser, z: Tensor, sigma: Tensor, condition: Condition | None) -> Tensor:
    """ε̂ at z = x + σ̂·ε, by way of the teacher's own path: x_t = α(t)·z where σ(t)/α(t) = σ̂."""
    path = teacher.path
    times = {s: path.time_of_log_snr(-2.0 * math.log(s)) for s in set(sigma.tolist())}  # few levels, many examples
    t = torch.tensor([min(max(times[s], path.t_min), path.t_max) for s in sigma.tolist()], dtype=torch.float64)
    alpha, _ = path.coefficients(t, like=z)
    said = teacher.predict(alpha * z, t, condition=condition if teacher.conditions else None)  # type: ignore[attr-defined]
    shape = (-1, *[1] * (z.ndim - 1))
    # ε̂ from x̂ at the level itself: where the teacher's levels end before ours, its x̂ stands.
    return (z - said.data) / sigma.to(z.dtype).view(shape)
