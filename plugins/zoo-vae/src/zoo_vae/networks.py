r"""Encoders, from data to (μ, log σ) of the code, and decoders, from codes to η of the likelihood.

Multilayer perceptrons are for points and images; without hidden layers they are linear, and the VAE is probabilistic
PCA.  For images there is also a convolutional pair: every stage halves the image in the encoder and doubles it in the
decoder, with 4 × 4 kernels and stride 2, since kernel sizes that are no multiple of the stride cause checkerboard
artefacts (Odena et al. 2016).  All activations are SiLU.  There is no batch normalisation, since a code must not depend
on the rest of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

__all__ = ["ConvDecoder", "ConvEncoder", "MLPDecoder", "MLPEncoder", "Residual", "make_networks"]


class MLPEncoder(nn.Sequential):
    """A perceptron encoder ``(n, *shape)`` to ``(n, 2·latent)``.

    Args:
        shape: shape of one example.
        latent: number of dimensions of the code.
        hidden: units of the hidden layers, which the decoder has in reverse.
    """

    def __init__(self, shape: Sequence[int], latent: int, hidden: Sequence[int] = (512, 512)) -> None:
        super().__init__(nn.Flatten(), *_layers([math.prod(shape), *hidden, 2 * latent]))


class MLPDecoder(nn.Sequential):
    """A perceptron decoder ``(n, latent)`` to ``(n, *shape)``, with the arguments of :class:`MLPEncoder`."""

    def __init__(self, shape: Sequence[int], latent: int, hidden: Sequence[int] = (512, 512)) -> None:
        sizes = [latent, *reversed(hidden), math.prod(shape)]
        super().__init__(*_layers(sizes), nn.Unflatten(1, tuple(shape)))


class Residual(nn.Module):
    """A residual block x + conv(SiLU(conv(SiLU(x)))), with 3 × 3 kernels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class ConvEncoder(nn.Sequential):
    """A convolutional encoder ``(n, channels, height, width)`` to ``(n, 2·latent)``.

    Args:
        shape: shape of one image.
        latent: number of dimensions of the code.
        widths: channels of the stages, each of which halves height and width.
        hidden: units of the layer between the last stage and the code.
        blocks: number of residual blocks at the coarsest resolution.

    Raises:
        ValueError: the image cannot be halved ``len(widths)`` times.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent: int,
        widths: Sequence[int] = (32, 64),
        hidden: int = 256,
        blocks: int = 0,
    ) -> None:
        channels, height, width = _coarsest(shape, widths)
        stages: list[nn.Module] = []
        for before, after in pairwise([shape[0], *widths]):
            stages += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.SiLU()]
        if blocks:
            stages[-1:] = [*(Residual(channels) for _ in range(blocks)), nn.SiLU()]
        flat = channels * height * width
        super().__init__(*stages, nn.Flatten(), *_layers([flat, hidden, 2 * latent]))


class ConvDecoder(nn.Sequential):
    """A convolutional decoder ``(n, latent)`` to ``(n, channels, height, width)``, as :class:`ConvEncoder`."""

    def __init__(
        self,
        shape: Sequence[int],
        latent: int,
        widths: Sequence[int] = (32, 64),
        hidden: int = 256,
        blocks: int = 0,
    ) -> None:
        channels, height, width = _coarsest(shape, widths)
        stages: list[nn.Module] = [*(Residual(channels) for _ in range(blocks))]
        for before, after in pairwise([*reversed(widths), shape[0]]):
            stages += [nn.SiLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
        dense = _layers([latent, hidden, channels * height * width])
        super().__init__(*dense, nn.Unflatten(1, (channels, height, width)), *stages)


def make_networks(spec: Mapping[str, Any], shape: Sequence[int], latent: int) -> tuple[nn.Module, nn.Module]:
    """Makes encoder and decoder from ``{"kind": "mlp", …}`` or ``{"kind": "conv", …}`` with the encoder's arguments.

    Raises:
        ValueError: the kind or an option is unknown, or ``conv`` is given for data that are no images.
    """
    options = dict(spec)
    kind = options.pop("kind", None)
    pairs: dict[str, tuple[type[nn.Module], type[nn.Module], set[str]]] = {
        "mlp": (MLPEncoder, MLPDecoder, {"hidden"}),
        "conv": (ConvEncoder, ConvDecoder, {"widths", "hidden", "blocks"}),
    }
    if kind not in pairs:
        raise ValueError(f"network.kind = {kind!r}; expected one of {', '.join(pairs)}")
    encoder, decoder, known = pairs[kind]
    if unknown := sorted(set(options) - known):
        raise ValueError(f"network.{unknown[0]} is no option of {kind}; expected {', '.join(sorted(known))}")
    return encoder(shape, latent, **options), decoder(shape, latent, **options)


def _layers(sizes: Sequence[int]) -> list[nn.Module]:
    """Makes linear layers with SiLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.SiLU()]
    return layers[:-1]


def _coarsest(shape: Sequence[int], widths: Sequence[int]) -> tuple[int, int, int]:
    """Computes channels, height and width after all stages."""
    factor = 2 ** len(widths)
    if len(shape) != 3 or not widths or shape[1] % factor or shape[2] % factor:
        raise ValueError(
            f"network.kind = 'conv' with {len(widths)} stages needs at least 1 stage and images whose height and width "
            f"are multiples of {factor}; the shape is {list(shape)}"
        )
    return widths[-1], shape[1] // factor, shape[2] // factor
