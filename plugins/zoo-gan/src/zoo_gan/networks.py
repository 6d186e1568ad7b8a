r"""Generators and critics: multilayer perceptrons, and the convolutions of DCGAN (Radford, Metz & Chintala 2016).

A generator maps a code and, where there are classes, a one-hot label to a sample, x = G(z, y), with the label
concatenated to the code (Mirza & Osindero 2014).  A critic maps a sample to one number through features φ,

    a(x, y) = wᵀφ(x) + b + (V y)ᵀφ(x),

where the last term is for classes only: the projection critic (Miyato & Koyama 2018, eq. 3).  A packed critic (Lin et
al.  2018) sees m samples at once, concatenated along their first axis, and returns one number for them, so that it can
detect lost modes by packs that are too similar.

Critics have no normalisation.  Batch normalisation would make a sample's score depend on other samples, which the
gradient penalty does not allow, and a critic could separate data from samples by the statistics of their batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

__all__ = ["ConvCritic", "ConvGenerator", "Critic", "Generator", "MLPCritic", "MLPGenerator", "Norm"]

Norm = Literal["group", "batch", "none"]

GROUPS = 8
"""Number of groups of a group normalisation."""


class Generator(nn.Module):
    """A generator G(z, y).

    Args:
        layers: network from ``(n, latent + classes)`` to ``(n, *shape)``.
        bounded: whether samples are held in (−1, 1), by tanh.
    """

    def __init__(self, layers: nn.Sequential, bounded: bool) -> None:
        super().__init__()
        self.layers, self.bounded = layers, bounded

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Computes samples ``(n, *shape)`` of codes ``(n, latent)`` and one-hot labels ``(n, classes)``."""
        x = self.layers(z if label is None else torch.cat([z, label], dim=1))
        return x.tanh() if self.bounded else x


