"""Builds the network of a pipeline, ours where there is a counterpart and diffusers' own elsewhere, and asks it.

| configuration                                     | network                     | condition                          |
|---------------------------------------------------|-----------------------------|------------------------------------|
| ``UNet2DModel``                                   | :mod:`zoo_diffusers.unet`   | ``label``, if it has classes       |
| … ``class_embed_type`` ``timestep``, ``identity`` | diffusers' own              | ``label``: a number, an embedding  |
| ``DiTTransformer2DModel``                         | diffusers' own              | ``label``, with a null             |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from zoo_core.errors import WeightsError
from zoo_core.interfaces import ConditionSpec
from zoo_diffusers import theirs
from zoo_diffusers.clock import Table
from zoo_diffusers.settings import settings
from zoo_diffusers.unet import UNet2D, make_unet

__all__ = ["Network", "make_network"]

_EMBEDDED = ("timestep", "identity")


@dataclass(frozen=True)
class Network:
    """A network, and what a pipeline must know of it.

    Attributes:
        module: network with the parameter names of its weights file.
        channels: number of input channels.
        out_channels: number of output channels.
        size: height and width of its images.
        conditions: what it is conditioned on.
        entries: number of times that it knows, if it has a learned table of them.
        divides: whether it takes the logarithm of its time, and divides by it.
    """

    module: nn.Module
    channels: int
    out_channels: int
    size: tuple[int, int]
    conditions: Mapping[str, ConditionSpec] = field(default_factory=dict)
    entries: int | None = None
    divides: bool = False

    def ask(self, x: Tensor, clock: Tensor, label: Tensor | None) -> Tensor:
        """Computes the output.

        Args:
            x: images, ``(n, channels, h, w)``.
            clock: times of the network, ``(n,)``, or ``(1,)`` for all samples.
            label: value of the condition ``label``, one row per sample.
        """
        output: Tensor
        if isinstance(self.module, UNet2D):
            output = self.module(x, clock, label)
            return output
        if label is not None and label.is_floating_point() and label.ndim > 1:
            label = label.to(x.dtype)
        (output,) = self.module(x, clock.expand(len(x)), class_labels=label, return_dict=False)
        return output


def make_network(config: Mapping[str, Any]) -> Network:
    """Builds the network of a configuration.

    Args:
        config: contents of ``unet/config.json`` or ``transformer/config.json``; missing keys have diffusers' defaults.

    Raises:
        WeightsError: a setting has no counterpart in either library, or is invalid.
        PluginError: the network is diffusers' own, and diffusers is not installed.
    """
    if config.get("_class_name") in theirs.TRANSFORMERS:
        return _transformer(config)
    if config.get("class_embed_type") in _EMBEDDED:
        return _embedded(config)
    unet = make_unet(config)
    classes = None if unet.class_embedding is None else unet.class_embedding.num_embeddings
    return Network(
        unet,
        unet.conv_in.in_channels,
        unet.conv_out.out_channels,
        _size("unet", config),
        {} if classes is None else {"label": ConditionSpec.label(classes)},
        unet.time_proj.num_embeddings if isinstance(unet.time_proj, Table) else None,
        unet.divides,
    )


def _embedded(config: Mapping[str, Any]) -> Network:
    """Makes a U-Net that is told numbers: one that is embedded as a time is, or a whole embedding."""
    s = settings({key: value for key, value in config.items() if key != "class_embed_type"})
    kind = config["class_embed_type"]
    if kind == "timestep" and s.time == "learned":
        raise WeightsError("unet: class_embed_type = 'timestep' with learned times has no counterpart here")
    shape = () if kind == "timestep" else (s.time_width,)
    return Network(
        theirs.build("unet", {"_class_name": "UNet2DModel"} | dict(config)),
        s.channels,
        s.out_channels,
        _size("unet", config),
        {"label": ConditionSpec("vector", shape=shape)},
        s.time_entries or None,
        s.time == "fourier",
    )


def _transformer(config: Mapping[str, Any]) -> Network:
    """Makes a diffusion transformer (Peebles & Xie 2023), whose labels have a null for guidance."""
    module = theirs.build("transformer", config)
    known: Any = module.config
    return Network(
        module,
        known.in_channels,
        known.out_channels or known.in_channels,
        _size("transformer", known),
        {"label": ConditionSpec.label(known.num_embeds_ada_norm, null=True)},
    )


def _size(part: str, config: Mapping[str, Any]) -> tuple[int, int]:
    size = config.get("sample_size")
    pair = (size, size) if type(size) is int else tuple(size) if isinstance(size, (list, tuple)) else ()
    if len(pair) != 2 or not all(type(s) is int and 0 < s <= 1 << 14 for s in pair):
        raise WeightsError(f"{part}: sample_size = {size!r}; expected the size of its images")
    return pair[0], pair[1]
