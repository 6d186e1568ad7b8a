"""Chooses the sampler that does the steps of a scheduler of diffusers, without torch.

A scheduler is two things: the noise that a network was trained on, which is a path (:mod:`zoo_diffusers.formulations`),
and a rule for steps, which is a sampler of the zoo and a default that any other may replace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_core.errors import WeightsError

__all__ = ["TABLED", "sampler"]

TABLED: dict[str, dict[str, Any]] = {
    "DDPMScheduler": {"name": "ancestral"},
    "DDPMParallelScheduler": {"name": "ancestral"},
    "DDIMScheduler": {"name": "ddim", "steps": 50},
    "DDIMParallelScheduler": {"name": "ddim", "steps": 50},
    "PNDMScheduler": {"name": "ddim", "steps": 50},
    "EulerDiscreteScheduler": {"name": "ddim", "steps": 50},  # in σ/α DDIM is Euler's method
    "LMSDiscreteScheduler": {"name": "ddim", "steps": 50},
    "EulerAncestralDiscreteScheduler": {"name": "ancestral", "steps": 50},
    "KDPM2AncestralDiscreteScheduler": {"name": "ancestral", "steps": 50},
    "HeunDiscreteScheduler": {"name": "heun", "steps": 25},
    "KDPM2DiscreteScheduler": {"name": "midpoint", "steps": 25},
    "DPMSolverMultistepScheduler": {"name": "dpm-solver", "steps": 25},
    "DPMSolverSinglestepScheduler": {"name": "dpm-solver", "steps": 25},
    "DPMSolverSDEScheduler": {"name": "dpm-solver", "steps": 25, "sde": True},
    "DEISMultistepScheduler": {"name": "unipc", "steps": 25},
    "UniPCMultistepScheduler": {"name": "unipc", "steps": 25},
}
"""Schedulers of a table ᾱ_k, with the sampler of each."""

_CLIP = {"DDPM", "DDPMParallel", "DDIM", "DDIMParallel"}
"""Schedulers that clip x̂ unless their configuration says otherwise."""

_OTHER: dict[str, dict[str, Any]] = {
    "FlowMatchEulerDiscreteScheduler": {"name": "ddim", "steps": 50, "clip": False},  # the path is straight in σ/α, too
    "FlowMatchHeunDiscreteScheduler": {"name": "heun", "steps": 25, "clip": False},
    "ScoreSdeVeScheduler": {"name": "ancestral", "steps": 1000, "clip": False},
    "EDMEulerScheduler": {"name": "ddim", "steps": 50, "clip": False},
    "EDMDPMSolverMultistepScheduler": {"name": "dpm-solver", "steps": 25, "clip": False},
    "CMStochasticIterativeScheduler": {"name": "consistency", "steps": 1},
}
"""Schedulers of other paths, with the sampler of each."""


def sampler(scheduler: Mapping[str, Any]) -> dict[str, Any]:
    """Chooses the sampler that does the steps of the scheduler, as a registry's ``sampler`` table.

    Raises:
        WeightsError: the scheduler is not known here, or clips in a way that no sampler supports.
    """
    kind = str(scheduler.get("_class_name"))
    if kind in _OTHER:
        chosen = dict(_OTHER[kind])
        if kind.startswith("EDM"):
            chosen["spacing"] = "log-snr" if scheduler.get("sigma_schedule") == "exponential" else "karras"
        if kind.startswith("CM"):
            chosen["clip"] = bool(scheduler.get("clip_denoised", True))
        return chosen
    if kind not in TABLED:
        known = ", ".join(name.removesuffix("Scheduler") for name in (*TABLED, *_OTHER))
        raise WeightsError(f"scheduler: {kind[:80]} is not known here; known are {known}")
    if scheduler.get("thresholding"):
        raise WeightsError("scheduler: thresholding has no counterpart here")
    clip = bool(scheduler.get("clip_sample", kind.removesuffix("Scheduler") in _CLIP))
    if clip and scheduler.get("clip_sample_range", 1.0) != 1.0:
        raise WeightsError(f"scheduler: clip_sample_range = {scheduler['clip_sample_range']!r}; images are in [−1, 1]")
    chosen = TABLED[kind] | {"spacing": _spacing(kind, scheduler), "clip": clip}
    if chosen["name"] == "dpm-solver" and scheduler.get("solver_order") in (1, 3) and "sde" not in chosen:
        chosen["order"] = scheduler["solver_order"]
    if str(scheduler.get("algorithm_type", "")).startswith("sde"):
        chosen |= {"sde": True, "order": min(chosen.get("order", 2), 2)}
    return chosen


def _spacing(kind: str, scheduler: Mapping[str, Any]) -> str:
    if scheduler.get("use_karras_sigmas"):
        return "karras"
    if scheduler.get("use_exponential_sigmas") or scheduler.get("use_lu_lambdas"):
        return "log-snr"
    leads = kind.removesuffix("Scheduler") in _CLIP or kind == "PNDMScheduler"
    return (
        "leading" if scheduler.get("timestep_spacing", "leading" if leads else "linspace") == "leading" else "trailing"
    )
