r"""Schedulers of diffusers that have a path of their own: score SDEs, flow matching, consistency models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from zoo_core.interfaces import Denoiser
from zoo_core.paths import GaussianPath, LinearPath, SubVariancePreserving, VarianceExploding, VariancePreserving
from zoo_core.samplers.ancestral import Ancestral
from zoo_core.samplers.consistency import Consistency
from zoo_core.samplers.euler_maruyama import EulerMaruyama
from zoo_core.samplers.path import PathSampler
from zoo_core.samplers.runge_kutta import Euler, Heun
from zoo_diffusers.crosscheck.trajectory import Draws, radius, run_ours

__all__ = ["PATH_CHECKS", "PathCheck"]

Trajectories = tuple[list[Tensor], list[Tensor]]


@dataclass(frozen=True)
class PathCheck:
    """One of ours and one of theirs, on their path.

    Attributes:
        name: how our sampler is written at the terminal.
        scheduler: diffusers' class.
        fits: whether a path is theirs.
        run: both trajectories, ``(model, y, steps, seed)``, in the common coordinate.
        stochastic: whether noise is drawn.
        rounded: whether theirs computes in float32.
    """

    name: str
    scheduler: str
    fits: Callable[[GaussianPath], bool]
    run: Callable[[Denoiser, Tensor, int, int], Trajectories]
    stochastic: bool
    rounded: bool = True


def _variance_exploding(model: Denoiser, y: Tensor, steps: int, seed: int) -> Trajectories:
    """Its reverse-diffusion predictor is ancestral sampling with the large variance; its corrector is off here."""
    path = model.path
    assert isinstance(path, VarianceExploding)
    last = 1e-5
    times = [1.0 + i * (last - 1.0) / (steps - 1) for i in range(steps)] + [0.0]
    scheduler = _scheduler(
        "ScoreSdeVeScheduler", num_train_timesteps=steps, sigma_min=path.sigma_min, sigma_max=path.sigma_max
    )
    scheduler.set_timesteps(steps)
    scheduler.set_sigmas(steps)
    scheduler.discrete_sigmas = torch.tensor([path.sigma(t) for t in reversed(times[:-1])], dtype=torch.float64)
    scheduler.timesteps = torch.tensor(times[:-1], dtype=torch.float64)
    source = torch.Generator().manual_seed(seed)
    x = y * radius(path, 1.0)
    theirs: list[Tensor] = []
    for t, s in pairwise(times):
        score = -model.predict(x, t).noise / path.sigma(t)
        step = scheduler.step_pred(score, torch.tensor(t, dtype=torch.float64), x, generator=source)
        x = step.prev_sample if s > 0.0 else step.prev_sample_mean
        theirs.append(x / radius(path, s))
    draws = Draws(seed, len(y), y.dtype, y.dtype)
    return run_ours(model, Ancestral(steps, "fixed_large", clip=False), times, y, draws), theirs


def _variance_preserving(model: Denoiser, y: Tensor, steps: int, seed: int) -> Trajectories:
    from diffusers.schedulers.deprecated.scheduling_sde_vp import ScoreSdeVpScheduler

    path = model.path
    assert isinstance(path, VariancePreserving)
    times = [1.0 - i / steps for i in range(steps)] + [0.0]  # with the spacing that its dt = 1/N believes in
    scheduler = ScoreSdeVpScheduler(steps, beta_min=path.beta_min, beta_max=path.beta_max)
    scheduler.set_timesteps(steps)
    source = torch.Generator().manual_seed(seed)
    x = y * radius(path, 1.0)
    theirs: list[Tensor] = []
    for t, s in pairwise(times[:-1]):  # it has no step to t = 0
        at = torch.full((len(x),), t, dtype=torch.float64)
        x, _ = scheduler.step_pred(model.predict(x, t).noise, x, at, generator=source)
        theirs.append(x / radius(path, s))
    draws = Draws(seed, len(y), y.dtype, y.dtype)
    return run_ours(model, EulerMaruyama(steps, clip=False), times, y, draws)[: steps - 1], theirs


def _flow(
    make: Callable[[int], PathSampler], scheduler: str, draws_in: torch.dtype | None = None
) -> Callable[[Denoiser, Tensor, int, int], Trajectories]:
    def run(model: Denoiser, y: Tensor, steps: int, seed: int) -> Trajectories:
        import numpy as np

        path = model.path
        options = {"stochastic_sampling": True} if draws_in else {}
        theirs_is = _scheduler(scheduler, **options)
        if scheduler == "FlowMatchHeunDiscreteScheduler":
            theirs_is.set_timesteps(steps)  # it takes no list: we take its own
            ends = [*theirs_is.sigmas[:1], *theirs_is.sigmas[1::2]]
            sigmas = [float(v) for v in ends[:-1]]
        else:
            sigmas = [1.0 - i / steps for i in range(steps)]
            theirs_is.set_timesteps(sigmas=np.array(sigmas))
        times = [*sigmas, 0.0]
        source = torch.Generator().manual_seed(seed)
        x = y * radius(path, times[0])
        theirs: list[Tensor] = []
        count = len(theirs_is.timesteps)
        at = [*times[:1], *[t for t in times[1:-1] for _ in range(2)]] if count > steps else times
        for i, label in enumerate(theirs_is.timesteps):
            prediction = model.predict(x, at[i])
            velocity = prediction.noise - prediction.data
            extra = {"generator": source} if draws_in else {}
            x = theirs_is.step(velocity, label, x, **extra).prev_sample.to(y.dtype)
            if count == steps or i % 2 == 1 or i == count - 1:
                theirs.append(x / radius(path, times[len(theirs) + 1]))
        draws = Draws(seed, len(y), draws_in or y.dtype, y.dtype)
        return run_ours(model, make(steps), times, y, draws), theirs

    return run


def _consistency(model: Denoiser, y: Tensor, steps: int, seed: int) -> Trajectories:
    path = model.path
    least, greatest = 0.002, min(80.0, path.sigma(path.t_max) / path.alpha(path.t_max))
    scheduler = _scheduler(
        "CMStochasticIterativeScheduler",
        num_train_timesteps=40,
        sigma_min=least,
        sigma_max=greatest,
        clip_denoised=False,
    )
    steps = min(steps, 4)
    scheduler.set_timesteps(timesteps=[10 * i for i in reversed(range(steps))])  # entry 0 is the noisiest
    sigmas = [float(v) for v in scheduler.sigmas[:-1]]
    times = [*[path.time_of_log_snr(-2.0 * math.log(v)) for v in sigmas], 0.0]
    source = torch.Generator().manual_seed(seed)
    ratio = y * radius(path, times[0]) / path.alpha(times[0])  # x/α
    theirs: list[Tensor] = []
    for i, label in enumerate(scheduler.timesteps):
        t, s = times[i], times[i + 1]
        data = model.predict(ratio * path.alpha(t), t).data
        skip, out = scheduler.get_scalings_for_boundary_condition(sigmas[i])
        scheduler.scale_model_input(ratio, label)
        answer = (data - skip * ratio) / out  # the network's own, from which it makes x̂ again
        ratio = scheduler.step(answer, label, ratio, generator=source).prev_sample
        theirs.append(ratio * path.alpha(s) / radius(path, s))
    factors = [math.sqrt(1.0 - (least / v) ** 2) for v in sigmas[1:]]
    draws = Draws(seed, len(y), y.dtype, y.dtype, factors)
    return run_ours(model, Consistency(len(sigmas), clip=False), times, y, draws), theirs


def _scheduler(name: str, **options: Any) -> Any:
    import diffusers

    return getattr(diffusers, name)(**options)


def _is_linear(path: GaussianPath) -> bool:
    return isinstance(path, LinearPath) and path.t_max == 1.0


def _is_vp(path: GaussianPath) -> bool:
    return path.t_max == 1.0 and isinstance(path, VariancePreserving) and not isinstance(path, SubVariancePreserving)


def _has_wide_range(path: GaussianPath) -> bool:
    """Whether it reaches σ/α = 0.002, the last of a consistency model."""
    return path.alpha(path.t_max) > 0.0 and path.sigma(path.t_min) <= 0.02 * path.alpha(path.t_min)


PATH_CHECKS: Sequence[PathCheck] = (
    PathCheck("ancestral variance=fixed_large", "ScoreSdeVeScheduler",
              lambda p: isinstance(p, VarianceExploding), _variance_exploding, True, rounded=False),
    PathCheck("euler-maruyama", "ScoreSdeVpScheduler", _is_vp, _variance_preserving, True, rounded=False),
    PathCheck("euler", "FlowMatchEulerDiscreteScheduler", _is_linear,
              _flow(lambda n: Euler(n, "time", clip=False), "FlowMatchEulerDiscreteScheduler"), False),
    PathCheck("heun coordinate=time", "FlowMatchHeunDiscreteScheduler", _is_linear,
              _flow(lambda n: Heun(n, "time", clip=False), "FlowMatchHeunDiscreteScheduler"), False),
    PathCheck("consistency", "FlowMatchEulerDiscreteScheduler", _is_linear,
              _flow(lambda n: Consistency(n, clip=False), "FlowMatchEulerDiscreteScheduler", torch.float32), True),
    PathCheck("consistency", "CMStochasticIterativeScheduler", _has_wide_range, _consistency, True),
)  # fmt: skip