class Critic(nn.Module):
    """A critic a(x, y).

    Args:
        features: network φ from ``(n/pac, pac·shape[0], *shape[1:])`` to ``(n/pac, width)``.
        width: number of features.
        classes: number of labels; 0 for none.
        pac: number m of samples that it sees at once.
    """

    def __init__(self, features: nn.Sequential, width: int, classes: int, pac: int) -> None:
        super().__init__()
        self.features, self.pac = features, pac
        self.head = nn.Linear(width, 1)
        self.projection = nn.Linear(pac * classes, width, bias=False) if classes else None
        if self.projection is not None:
            nn.init.normal_(self.projection.weight, std=width**-0.5)  # initially as large as the output of the head

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Computes the scores ``(n/pac,)`` of samples ``(n, *shape)`` with one-hot labels ``(n, classes)``.

        Raises:
            ValueError: n is not a multiple of ``pac``.
        """
        packs, rest = divmod(len(x), self.pac)
        if rest:
            raise ValueError(f"{len(x)} samples cannot be split into packs of pac = {self.pac}; change the batch size")
        phi = self.features(x.reshape(packs, -1, *x.shape[2:]))
        score = self.head(phi).squeeze(1)
        if self.projection is not None and label is not None:
            score = score + (self.projection(label.reshape(packs, -1)) * phi).sum(1)
        return score.float()  # losses need float32, and autocast may return bfloat16


class MLPGenerator(Generator):
    """A perceptron generator with ReLU.

    Args:
        shape: shape of one sample.
        inputs: number of latent dimensions plus classes.
        bounded: whether samples are bounded to (−1, 1), by tanh.
        width: number of units of each hidden layer, at least 1.
        depth: number of hidden layers, at least 1.
    """

    def __init__(self, shape: Sequence[int], inputs: int, bounded: bool, width: int = 128, depth: int = 3) -> None:
        layers = _perceptron(inputs, width, depth, nn.ReLU())
        layers += [nn.Linear(width, math.prod(shape)), nn.Unflatten(1, tuple(shape))]
        super().__init__(nn.Sequential(*layers), bounded)


class MLPCritic(Critic):
    """A perceptron critic with leaky ReLU.

    Args:
        shape: shape of one sample.
        classes: number of labels; 0 for none.
        pac: number of samples that it sees at once.
        width: number of units of each hidden layer, at least 1.
        depth: number of hidden layers, at least 1.
    """

    def __init__(self, shape: Sequence[int], classes: int, pac: int, width: int = 128, depth: int = 3) -> None:
        layers = _perceptron(pac * math.prod(shape), width, depth, nn.LeakyReLU(0.2))
        super().__init__(nn.Sequential(nn.Flatten(), *layers), width, classes, pac)


class ConvGenerator(Generator):
    """A DCGAN generator: a linear layer to a small image, then transposed convolutions that double it.

    Args:
        shape: shape of one image, ``(channels, height, width)``, whose sides must be multiples of 2^len(widths).
        inputs: number of latent dimensions plus classes.
        bounded: whether samples are bounded to (−1, 1), by tanh.
        widths: channels from the small image on, with one doubling after each.
        norm: normalisation before each ReLU, ``group``, ``batch`` (the paper's) or ``none``.  With ``group`` samples do
            not depend on each other in training, and the scores are equal.

    Raises:
        ValueError: the sides cannot be halved, the norm is unknown, or the groups do not divide the channels.
    """

    def __init__(
        self,
        shape: Sequence[int],
        inputs: int,
        bounded: bool,
        widths: Sequence[int] = (96, 48),
        norm: Norm = "group",
    ) -> None:
        height, width = _small(shape, widths)
        layers: list[nn.Module] = [nn.Linear(inputs, widths[0] * height * width)]
        layers += [nn.Unflatten(1, (widths[0], height, width))]
        for i, (before, after) in enumerate(pairwise([*widths, shape[0]]), start=1):
            bias = norm != "batch" or i == len(widths)  # batch normalisation would cancel a bias
            layers += [*_normalisation(norm, before), nn.ReLU()]
            layers += [nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1, bias=bias)]
        super().__init__(nn.Sequential(*layers), bounded)
        self.apply(_initialise)


class ConvCritic(Critic):
    """A DCGAN critic: convolutions that halve the image, with leaky ReLU.

    Args:
        shape: shape of one image, ``(channels, height, width)``, whose sides must be multiples of 2^len(widths).
        classes: number of labels; 0 for none.
        pac: number of samples that it sees at once.
        widths: channels after each halving.

    Raises:
        ValueError: the sides cannot be halved ``len(widths)`` times.
    """

    def __init__(self, shape: Sequence[int], classes: int, pac: int, widths: Sequence[int] = (48, 96)) -> None:
        height, width = _small(shape, widths)
        layers: list[nn.Module] = []
        for before, after in pairwise([pac * shape[0], *widths]):
            layers += [nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        super().__init__(nn.Sequential(*layers, nn.Flatten()), widths[-1] * height * width, classes, pac)
        self.features.apply(_initialise)


def _perceptron(inputs: int, width: int, depth: int, activation: nn.Module) -> list[nn.Module]:
    if width < 1 or depth < 1:
        raise ValueError(f"width = {width} and depth = {depth}; expected at least 1 of each")
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *[width] * depth]):
        layers += [nn.Linear(before, after), activation]
    return layers


def _small(shape: Sequence[int], widths: Sequence[int]) -> tuple[int, int]:
    """Computes height and width after one halving for each of ``widths``."""
    if len(shape) != 3:
        raise ValueError(f"shape = {list(shape)}; a convolution needs [channels, height, width]")
    factor = 2 ** len(widths)
    if not widths or shape[1] % factor or shape[2] % factor:
        raise ValueError(f"{shape[1]}×{shape[2]} cannot be halved {len(widths)} times; change widths = {list(widths)}")
    return shape[1] // factor, shape[2] // factor


def _normalisation(norm: Norm, channels: int) -> list[nn.Module]:
    if norm not in get_args(Norm):
        raise ValueError(f"norm = {norm!r}; expected one of {', '.join(get_args(Norm))}")
    if norm == "group" and channels % GROUPS:
        raise ValueError(f"{GROUPS} groups must divide {channels} channels; change widths")
    if norm == "none":
        return []
    return [nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(GROUPS, channels)]


def _initialise(module: nn.Module) -> None:
    """Initialises weights by N(0, 0.02²) as DCGAN does (§3), and normalisations as the identity."""
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
