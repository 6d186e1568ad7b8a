"""Converts parameters of our U-Net to those of diffusers' ``UNet2DModel``, and back, without diffusers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["from_diffusers", "to_diffusers", "unet2d_config"]

_NAMES = [  # our name, name in diffusers; all matching rows are applied in order
    (r"^stem\.", "conv_in."),
    (r"^norm\.", "conv_norm_out."),
    (r"^head\.", "conv_out."),
    (r"^(down|up)\.(\d+)\.", r"\1_blocks.\2."),
    (r"^middle\.step\.", "mid_block.attentions.0."),
    (r"^middle\.", "mid_block."),
    (r"^(down_blocks\.\d+)\.step\.", r"\1.downsamplers.0.conv."),
    (r"^(up_blocks\.\d+)\.step\.", r"\1.upsamplers.0.conv."),
    (r"\.residual\.", ".resnets."),
    (r"\.attention\.", ".attentions."),
    (r"(resnets\.\d+)\.(norm|conv)_(\d)\.", r"\1.\2\3."),
    (r"(resnets\.\d+)\.time\.", r"\1.time_emb_proj."),
    (r"(resnets\.\d+)\.shortcut\.", r"\1.conv_shortcut."),
    (r"(attentions\.\d+)\.norm\.", r"\1.group_norm."),
    (r"(attentions\.\d+)\.out\.", r"\1.to_out.0."),
]


def _their_name(ours: str) -> str:
    for pattern, replacement in _NAMES:
        ours = re.sub(pattern, replacement, ours)
    return ours


def to_diffusers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Converts the state of a :class:`zoo_nets.unet.UNet` to a state of ``UNet2DModel``."""
    theirs: dict[str, Tensor] = {}
    for name, value in state.items():
        renamed = _their_name(name)
        if ".qkv." in renamed:
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                theirs[renamed.replace(".qkv.", f".to_{letter}.")] = part.contiguous()
        else:
            theirs[renamed] = value
    return theirs


def from_diffusers(theirs: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Converts the state of a ``UNet2DModel`` to a state of :class:`zoo_nets.unet.UNet`.

    Args:
        theirs: parameters of a ``UNet2DModel`` whose configuration is :func:`unet2d_config` of our network.
        like: state of our network, whose names are the result's.

    Raises:
        KeyError: a parameter that our network needs is missing.
    """
    ours: dict[str, Tensor] = {}
    for name in like:
        renamed = _their_name(name)
        if ".qkv." in renamed:
            ours[name] = torch.cat([theirs[renamed.replace(".qkv.", f".to_{letter}.")] for letter in "qkv"])
        else:
            ours[name] = theirs[renamed]
    return ours


def unet2d_config(network: Mapping[str, Any], channels: int, out_channels: int, size: int) -> dict[str, Any]:
    """Returns the configuration of the ``UNet2DModel`` that computes the function of our network.

    Args:
        network: keyword arguments of :class:`zoo_nets.unet.UNet` without the channels.
        channels: number of image channels.
        out_channels: number of output channels.
        size: height and width of the image in pixels.
    """
    levels = range(len(network["widths"]))
    attention = set(network.get("attention", ()))
    down = ["AttnDownBlock2D" if i in attention else "DownBlock2D" for i in levels]
    up = ["AttnUpBlock2D" if i in attention else "UpBlock2D" for i in reversed(levels)]
    return {
        "_class_name": "UNet2DModel",
        "sample_size": size,
        "in_channels": channels,
        "out_channels": out_channels,
        "block_out_channels": list(network["widths"]),
        "layers_per_block": network.get("blocks", 1),
        "down_block_types": down,
        "up_block_types": up,
        "norm_num_groups": network.get("groups", 8),
        "norm_eps": 1e-5,
        "attention_head_dim": network.get("head_width", 16),
        "time_embedding_dim": network.get("time_width") or 4 * network["widths"][0],
    }
