"""The stages of a ``UNet2DModel``: down, middle and up, plain or with an image in parallel to the features.

In a *skip* stage (NCSN++: Song et al. 2021, appendix H) the filtered and downsampled input image is added to the
features on the way down, and on the way up every stage adds to an upsampled image, which becomes the output.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_diffusers.blocks import Attention, Downsample, Residual, Upsample, filtered_down, filtered_up, group_norm
from zoo_diffusers.settings import Settings, Stage, quarter

__all__ = ["Down", "Middle", "Up"]

_IMAGE = 3
"""Number of channels of the parallel image, which is fixed in diffusers."""


_halved = partial(F.avg_pool2d, kernel_size=2, stride=2)
_doubled = partial(F.interpolate, scale_factor=2.0, mode="nearest")


def _groups(stage: Stage, channels: int, s: Settings) -> int:
    return quarter(channels) if stage.skips or s.groups is None else s.groups


def _joint_groups(stage: Stage, own: int, other: int, s: Settings) -> int:
    """Computes the groups of a norm over features and saved activations."""
    if stage.skips and stage.attends:
        return min(own + other // 4, 32)  # the formula of diffusers, which its weights need
    return _groups(stage, own + other, s)


def _scale(stage: Stage) -> float:
    return math.sqrt(2.0) if stage.skips else 1.0


def _attention(stage: Stage, channels: int, s: Settings) -> Attention:
    return Attention(channels, 32 if stage.skips else _groups(stage, channels, s), s, _scale(stage))


class Down(nn.Module):
    """The residual blocks of one resolution, and the step to the next coarser one.

    Args:
        stage: type of the stage.
        inside: number of input channels.
        outside: number of output channels.
        s: configuration of the network.
        last: whether this is the coarsest resolution.

    Raises:
        ValueError: the groups do not divide the channels.
    """

    def __init__(self, stage: Stage, inside: int, outside: int, s: Settings, last: bool) -> None:
        super().__init__()
        scale, groups = _scale(stage), _groups(stage, outside, s)
        self.resnets = nn.ModuleList(
            Residual(i, outside, s, (_groups(stage, i, s), groups), scale=scale)
            for i in [inside, *[outside] * (s.layers - 1)]
        )
        self.attentions = nn.ModuleList(_attention(stage, outside, s) for _ in range(s.layers * stage.attends))
        self.resnet_down = self.skip_conv = None
        self.downsamplers = nn.ModuleList()
        if last:
            return
        if stage.skips:
            self.resnet_down = Residual(
                outside, outside, s, (groups, groups), scale=scale, resample=filtered_down, shortcut=True
            )
            self.skip_conv = nn.Conv2d(_IMAGE, outside, 1)
        elif stage.by_residual:
            self.downsamplers.append(Residual(outside, outside, s, (groups, groups), resample=_halved))
        else:
            self.downsamplers.append(Downsample(outside, s.padding))

    def forward(self, x: Tensor, time: Tensor, image: Tensor, saved: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Returns features and image at the next resolution; appends the activations for the way up to ``saved``."""
        for j, residual in enumerate(self.resnets):
            x = residual(x, time)
            x = self.attentions[j](x) if self.attentions else x
            saved.append(x)
        for step in self.downsamplers:
            x = step(x, time)
            saved.append(x)
        if self.resnet_down is not None and self.skip_conv is not None:
            image = filtered_down(image)
            x = self.skip_conv(image) + self.resnet_down(x, time)
            saved.append(x)
        return x, image


class Middle(nn.Module):
    """A residual block, self-attention and a residual block at the coarsest resolution."""

    def __init__(self, channels: int, s: Settings) -> None:
        super().__init__()
        groups = s.groups or quarter(channels)
        self.resnets = nn.ModuleList(
            Residual(channels, channels, s, (groups, groups), scale=s.middle_scale) for _ in range(2)
        )
        self.attentions = nn.ModuleList(
            Attention(channels, s.middle_groups, s, s.middle_scale) for _ in range(s.middle_attends)
        )

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        x = self.resnets[0](x, time)
        for attention in self.attentions:
            x = attention(x)
        return self.resnets[1](x, time)


class Up(nn.Module):
    """The residual blocks of one resolution, which also see saved activations, and the step to the next finer one.

    Args:
        stage: type of the stage.
        before: number of input channels.
        inside: number of saved channels for the last block, which are those of the next finer resolution.
        outside: number of output channels.
        s: configuration of the network.
        last: whether this is the finest resolution.

    Raises:
        ValueError: the groups do not divide the channels.
    """

    def __init__(self, stage: Stage, before: int, inside: int, outside: int, s: Settings, last: bool) -> None:
        super().__init__()
        scale, groups = _scale(stage), _groups(stage, outside, s)
        found = [(before, outside), *[(outside, outside)] * (s.layers - 1), (outside, inside)]
        self.resnets = nn.ModuleList(
            Residual(own + other, outside, s, (_joint_groups(stage, own, other, s), groups), scale=scale)
            for own, other in found
        )
        count = (1 if stage.skips else len(found)) * stage.attends
        self.attentions = nn.ModuleList(_attention(stage, outside, s) for _ in range(count))
        self.skips = stage.skips
        self.resnet_up = self.skip_conv = self.skip_norm = None
        self.upsamplers = nn.ModuleList()
        if last:
            return
        if stage.skips:
            self.resnet_up = Residual(
                outside, outside, s, (groups, groups), scale=scale, resample=filtered_up, shortcut=True
            )
            self.skip_norm = group_norm(groups, outside, s.eps)
            self.skip_conv = nn.Conv2d(outside, _IMAGE, 3, padding=1)
        elif stage.by_residual:
            self.upsamplers.append(Residual(outside, outside, s, (groups, groups), resample=_doubled))
        else:
            self.upsamplers.append(Upsample(outside))

    def forward(
        self, x: Tensor, time: Tensor, image: Tensor | None, saved: list[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Returns features and image at the next resolution; removes the activations that it uses from ``saved``."""
        for j, residual in enumerate(self.resnets):
            x = residual(torch.cat([x, saved.pop()], dim=1), time)
            x = self.attentions[j](x) if self.attentions and not self.skips else x
        if not self.skips:
            for step in self.upsamplers:
                x = step(x, time)
            return x, image
        for attention in self.attentions:
            x = attention(x)
        image = None if image is None else filtered_up(image)
        if self.resnet_up is not None and self.skip_norm is not None and self.skip_conv is not None:
            part = self.skip_conv(F.silu(self.skip_norm(x), inplace=True))
            image = part if image is None else image + part
            x = self.resnet_up(x, time)
        return x, image
