"""The blocks of a ``UNet2DModel`` under diffusers' names: residual, attention, and steps to another resolution."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_diffusers.settings import Settings

__all__ = ["Attention", "Downsample", "Residual", "Upsample", "filtered_down", "filtered_up", "group_norm"]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": lambda: nn.SiLU(inplace=True),
    "swish": lambda: nn.SiLU(inplace=True),
    "mish": lambda: nn.Mish(inplace=True),
    "gelu": nn.GELU,
    "relu": lambda: nn.ReLU(inplace=True),
}


def activation(name: str) -> nn.Module:
    """Makes an activation of :data:`zoo_diffusers.settings.ACTIVATIONS`, which may overwrite its input."""
    return _ACTIVATIONS[name]()


def group_norm(groups: int, channels: int, eps: float) -> nn.GroupNorm:
    """Makes a group norm.

    Raises:
        ValueError: the groups do not divide the channels.
    """
    if groups < 1 or channels % groups:
        raise ValueError(f"{groups} groups of {channels} channels")
    return nn.GroupNorm(groups, channels, eps=eps)


class Residual(nn.Module):
    """A residual block, (x + conv(act(norm(conv(act(norm(x)))))) / scale, with a time embedding.

    Where the width changes, the shortcut is a 1×1 convolution.

    Args:
        inside: number of channels of x.
        outside: number of channels of the result.
        s: configuration of the network.
        groups: numbers of groups of the first and the second norm.
        scale: number that the sum is divided by.
        resample: function that changes the resolution of both summands.
        shortcut: whether the shortcut is always a 1×1 convolution.

    Raises:
        ValueError: the groups do not divide the channels.
    """

    def __init__(
        self,
        inside: int,
        outside: int,
        s: Settings,
        groups: tuple[int, int],
        *,
        scale: float = 1.0,
        resample: Callable[[Tensor], Tensor] | None = None,
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        self.scale, self.resample, self.scale_shift = scale, resample, s.scale_shift
        self.norm1 = group_norm(groups[0], inside, s.eps)
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.time_emb_proj = nn.Linear(s.time_width, outside * (2 if s.scale_shift else 1))
        self.norm2 = group_norm(groups[1], outside, s.eps)
        self.dropout = nn.Dropout(s.dropout)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inside, outside, 1) if shortcut or inside != outside else None
        self.act = activation(s.activation)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        # In place wherever the gradient does not need the old values, since allocation costs as much as the arithmetic.
        h = self.act(self.norm1(x))
        if self.resample is not None:
            x, h = self.resample(x), self.resample(h)
        h = self.conv1(h)
        told = self.time_emb_proj(time)[:, :, None, None]
        if self.scale_shift:
            factor, shift = told.chunk(2, dim=1)
            h = self.norm2(h) * (1.0 + factor) + shift
        else:
            h += told
            h = self.norm2(h)
        h = self.conv2(self.dropout(self.act(h)))
        h += x if self.conv_shortcut is None else self.conv_shortcut(x)
        return h if self.scale == 1.0 else h / self.scale


class Attention(nn.Module):
    """Self-attention over the pixels, added to its input: (x + attention(x)) / scale.

    Attention is computed in float32 or better, since torch's attention in bfloat16 trains eight times slower on a CPU.

    Args:
        channels: number of channels of x.
        groups: number of groups of the norm before it; ``None`` for no norm.
        s: configuration of the network.
        scale: number that the sum is divided by.

    Raises:
        ValueError: the groups do not divide the channels, or a head is wider than all of them.
    """

    def __init__(self, channels: int, groups: int | None, s: Settings, scale: float = 1.0) -> None:
        super().__init__()
        width = s.head_width or channels
        if width > channels:
            raise ValueError(f"a head of {width} in {channels} channels")
        self.heads, self.scale = channels // width, scale
        inner = self.heads * width
        self.group_norm = None if groups is None else group_norm(groups, channels, s.eps)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, inner) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(inner, channels)])

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        tokens = (x if self.group_norm is None else self.group_norm(x)).flatten(2).transpose(1, 2)
        projections = (self.to_q, self.to_k, self.to_v)  # one product, as in zoo-nets, for equal results to the bit
        weight, bias = (torch.cat([getattr(p, name) for p in projections]) for name in ("weight", "bias"))
        qkv = F.linear(tokens, weight, bias).view(n, -1, 3, self.heads, len(bias) // (3 * self.heads))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        wide = torch.promote_types(q.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            h = F.scaled_dot_product_attention(q.to(wide), k.to(wide), v.to(wide)).to(q.dtype)
        h = self.to_out[0](h.transpose(1, 2).reshape(n, height * width, -1))
        h = x + h.transpose(1, 2).reshape(n, channels, height, width)
        return h if self.scale == 1.0 else h / self.scale


class Downsample(nn.Module):
    """A convolution with stride 2; with ``padding`` 0 the image is padded only on the right and below."""

    def __init__(self, channels: int, padding: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)
        self.padding = padding

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.conv(x if self.padding else F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Nearest-neighbour upsampling, and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def filtered_down(x: Tensor) -> Tensor:
    """Halves images ``(n, c, h, w)`` after the filter (1, 3, 3, 1)/8 along both axes (Song et al. 2021, appendix H)."""
    n, channels, height, width = x.shape
    halved = F.conv2d(x.reshape(n * channels, 1, height, width), _filter(x), stride=2, padding=1)
    return halved.view(n, channels, *halved.shape[2:])


def filtered_up(x: Tensor) -> Tensor:
    """Doubles images ``(n, c, h, w)`` with the filter of `filtered_down`, which preserves constant images inside."""
    n, channels, height, width = x.shape
    doubled = F.conv_transpose2d(x.reshape(n * channels, 1, height, width), 4.0 * _filter(x), stride=2, padding=1)
    return doubled.view(n, channels, *doubled.shape[2:])


def _filter(like: Tensor) -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=like.dtype, device=like.device) / 8.0
    return torch.outer(taps, taps)[None, None]
