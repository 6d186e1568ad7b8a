"""Takes a model that was loaded from diffusers' format apart again, into the parts of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from torch import Tensor

from zoo_diffusers import theirs
from zoo_diffusers.latent import LatentPipeline
from zoo_diffusers.model import DiffusersPipeline

__all__ = ["Parts", "as_it_came"]

Parts: TypeAlias = dict[str, tuple[Mapping[str, Any], Mapping[str, Tensor]]]
"""The configuration and the state of each part, by the name of its folder."""

_PIPELINES = {
    "DDIMScheduler": "DDIMPipeline",
    "CMStochasticIterativeScheduler": "ConsistencyModelPipeline",
    "ScoreSdeVeScheduler": "ScoreSdeVePipeline",
}


def as_it_came(
    model: DiffusersPipeline | LatentPipeline, config: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any], Parts]:
    """Returns the class of a pipeline, the configuration of its scheduler, and its other parts.

    Args:
        model: model that was loaded from diffusers' format; its names in the state are the files' own.
        config: keyword arguments of its constructor.
    """
    scheduler: Mapping[str, Any] = config["scheduler"]
    network = {"_class_name": "UNet2DModel"} | dict(config["unet"])
    transforms = network["_class_name"] in theirs.TRANSFORMERS
    place = "transformer" if transforms else "unet"
    if isinstance(model, DiffusersPipeline):
        return (
            _PIPELINES.get(scheduler["_class_name"], "DDPMPipeline"),
            scheduler,
            {place: (network, model.state_dict())},
        )
    parts: Parts = {place: (network, model.inner.state_dict())}
    mine = {name: value for name, value in model.state_dict().items() if name not in parts[place][1]}
    parts["vae" if transforms else "vqvae"] = config["autoencoder"], mine
    return "DiTPipeline" if transforms else "LDMPipeline", scheduler, parts
