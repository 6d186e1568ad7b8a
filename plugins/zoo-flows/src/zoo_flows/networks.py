r"""Conditioners: networks that compute a layer's θ from the part of x that the layer keeps.

The last layer is zero at first, so that a coupling layer begins as the identity (Kingma & Dhariwal 2018, §3.3).  A
context vector is added after the first layer, through a linear map that is zero at first too, so that a conditional
flow begins as the unconditional one and can start from its weights.  There is no batch normalisation, since a density
must not depend on the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_nets.unet import Attention

__all__ = ["ConvConditioner", "MLPConditioner", "check_hidden", "zeroed"]

Layer = TypeVar("Layer", bound=nn.Module)

HEAD_WIDTH = 16  # channels of an attention head
FEW = 4  # number of outputs up to which a transposed product is quicker


class MLPConditioner(nn.Module):
    """A network ``(n, features)`` to ``(n, out_features)``: linear layers with ReLU between them.

    Args:
        features: number of input features.
        out_features: number of output features.
        hidden: units of the hidden layers, at least one.
        context: width of the context; 0 for none.
    """

    def __init__(self, features: int, out_features: int, hidden: Sequence[int], context: int = 0) -> None:
        super().__init__()
        check_hidden(hidden)
        self.first = nn.Linear(features, hidden[0])
        self.of_context = zeroed(nn.Linear(context, hidden[0], bias=False)) if context else None
        self.middle = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(hidden))
        self.last = zeroed(nn.Linear(hidden[-1], out_features))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = _linear(self.first, x.to(self.first.weight.dtype))
        if self.of_context is not None:
            h = h + self.of_context(context)
        for layer in self.middle:
            h = layer(F.relu(h, inplace=True))  # allocation would cost as much as the arithmetic
        return _linear(self.last, F.relu(h, inplace=True))


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Computes ``layer(x)``; without gradients by the quickest CPU product for one input or few outputs."""
    if not torch.is_grad_enabled():
        if layer.in_features == 1:
            return torch.addcmul(layer.bias, x, layer.weight.t())
        if layer.out_features <= FEW:
            return torch.addmm(layer.bias.unsqueeze(1), layer.weight, x.t()).t()
    return layer(x)


class ConvConditioner(nn.Module):
    """A network ``(n, features, h, w)`` to ``(n, out_features, h, w)``: 3×3 convolution, blocks, 3×3 convolution.

    Without blocks it is Glow's network, 3×3 – 1×1 – 3×3, with a receptive field of 5×5 pixels.  With blocks it is
    residual, and with attention every pixel sees all others, as in Flow++ (Ho et al. 2019, §3.3).

    Args:
        features: number of input channels.
        out_features: number of output channels.
        width: number of hidden channels; a multiple of 16 with attention.
        blocks: number of residual blocks.
        context: width of the context; 0 for none.
        attention: whether there is self-attention over the pixels after every block.

    Raises:
        ValueError: ``width`` or ``blocks`` is too small, or attention does not fit them.
    """

    def __init__(
        self,
        features: int,
        out_features: int,
        width: int,
        blocks: int = 0,
        context: int = 0,
        attention: bool = False,
    ) -> None:
        super().__init__()
        if width < 1 or blocks < 0:
            raise ValueError(f"width = {width} and blocks = {blocks}; expected at least 1 and 0")
        if attention and (blocks < 1 or width % HEAD_WIDTH):
            raise ValueError(
                f"width = {width} and blocks = {blocks}; attention needs a multiple of {HEAD_WIDTH} and at least 1"
            )
        self.first = nn.Conv2d(features, width, 3, padding=1)
        self.of_context = zeroed(nn.Linear(context, width, bias=False)) if context else None
        self.point = nn.Conv2d(width, width, 1) if blocks == 0 else None
        self.blocks = nn.ModuleList(ConvBlock(width, context, attention) for _ in range(blocks))
        self.last = zeroed(nn.Conv2d(width, out_features, 3, padding=1))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.first(x.to(self.first.weight.dtype).contiguous(memory_format=torch.channels_last))
        if self.of_context is not None:
            h = h + self.of_context(context)[:, :, None, None]
        if self.point is not None:
            h = self.point(F.silu(h))
        for block in self.blocks:
            h = block(h, context)
        return self.last(F.silu(h))


class ConvBlock(nn.Module):
    """A residual block, h + conv(silu((1 + γ)·conv(silu(h)) + β)), with optional attention after it.

    The second convolution is 1×1 and zero at first.  The context determines γ and β of every channel (FiLM, Perez et
    al.  2018), which are 0 at first, so that a conditional network begins as the unconditional one.
    """

    def __init__(self, width: int, context: int, attention: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.of_context = zeroed(nn.Linear(context, 2 * width)) if context else None
        self.point = zeroed(nn.Conv2d(width, width, 1))
        self.attention = Attention(width, HEAD_WIDTH, groups=width // 8) if attention else None

    def forward(self, h: Tensor, context: Tensor | None) -> Tensor:
        inner = self.conv(F.silu(h))
        if self.of_context is not None:
            gamma, beta = self.of_context(context)[:, :, None, None].chunk(2, 1)
            inner = inner * (1.0 + gamma) + beta
        h = h + self.point(F.silu(inner))
        return h if self.attention is None else self.attention(h)


def check_hidden(hidden: Sequence[int]) -> None:
    """Raises :class:`ValueError` where there is no hidden layer, or a layer without units."""
    if not hidden or min(hidden) < 1:
        raise ValueError(f"hidden = {list(hidden)}; expected at least one layer of at least 1 unit")


def zeroed(layer: Layer) -> Layer:
    """Sets all parameters of a layer to 0, and returns the layer."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
