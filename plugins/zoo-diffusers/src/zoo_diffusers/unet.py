"""diffusers' ``UNet2DModel`` as our U-Net: what its configuration means, and what cannot be expressed.

The networks are the same function (:mod:`zoo_nets.diffusers_unet`) up to details that old checkpoints have and that are
set here: the order and the frequencies of the time embedding, its Gaussian Fourier kind, the padding of strided
convolutions, the ε of group norms, one attention head of a level's whole width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core.errors import WeightsError
from zoo_nets.time_embedding import TimeEmbedding
from zoo_nets.unet import Attention, Level, UNet

__all__ = ["make_unet"]

_EXPECTED: dict[str, tuple[Any, ...]] = {  # the values that our network can express; the first is diffusers' default
    "center_input_sample": (False,),
    "time_embedding_type": ("positional", "fourier"),
    "mid_block_type": ("UNetMidBlock2D",),
    "mid_block_scale_factor": (1,),
    "downsample_padding": (1, 0),
    "downsample_type": ("conv",),
    "upsample_type": ("conv",),
    "act_fn": ("silu", "swish"),
    "attn_norm_num_groups": (None,),
    "resnet_time_scale_shift": ("default",),
    "add_attention": (True,),
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
}


def make_unet(config: Mapping[str, Any]) -> UNet:
    """Our U-Net with the function of a ``UNet2DModel``.

    Args:
        config: what ``unet/config.json`` says; keys that are missing have diffusers' defaults.

    Raises:
        WeightsError: it has something that our network cannot express, or that makes no network.
    """
    for key, allowed in _EXPECTED.items():
        if config.get(key, allowed[0]) not in allowed:
            raise WeightsError(f"unet: {key} = {config[key]!r} has no counterpart here; only {_words(allowed)} has")
    widths = _widths(config)
    attention = _attention(config, len(widths))
    head, groups = config.get("attention_head_dim", 8), _number(config, "norm_num_groups", 32)
    if head is not None and any(width % _number(config, "attention_head_dim", 8) for width in widths):
        raise WeightsError(f"unet: attention_head_dim = {head} does not divide block_out_channels = {widths}")
    if any(width % groups for width in widths):
        raise WeightsError(f"unet: norm_num_groups = {groups} does not divide block_out_channels = {widths}")
    network = UNet(
        _number(config, "in_channels", 3),
        _number(config, "out_channels", 3),
        widths,
        blocks=_number(config, "layers_per_block", 2),
        attention=attention,
        head_width=head or widths[0],
        groups=groups,
        time_width=config.get("time_embedding_dim"),
    )
    _set_details(network, config, one_head=head is None)
    return network


def _set_details(network: UNet, config: Mapping[str, Any], one_head: bool) -> None:
    eps = float(config.get("norm_eps", 1e-5))
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.eps = eps
        if isinstance(module, Attention) and one_head:
            module.heads = 1
    if config.get("downsample_padding", 1) == 0:
        for level in Level.of(network.down):
            if isinstance(level.step, nn.Conv2d):
                level.step = _PaddedBelow.of(level.step)
    old = network.time_embedding
    if config.get("time_embedding_type", "positional") == "fourier":
        network.time_embedding = _Fourier(old.features, old.linear_2.out_features)
    else:
        cosine_first, shift = bool(config.get("flip_sin_to_cos", True)), float(config.get("freq_shift", 0))
        if not cosine_first or shift:
            network.time_embedding = _Sinusoid(old.features, old.linear_2.out_features, cosine_first, shift)


class _PaddedBelow(nn.Conv2d):
    """A strided convolution whose image is padded on the right and below only."""

    @classmethod
    def of(cls, other: nn.Conv2d) -> _PaddedBelow:
        return cls(other.in_channels, other.out_channels, 3, stride=2)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.pad(input, (0, 1, 0, 1)))


class _Sinusoid(TimeEmbedding):
    """ω_i = 10⁴^(−i/(half − shift)); sines first unless ``cosine_first``."""

    def __init__(self, features: int, width: int, cosine_first: bool, shift: float) -> None:
        super().__init__(features, width)
        self.cosine_first, self.shift = cosine_first, shift

    def forward(self, t: Tensor) -> Tensor:
        half = self.features // 2
        index = torch.arange(half, dtype=torch.float32, device=t.device)
        phase = t.float()[:, None] * torch.exp(index * (-math.log(10_000.0) / (half - self.shift)))
        waves = (phase.cos(), phase.sin()) if self.cosine_first else (phase.sin(), phase.cos())
        embedded = torch.cat(waves, dim=1).to(self.linear_1.weight.dtype)
        return self.linear_2(F.silu(self.linear_1(embedded)))


class _Fourier(TimeEmbedding):
    """sin and cos of 2π·w·ln σ with Gaussian w, which is part of the weights (Song et al. 2021, appendix C)."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__(2 * features, width)
        self.frequencies = nn.Parameter(torch.zeros(features), requires_grad=False)

    def forward(self, t: Tensor) -> Tensor:
        phase = t.float().log()[:, None] * self.frequencies.float() * (2.0 * math.pi)
        embedded = torch.cat([phase.sin(), phase.cos()], dim=1).to(self.linear_1.weight.dtype)
        return self.linear_2(F.silu(self.linear_1(embedded)))


def _widths(config: Mapping[str, Any]) -> list[int]:
    widths = config.get("block_out_channels", [224, 448, 672, 896])
    good = isinstance(widths, Sequence) and widths and all(type(w) is int and 0 < w <= 1 << 16 for w in widths)
    if not good:
        raise WeightsError(f"unet: block_out_channels = {widths!r}; expected a list of widths")
    return list(widths)


def _attention(config: Mapping[str, Any], levels: int) -> list[int]:
    """The levels with attention, which must be the same on the way down and up."""
    plain = {"DownBlock2D": False, "AttnDownBlock2D": True, "UpBlock2D": False, "AttnUpBlock2D": True}
    sides = []
    for key, default in (
        ("down_block_types", ["DownBlock2D", *["AttnDownBlock2D"] * 3]),
        ("up_block_types", [*["AttnUpBlock2D"] * 3, "UpBlock2D"]),
    ):
        names = config.get(key, default)
        if not isinstance(names, Sequence) or len(names) != levels:
            raise WeightsError(f"unet: {key} = {names!r}; expected one for each of {levels} widths")
        for name in names:
            if name not in plain or (key[:2] == "up") != ("Up" in name):
                raise WeightsError(f"unet: {key} has {name!r}, which has no counterpart here")
        sides.append([plain[name] for name in names])
    if sides[0] != sides[1][::-1]:
        raise WeightsError("unet: attention stands at other levels on the way up than on the way down")
    return [level for level, attends in enumerate(sides[0]) if attends]


def _number(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key, default)
    if type(value) is not int or not 0 < value <= 1 << 16:
        raise WeightsError(f"unet: {key} = {value!r}; expected a positive integer")
    return value


def _words(values: Sequence[Any]) -> str:
    return " or ".join(repr(value) for value in values)
