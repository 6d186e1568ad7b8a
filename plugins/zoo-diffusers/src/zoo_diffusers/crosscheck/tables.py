r"""Schedulers of diffusers that have a table ᾱ_0 … ᾱ_{T−1}, on any path.

They are asked with the v prediction of the common coordinate, v = cos θ·ε̂ − sin θ·x̂, which is well conditioned at both
ends of the path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from zoo_core.interfaces import Denoiser
from zoo_core.paths import GaussianPath
from zoo_core.samplers.ancestral import Ancestral
from zoo_core.samplers.ddim import DDIM
from zoo_core.samplers.dpm_solver import DPMSolver
from zoo_core.samplers.path import PathSampler
from zoo_core.samplers.runge_kutta import Euler, Heun
from zoo_core.samplers.unipc import UniPC
from zoo_diffusers.crosscheck.trajectory import Grid, radius

__all__ = ["TABLE_CHECKS", "TableCheck", "run_theirs"]


@dataclass(frozen=True)
class TableCheck:
    """One of ours and one of theirs.

    Attributes:
        ours: makes our sampler, for a number of steps and whether x̂ is clipped; its grid is replaced by that of the
            comparison, so that ``karras`` only says that it does not begin where α = 0.
        name: how our sampler is written at the terminal.
        scheduler: diffusers' class.
        options: of the scheduler.
        step_options: of its ``step``.
        in_sigma: whether its state is x/α.
        rounded: whether it computes in float32, whatever it is given.
        noise_dtype: in which it draws; that of the state where not said.
        stochastic: whether it draws.
        unit_only: whether it is right only where α² + σ² = 1.
    """

    ours: Callable[[int, bool], PathSampler]
    name: str
    scheduler: str
    options: dict[str, Any]
    step_options: dict[str, Any]
    in_sigma: bool = False
    rounded: bool = True
    noise_dtype: torch.dtype | None = None
    stochastic: bool = False
    unit_only: bool = False

    @property
    def spacing(self) -> Literal["trailing", "leading"]:
        """``leading`` where the state is x/α: on ``trailing`` it begins as large as σ/α at the end of the table, 2e4
        with a cosine schedule, and loses four more digits to float32 at the first step."""
        return "leading" if self.in_sigma else "trailing"


def _table_checks() -> tuple[TableCheck, ...]:
    rederived = {"use_clipped_model_output": True}
    checks = [
        TableCheck(lambda n, c: Ancestral(n, "fixed_small", clip=c), "ancestral variance=fixed_small", "DDPMScheduler",
                   {"variance_type": "fixed_small"}, {}, rounded=False, stochastic=True),
        TableCheck(lambda n, c: Ancestral(n, "fixed_large", clip=c), "ancestral variance=fixed_large", "DDPMScheduler",
                   {"variance_type": "fixed_large"}, {}, rounded=False, stochastic=True, unit_only=True),
        TableCheck(lambda n, c: DDIM(n, clip=c), "ddim", "DDIMScheduler", {}, rederived, rounded=False),
        TableCheck(lambda n, c: DDIM(n, eta=0.5, clip=c), "ddim eta=0.5", "DDIMScheduler", {},
                   rederived | {"eta": 0.5}, rounded=False, stochastic=True),
        TableCheck(lambda n, c: DDIM(n, eta=1.0, clip=c), "ddim eta=1", "EulerAncestralDiscreteScheduler", {}, {},
                   in_sigma=True, stochastic=True),
        TableCheck(lambda n, c: Euler(n, "sigma", "karras", c), "euler coordinate=sigma", "EulerDiscreteScheduler", {},
                   {}, in_sigma=True),
        TableCheck(lambda n, c: Heun(n, "sigma", "karras", c), "heun coordinate=sigma", "HeunDiscreteScheduler", {}, {},
                   in_sigma=True),
    ]  # fmt: skip
    for order in (1, 2, 3):
        checks.append(_dpm(order, sde=False))
    for order in (1, 2):
        checks.append(_dpm(order, sde=True))
    checks += [_unipc(order) for order in (1, 2, 3)]
    return tuple(checks)


def _dpm(order: int, *, sde: bool) -> TableCheck:
    published = order == 3  # without the factor of 2 that theirs lacks
    return TableCheck(
        lambda n, c: DPMSolver(n, order, sde, published=published, clip=c),
        f"dpm-solver order={order}" + (" sde=true" if sde else "") + (" published=true" if published else ""),
        "DPMSolverMultistepScheduler",
        {"solver_order": order, "algorithm_type": "sde-dpmsolver++" if sde else "dpmsolver++"},
        {},
        noise_dtype=torch.float32 if sde else None,
        stochastic=sde,
    )


def _unipc(order: int) -> TableCheck:
    return TableCheck(
        lambda n, c: UniPC(n, order, clip=c),
        f"unipc order={order}",
        "UniPCMultistepScheduler",
        {"solver_order": order, "solver_type": "bh2"},
        {},
    )


TABLE_CHECKS = _table_checks()


def run_theirs(model: Denoiser, check: TableCheck, grid: Grid, y: Tensor, seed: int, *, clip: bool) -> list[Tensor]:
    """The states of a scheduler after each step, in the common coordinate.

    Args:
        model: the network of both.
        check: which scheduler.
        grid: the times of both.
        y: the first state, in the common coordinate.
        seed: of the noise.
        clip: whether x̂ is held in [-1, 1]; for DDPM and DDIM only.
    """
    import diffusers

    path, steps = model.path, len(grid.indices)
    options = dict(check.options)
    if check.scheduler in ("DDPMScheduler", "DDIMScheduler"):
        options["clip_sample"] = clip
    scheduler = getattr(diffusers, check.scheduler)(
        num_train_timesteps=len(grid.table), prediction_type="v_prediction", timestep_spacing=check.spacing, **options
    )
    scheduler.alphas_cumprod = torch.tensor(grid.table, dtype=torch.float64)
    for name in ("one", "final_alpha_cumprod"):
        if hasattr(scheduler, name):
            setattr(scheduler, name, torch.tensor(1.0, dtype=torch.float64))
    scheduler.set_timesteps(steps)
    times = dict(zip(grid.indices, grid.times, strict=False))
    extra = dict(check.step_options)
    if check.stochastic:
        extra["generator"] = torch.Generator().manual_seed(seed)
    two_stages = check.scheduler == "HeunDiscreteScheduler"
    state = y / _cos(path, grid.times[0]) if check.in_sigma else y
    states: list[Tensor] = []
    for i, index in enumerate(scheduler.timesteps):
        t = times[round(float(index))]
        cos, sin = _cos(path, t), path.sigma(t) / radius(path, t)
        if check.in_sigma:
            scheduler.scale_model_input(state, index)  # sets its step; the scaling itself is ours
        prediction = model.predict((state * cos if check.in_sigma else state) * radius(path, t), t)
        v = cos * prediction.noise - sin * prediction.data
        step = scheduler.step(v, index, state, **extra)
        last = check.scheduler == "DDPMScheduler" and i == steps - 1
        state = (step.pred_original_sample if last else step.prev_sample).to(y.dtype)
        if not two_stages or i % 2 == 1 or i == len(scheduler.timesteps) - 1:
            states.append(state * _cos(path, grid.times[len(states) + 1]) if check.in_sigma else state)
    return states


def _cos(path: GaussianPath, t: float) -> float:
    return path.alpha(t) / radius(path, t)
