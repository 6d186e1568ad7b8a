"""Converts a DDPM's noise schedule to a scheduler of diffusers, without diffusers; ``zoo-diffusers`` writes folders."""

from __future__ import annotations

from typing import Any

__all__ = ["scheduler_config"]

_SCHEDULES = {"linear": "linear", "quadratic": "scaled_linear", "cosine": "squaredcos_cap_v2"}
_PREDICTIONS = {"noise": "epsilon", "data": "sample", "v": "v_prediction"}
_VARIANCES = {"fixed_small": "fixed_small", "fixed_large": "fixed_large", "learned": "learned_range"}


def scheduler_config(config: dict[str, Any], name: str = "DDPMScheduler") -> dict[str, Any]:
    """Returns the configuration of the diffusers scheduler with our noise schedule and time grid.

    Args:
        config: keyword arguments of :class:`zoo_ddpm.model.DDPM`.
        name: class of the scheduler, ``DDPMScheduler`` or ``DDIMScheduler``.
    """
    common = {
        "_class_name": name,
        "num_train_timesteps": config.get("steps", 1000),
        "beta_start": 1e-4,
        "beta_end": 0.02,
        "beta_schedule": _SCHEDULES[config.get("noise_schedule", "linear")],
        "prediction_type": _PREDICTIONS[config.get("prediction", "noise")],
        "clip_sample": True,
        "clip_sample_range": 1.0,
        "timestep_spacing": "trailing",
    }
    if name == "DDPMScheduler":
        return common | {"variance_type": _VARIANCES[config.get("variance", "fixed_small")]}
    return common | {"set_alpha_to_one": True}
