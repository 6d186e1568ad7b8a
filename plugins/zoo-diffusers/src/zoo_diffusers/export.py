r"""Exports models on a Gaussian path with a U-Net to folders that diffusers loads, without diffusers.

| model                                       | pipeline and scheduler                                                |
|---------------------------------------------|-----------------------------------------------------------------------|
| a table ᾱ_k (DDPM)                          | ``DDPMPipeline``, ``DDPMScheduler``: that table                       |
| any path, angular preconditioning           | ``DDIMPipeline``, ``DDIMScheduler``: v, ᾱ_k = cos²(πk/2000)           |
| α = 1 − t, the network answers the velocity | ``DDPMPipeline``, ``FlowMatchEulerDiscreteScheduler``                 |
| consistency, ``edm`` preconditioning        | ``ConsistencyModelPipeline``, ``CMStochasticIterativeScheduler``      |

A network with angular preconditioning sees x_t/√(α² + σ²) and the time 1000·(2/π)·θ, and predicts cos θ·ε − sin θ·x.
For every path this is v-prediction on the trigonometric path, whose entry k is at θ = πk/2000.  (At k = 0 the table has
1 − 10⁻⁸, since diffusers divides by 1 − ᾱ.)

A conditional network is exported without labels: the null class is added to the time embedding's bias.  What was loaded
from diffusers' format goes back as it came (:mod:`zoo_diffusers.round_trip`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Denoiser, Model
from zoo_core.paths import DiscretePath, LinearPath
from zoo_diffusers.latent import LatentPipeline
from zoo_diffusers.model import DiffusersPipeline
from zoo_diffusers.round_trip import Parts, as_it_came
from zoo_diffusers.schedules import table_config
from zoo_nets.diffusers_unet import to_diffusers, unet2d_config
from zoo_nets.unet import UNet

__all__ = ["export", "scheduler_of"]

_PREDICTIONS = {"noise": "epsilon", "data": "sample", "v": "v_prediction"}
_VARIANCES = {"fixed_small": "fixed_small", "fixed_large": "fixed_large", "learned": "learned_range"}
_NEARLY_DATA = 1e-8


def export(model: Model, config: dict[str, Any], folder: Path) -> None:
    """Writes ``model_index.json``, ``scheduler/`` and the network, and an autoencoder, into an existing, empty folder.

    Args:
        model: model on a path.
        config: keyword arguments of its constructor.
        folder: existing, empty folder to write to.

    Raises:
        IncompatibleError: diffusers has no counterpart of a part of the model, which the message names.
    """
    if isinstance(model, (DiffusersPipeline, LatentPipeline)):
        _write(folder, *as_it_came(model, config))
        return
    network = getattr(model, "network", None)
    if not isinstance(model, Denoiser) or not isinstance(network, UNet):
        raise IncompatibleError("diffusers has a counterpart of models on a path with a U-Net only; this is none")
    pipeline, scheduler = scheduler_of(model)
    channels, height, width = (int(size or 0) for size in model.space.shape)
    if height != width:
        raise IncompatibleError(f"diffusers' UNet2DModel wants square images; these are {height}×{width}")
    if network.patch > 1:
        raise IncompatibleError(f"diffusers' UNet2DModel has no patches; this network has patch = {network.patch}")
    if network.stem.in_channels != channels:
        raise IncompatibleError("diffusers' networks are shown the image alone, this one Fourier features of it")
    spec = {key: value for key, value in config["network"].items() if key != "kind"}
    unet = {"_class_name": "UNet2DModel"} | unet2d_config(spec, channels, network.head.out_channels, height)
    _write(folder, pipeline, scheduler, {"unet": (unet, to_diffusers(_unconditional(network.state_dict())))})


def _write(folder: Path, pipeline: str, scheduler: Mapping[str, Any], parts: Parts) -> None:
    """Writes a pipeline of a scheduler and parts, each with its configuration and its state."""
    index = {"_class_name": pipeline, "scheduler": ["diffusers", scheduler["_class_name"]]}
    index |= {part: ["diffusers", config["_class_name"]] for part, (config, _) in parts.items()}
    files = {"model_index.json": index, "scheduler/scheduler_config.json": scheduler}
    files |= {f"{part}/config.json": config for part, (config, _) in parts.items()}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    for part, (_, state) in parts.items():
        weights = {name: value.float().contiguous() for name, value in state.items()}
        save_file(weights, folder / part / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def scheduler_of(model: Denoiser) -> tuple[str, dict[str, Any]]:
    """Returns the pipeline's class, and the scheduler's configuration with ``_class_name``.

    Raises:
        IncompatibleError: diffusers has no scheduler for this path and network.
    """
    path, preconditioning = model.path, getattr(model, "preconditioning", "none")
    if isinstance(path, DiscretePath):
        table = table_config(path)
        own: dict[str, Any] = {"variance_type": _VARIANCES[model.variance], "timestep_spacing": "trailing"}
        return "DDPMPipeline", _vp("DDPMScheduler", table, _PREDICTIONS[model.prediction]) | own
    if hasattr(model, "jump"):
        return "ConsistencyModelPipeline", _consistency(model)
    if preconditioning == "angular":
        angles = [math.cos(0.5 * math.pi * k / 1000) ** 2 for k in range(1000)]
        table = table_config([1.0 - _NEARLY_DATA, *angles[1:]])
        own = {"set_alpha_to_one": True, "timestep_spacing": "trailing"}
        return "DDIMPipeline", _vp("DDIMScheduler", table, "v_prediction") | own
    if isinstance(path, LinearPath) and model.prediction == "velocity":
        flow = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 1.0}
        return "DDPMPipeline", flow
    what = f"{type(path).__name__} with preconditioning {preconditioning!r} and the answer {model.prediction!r}"
    raise IncompatibleError(f"diffusers has no scheduler for {what}: its networks see another clock")


def _vp(name: str, table: Mapping[str, Any], prediction: str) -> dict[str, Any]:
    clip = {"clip_sample": True, "clip_sample_range": 1.0}
    return {"_class_name": name, **table, "prediction_type": prediction, **clip}


def _consistency(model: Any) -> dict[str, Any]:
    if model.preconditioning != "edm":
        raise IncompatibleError(
            f"diffusers' consistency models have the scalings 'edm'; this one has {model.preconditioning!r}"
        )
    return {
        "_class_name": "CMStochasticIterativeScheduler",
        "num_train_timesteps": 40,
        "sigma_min": model.sigma_min,
        "sigma_max": model.sigma_max,
        "sigma_data": model.data_scale,
        "rho": 7.0,
    }


def _unconditional(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the state without classes; the null class, the last row, is added to the time embedding."""
    plain = dict(state)
    rows = plain.pop("class_embedding.weight", None)
    if rows is not None:
        plain["time_embedding.linear_2.bias"] = plain["time_embedding.linear_2.bias"] + rows[-1]
    return plain
