"""The U-Net of diffusion models (Ho et al. 2020, appendix B): residual blocks, time embedding, attention.

On the way down, each level has ``blocks`` residual blocks (with self-attention where configured) and, except for the
last, a stride-2 convolution.  The middle has a residual block, self-attention and a residual block.  On the way up,
each level has ``blocks + 1`` residual blocks that also see the activations of the way down, and, except for the last, a
nearest-neighbour upsampling with a convolution.  The function equals that of diffusers' ``UNet2DModel``, and
``zoo_nets.diffusers_unet`` converts the parameters.

With *patches* the pixels of every p × p square become channels at the input, and channels become pixels at the output
(Shi et al. 2016, §3.2), so that the finest level, which has most of the arithmetic, has p² times fewer positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_nets.class_embedding import ClassEmbedding
from zoo_nets.time_embedding import SpanEmbedding, TimeEmbedding

__all__ = ["Attention", "Residual", "UNet"]

CHANNELS_LAST = torch.backends.cpu.get_cpu_capability() != "AVX512"
"""Whether activations on a CPU are channels-last.  With AVX-512 it slows group norms more than it speeds up
convolutions, and with gradients or in bfloat16 it is never quicker."""


class Residual(nn.Module):
    """A residual block, x + conv(silu(norm(conv(silu(norm(x))) + linear(silu(time))))).

    Where the width changes, the shortcut is a 1×1 convolution.
    """

    def __init__(self, inside: int, outside: int, time_width: int, groups: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm_1 = nn.GroupNorm(groups, inside)
        self.conv_1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.time = nn.Linear(time_width, outside)
        self.norm_2 = nn.GroupNorm(groups, outside)
        self.dropout = nn.Dropout(dropout)
        self.conv_2 = nn.Conv2d(outside, outside, 3, padding=1)
        self.shortcut = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        # In place wherever the gradient does not need the old values, since allocation costs as much as the arithmetic.
        h = self.conv_1(F.silu(self.norm_1(x), inplace=True))
        h += self.time(time)[:, :, None, None]
        h = self.conv_2(self.dropout(F.silu(self.norm_2(h), inplace=True)))
        h += self.shortcut(x)
        return h


class Attention(nn.Module):
    """Self-attention over the pixels, with ``head_width`` channels per head, added to its input.

    Attention is computed in float32 or better, since torch's attention in bfloat16 trains eight times slower on a CPU.
    """

    def __init__(self, channels: int, head_width: int, groups: int) -> None:
        super().__init__()
        self.heads = channels // head_width
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).view(n, -1, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        wide = torch.promote_types(q.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            h = F.scaled_dot_product_attention(q.to(wide), k.to(wide), v.to(wide)).to(q.dtype)
        h = h.transpose(1, 2).reshape(n, -1, channels)
        return x + self.out(h).transpose(1, 2).reshape(n, channels, height, width)


class Level(nn.Module):
    """The residual blocks (and attentions) of one resolution, on the way down or up, and the step to the next."""

    def __init__(self, widths: Sequence[tuple[int, int]], attend: bool, step: nn.Module | None, **options: int) -> None:
        super().__init__()
        head_width, time_width, groups = options["head_width"], options["time_width"], options["groups"]
        self.residual = nn.ModuleList(Residual(i, o, time_width, groups) for i, o in widths)
        self.attention = nn.ModuleList(Attention(o, head_width, groups) for _, o in widths if attend)
        self.step = step

    def block(self, index: int, x: Tensor, time: Tensor) -> Tensor:
        """Applies one residual block and, where configured, its attention."""
        x = self.residual[index](x, time)
        return self.attention[index](x) if self.attention else x

    @staticmethod
    def of(modules: nn.ModuleList) -> Iterator[Level]:
        """Yields the modules of a list, typed as levels."""
        return (module for module in modules if isinstance(module, Level))


class UNet(nn.Module):
    """A network from ``(n, channels, h, w)`` and a time to ``(n, out_channels, h, w)``.

    Args:
        in_channels: number of image channels.
        out_channels: number of output channels (twice the input's for a learned variance).
        widths: channels at each resolution; h and w must be divisible by patch·2^(len(widths) − 1).
        blocks: number of residual blocks at each level on the way down.
        attention: levels (0 = finest) that have self-attention.
        head_width: channels of one attention head.
        groups: number of groups of every group norm, which must divide every width.
        time_width: width of the time embedding; four times the first width unless given.
        classes: number of labels, whose embedding is added to the time embedding; ``None`` for an unconditional
            network.
        patch: side p of the squares whose pixels become channels; 1 for no patches.
        spans: whether the network has a second time input, a span of time, which has no effect at first.

    Raises:
        ValueError: ``groups`` does not divide a width, an attention level does not exist, or ``patch`` is below 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int],
        blocks: int = 1,
        attention: Sequence[int] = (),
        head_width: int = 16,
        groups: int = 8,
        time_width: int | None = None,
        classes: int | None = None,
        patch: int = 1,
        spans: bool = False,
    ) -> None:
        super().__init__()
        if patch < 1:
            raise ValueError(f"patch = {patch}; expected at least 1")
        if any(width % groups for width in widths):
            raise ValueError(f"groups = {groups} must divide every one of widths = {list(widths)}")
        if not set(attention) <= set(range(len(widths))):
            raise ValueError(f"attention = {list(attention)} names a level that is not among 0 … {len(widths) - 1}")
        time_width = time_width or 4 * widths[0]
        options = {"head_width": head_width, "time_width": time_width, "groups": groups}
        self.time_embedding = TimeEmbedding(widths[0], time_width)
        self.class_embedding = None if classes is None else ClassEmbedding(classes, time_width)
        self.span_embedding = SpanEmbedding(widths[0], time_width) if spans else None
        self.patch = patch
        self.stem = nn.Conv2d(in_channels * patch**2, widths[0], 3, padding=1)

        skips = [widths[0]]
        self.down = nn.ModuleList()
        for level, (before, width) in enumerate(pairwise([widths[0], *widths])):
            last = level == len(widths) - 1
            step = None if last else nn.Conv2d(width, width, 3, stride=2, padding=1)
            shape = [(before if j == 0 else width, width) for j in range(blocks)]
            self.down.append(Level(shape, level in attention, step, **options))
            skips += [width] * (blocks + (not last))

        bottom = widths[-1]
        self.middle = Level([(bottom, bottom)] * 2, False, Attention(bottom, head_width, groups), **options)

        self.up = nn.ModuleList()
        before = bottom
        for level in reversed(range(len(widths))):
            width = widths[level]
            step = None if level == 0 else nn.Conv2d(width, width, 3, padding=1)
            shape = [((before if j == 0 else width) + skips.pop(), width) for j in range(blocks + 1)]
            self.up.append(Level(shape, level in attention, step, **options))
            before = width

        self.norm = nn.GroupNorm(groups, widths[0])
        self.head = nn.Conv2d(widths[0], out_channels * patch**2, 3, padding=1)
        nn.init.zeros_(self.head.weight)  # the output is 0 at first, so the loss starts at the variance of the target
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def check_size(self, height: int, width: int) -> None:
        """Raises :class:`ValueError` for images that cannot be cut into patches and halved as often as there are steps.

        Args:
            height, width: size of the images in pixels.
        """
        multiple = self.patch * 2 ** (len(self.down) - 1)
        if height % multiple or width % multiple:
            raise ValueError(
                f"{height}×{width} cannot be cut by patch = {self.patch} and halved {len(self.down) - 1} times; "
                f"give fewer widths, or images whose sides are multiples of {multiple}"
            )

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, span: Tensor | None = None) -> Tensor:
        """Computes the output for images and times.

        Args:
            x: images, ``(n, channels, h, w)``.
            t: times in units of table entries, ``(n,)``, or ``(1,)`` for all samples.
            label: labels of a network with classes, ``(n,)`` or ``(1,)``; see :class:`ClassEmbedding`.
            span: spans of time of a network with ``spans``, in the units of ``t``, ``(n,)`` or ``(1,)``; 0 unless
                given.
        """
        time = self.time_embedding(t)
        if self.class_embedding is not None:
            time = time + self.class_embedding(label, t)
        if self.span_embedding is not None:
            time = time + self.span_embedding(span, t)
        time = F.silu(time)
        x = self.stem(F.pixel_unshuffle(x, self.patch) if self.patch > 1 else x)
        if CHANNELS_LAST and x.is_cpu and not torch.is_grad_enabled() and x.dtype == torch.float32:
            x = x.contiguous(memory_format=torch.channels_last)
        saved = [x]
        for level in Level.of(self.down):
            for j in range(len(level.residual)):
                x = level.block(j, x, time)
                saved.append(x)
            if level.step is not None:
                x = level.step(x)
                saved.append(x)
        x = self.middle.block(0, x, time)
        if self.middle.step is not None:
            x = self.middle.step(x)
        x = self.middle.block(1, x, time)
        for level in Level.of(self.up):
            for j in range(len(level.residual)):
                x = level.block(j, torch.cat([x, saved.pop()], dim=1), time)
            if level.step is not None:
                x = level.step(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        x = self.head(F.silu(self.norm(x), inplace=True))
        return F.pixel_shuffle(x, self.patch) if self.patch > 1 else x
