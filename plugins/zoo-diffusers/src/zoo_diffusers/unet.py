"""Implements diffusers' ``UNet2DModel`` without diffusers: its function, parameter names and configuration.

The plain network is that of Ho et al. 2020, appendix B; with skip stages and sines of log σ it is NCSN++ (Song et al.
2021, appendix H).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core.errors import WeightsError
from zoo_diffusers.blocks import activation, group_norm
from zoo_diffusers.clock import Embedding, make_waves
from zoo_diffusers.settings import Settings, quarter, settings
from zoo_diffusers.stages import Down, Middle, Up
from zoo_nets.unet import CHANNELS_LAST

__all__ = ["UNet2D", "make_unet"]


def make_unet(config: Mapping[str, Any]) -> UNet2D:
    """Makes the network of a configuration.

    Args:
        config: contents of ``unet/config.json``; missing keys have diffusers' defaults.

    Raises:
        WeightsError: a setting has no counterpart here, or is invalid.
    """
    s = settings(config)
    try:
        return UNet2D(s)
    except ValueError as err:
        said = f"norm_num_groups = {s.groups}, attention_head_dim = {s.head_width}, block_out_channels = {s.widths}"
        raise WeightsError(f"unet: {said} make {err}; expected groups and heads that divide them") from err


class UNet2D(nn.Module):
    """A network from ``(n, channels, h, w)`` and a time to ``(n, out_channels, h, w)``.

    Args:
        s: configuration of the network.

    Raises:
        ValueError: groups do not divide channels, or heads have more channels than there are.
    """

    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.centred, self.divides = s.centred, s.time == "fourier"
        self.conv_in = nn.Conv2d(s.channels, s.widths[0], 3, padding=1)
        self.time_proj, features = make_waves(s)
        self.time_embedding = Embedding(features, s.time_width)
        self.class_embedding = None if s.classes is None else nn.Embedding(s.classes, s.time_width)
        self.act = activation(s.activation)
        last = len(s.widths) - 1
        self.down_blocks = nn.ModuleList(
            Down(stage, inside, outside, s, i == last)
            for i, (stage, (inside, outside)) in enumerate(zip(s.down, pairwise([s.widths[0], *s.widths]), strict=True))
        )
        self.mid_block = Middle(s.widths[-1], s) if s.middle else None
        up = [s.widths[-1], *s.widths[::-1], s.widths[0]]
        self.up_blocks = nn.ModuleList(
            Up(stage, up[i], up[i + 2], up[i + 1], s, i == last) for i, stage in enumerate(s.up)
        )
        self.conv_norm_out = group_norm(s.groups or quarter(s.widths[0]), s.widths[0], s.eps)
        self.conv_out = nn.Conv2d(s.widths[0], s.out_channels, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Computes the output for images and times, in float32 or better where it is divided by the time.

        Args:
            x: images, ``(n, channels, h, w)``.
            t: time inputs, ``(n,)``, or ``(1,)`` for all samples.
            label: labels of a network with classes, ``(n,)``.
        """
        time = self.time_embedding(self.time_proj(t))
        if self.class_embedding is not None:
            time = time + self.class_embedding(label)
        time = self.act(time)
        image = 2.0 * x - 1.0 if self.centred else x
        answer: Tensor | None = None
        x = self.conv_in(image)
        if CHANNELS_LAST and x.is_cpu and not torch.is_grad_enabled() and x.dtype == torch.float32:
            x = x.contiguous(memory_format=torch.channels_last)
        saved = [x]
        for down in self.down_blocks:
            x, image = down(x, time, image, saved)
        if self.mid_block is not None:
            x = self.mid_block(x, time)
        for up in self.up_blocks:
            x, answer = up(x, time, answer, saved)
        x = self.conv_out(F.silu(self.conv_norm_out(x), inplace=True))
        if answer is not None:
            x = x + answer
        return x / t.view(-1, 1, 1, 1) if self.divides else x
