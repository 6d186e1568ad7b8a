"""A folder that diffusers' ``DDPMPipeline.from_pretrained`` (or ``DDIMPipeline``) reads.  Needs no diffusers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Model
from zoo_ddpm.model import DDPM
from zoo_nets.diffusers_unet import to_diffusers, unet2d_config

__all__ = ["export", "scheduler_config"]

_SCHEDULES = {"linear": "linear", "quadratic": "scaled_linear", "cosine": "squaredcos_cap_v2"}
_PREDICTIONS = {"noise": "epsilon", "data": "sample", "v": "v_prediction"}
_VARIANCES = {"fixed_small": "fixed_small", "fixed_large": "fixed_large", "learned": "learned_range"}


def scheduler_config(config: dict[str, Any], name: str = "DDPMScheduler") -> dict[str, Any]:
    """The configuration of the diffusers scheduler with our noise schedule and our time grid.

    Args:
        config: the keyword arguments of :class:`zoo_ddpm.model.DDPM`.
        name: ``DDPMScheduler`` or ``DDIMScheduler``.
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


def export(model: Model, config: dict[str, Any], folder: Path) -> None:
    """Writes ``model_index.json``, ``scheduler/`` and ``unet/`` into an existing, empty folder.

    Raises:
        IncompatibleError: the network is not the U-Net (diffusers has no counterpart), or its images are not square.
    """
    network = dict(config["network"])
    if not isinstance(model, DDPM) or network.pop("kind") != "unet":
        raise IncompatibleError("only a DDPM with a U-Net has a counterpart in diffusers; this network is an MLP")
    channels, height, width = config["shape"]
    if height != width:
        raise IncompatibleError(f"diffusers' UNet2DModel wants square images; these are {height}×{width}")
    out_channels = channels * (2 if model.variance == "learned" else 1)
    files = {
        "model_index.json": {
            "_class_name": "DDPMPipeline",
            "scheduler": ["diffusers", "DDPMScheduler"],
            "unet": ["diffusers", "UNet2DModel"],
        },
        "scheduler/scheduler_config.json": scheduler_config(config),
        "unet/config.json": unet2d_config(network, channels, out_channels, height),
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    state = to_diffusers({k: v.float().contiguous() for k, v in model.network.state_dict().items()})
    save_file(state, folder / "unet" / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
