r"""Generators and critics: multilayer perceptrons, and the convolutions of DCGAN (Radford, Metz & Chintala 2016).

A generator maps a code and, where there are classes, a one-hot label to a sample, x = G(z, y): the label joins the code
(Mirza & Osindero 2014).  A critic maps a sample to one number by way of features φ,

    a(x, y) = wᵀφ(x) + b + (V y)ᵀφ(x),

where the last term is there for classes only: the projection critic (Miyato & Koyama 2018, eq. 3).  A packed critic
(Lin et al. 2018) sees m samples at once, joined along their first axis, and says one number for all of them: a
generator that has lost a mode gives itself away by packs that are too much alike.

Critics have no normalisation.  Batch normalisation would make one sample's score depend on the others', which the
gradient penalty forbids, and it tells data from samples by the batch that they came in.
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
"""Groups of a group normalisation."""


class Generator(nn.Module):
    """G(z, y).

    Args:
        layers: from ``(n, latent + classes)`` to ``(n, *shape)``.
        bounded: whether samples are held in (−1, 1), by tanh.
    """

    def __init__(self, layers: nn.Sequential, bounded: bool) -> None:
        super().__init__()
        self.layers, self.bounded = layers, bounded

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Samples ``(n, *shape)`` of codes ``(n, latent)`` and one-hot labels ``(n, classes)``."""
        x = self.layers(z if label is None else torch.cat([z, label], dim=1))
        return x.tanh() if self.bounded else x


class Critic(nn.Module):
    """a(x, y).

    Args:
        features: φ, from ``(n/pac, pac·shape[0], *shape[1:])`` to ``(n/pac, width)``.
        width: the number of features.
        classes: the number of labels; 0 for none.
        pac: m, how many samples it sees at once.
    """

    def __init__(self, features: nn.Sequential, width: int, classes: int, pac: int) -> None:
        super().__init__()
        self.features, self.pac = features, pac
        self.head = nn.Linear(width, 1)
        self.projection = nn.Linear(pac * classes, width, bias=False) if classes else None
        if self.projection is not None:
            nn.init.normal_(self.projection.weight, std=width**-0.5)  # as large as the head's answer at the start

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """The scores ``(n/pac,)`` of samples ``(n, *shape)`` with one-hot labels ``(n, classes)``.

        Raises:
            ValueError: n is no multiple of ``pac``.
        """
        packs, rest = divmod(len(x), self.pac)
        if rest:
            raise ValueError(f"{len(x)} samples do not make packs of pac = {self.pac}; change the batch size")
        phi = self.features(x.reshape(packs, -1, *x.shape[2:]))
        score = self.head(phi).squeeze(1)
        if self.projection is not None and label is not None:
            score = score + (self.projection(label.reshape(packs, -1)) * phi).sum(1)
        return score.float()  # autocast may have left it in bfloat16; losses are not computed in that


class MLPGenerator(Generator):
    """ReLU layers.

    Args:
        shape: one sample.
        inputs: latent dimensions and classes together.
        bounded: whether samples are held in (−1, 1).
        width: units of each hidden layer.
        depth: hidden layers.
    """

    def __init__(self, shape: Sequence[int], inputs: int, bounded: bool, width: int = 128, depth: int = 3) -> None:
        layers = _perceptron(inputs, width, depth, nn.ReLU())
        layers += [nn.Linear(width, math.prod(shape)), nn.Unflatten(1, tuple(shape))]
        super().__init__(nn.Sequential(*layers), bounded)


class MLPCritic(Critic):
    """Leaky ReLU layers.

    Args:
        shape: one sample.
        classes: the number of labels; 0 for none.
        pac: how many samples it sees at once.
        width: units of each hidden layer.
        depth: hidden layers.
    """

    def __init__(self, shape: Sequence[int], classes: int, pac: int, width: int = 128, depth: int = 3) -> None:
        layers = _perceptron(pac * math.prod(shape), width, depth, nn.LeakyReLU(0.2))
        super().__init__(nn.Sequential(nn.Flatten(), *layers), width, classes, pac)


class ConvGenerator(Generator):
    """A linear layer to a small image, then transposed convolutions that double it.

    Args:
        shape: ``(channels, height, width)``; height and width divisible by 2 for each of ``widths``.
        inputs: latent dimensions and classes together.
        bounded: whether samples are held in (−1, 1).
        widths: channels, from the small image on; one doubling after each.
        norm: ``group``, ``batch`` or ``none``, before each ReLU.  ``batch`` is the paper's; ``group`` scores the same
            and leaves samples independent of each other in training too, so that two processes train as one does.

    Raises:
        ValueError: the image cannot be halved so often, an unknown norm, or groups that do not divide the channels.
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
            bias = norm != "batch" or i == len(widths)  # batch normalisation would take a channel's bias away again
            layers += [*_normalisation(norm, before), nn.ReLU()]
            layers += [nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1, bias=bias)]
        super().__init__(nn.Sequential(*layers), bounded)
        self.apply(_initialise)


class ConvCritic(Critic):
    """Convolutions that halve the image, with leaky ReLUs.

    Args:
        shape: ``(channels, height, width)``; height and width divisible by 2 for each of ``widths``.
        classes: the number of labels; 0 for none.
        pac: how many samples it sees at once.
        widths: channels after each halving.

    Raises:
        ValueError: the image cannot be halved so often.
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
        raise ValueError(f"width = {width} and depth = {depth}; a perceptron has at least 1 of each")
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *[width] * depth]):
        layers += [nn.Linear(before, after), activation]
    return layers


def _small(shape: Sequence[int], widths: Sequence[int]) -> tuple[int, int]:
    """Height and width after one halving for each of ``widths``."""
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
    """N(0, 0.02²), DCGAN's (§3); normalisations start at the identity."""
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
