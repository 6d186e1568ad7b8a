r"""Features of any images, by a small convolutional network with fixed random weights: ``random-v1``.

Where no extractor was trained for a data set, random filters still see edges, strokes and colours (Saxe et al. 2011):

    f(x) = [ the image at 4×4; mean and spread over space of three levels of rectified random filters ]

They rank 21 MNIST models of the zoo, by 500 samples of each, nearly as the trained extractor does: Spearman's rank
correlation of the relative FD is 0.97, where pixels (100 principal components) reach 0.80 and the 4×4 copy alone 0.50
(``benchmarks/feature_ranking.py``).

Weights are drawn once and for all from the zoo's own counter-based generator, so that they are the same on every
machine and with every version of torch; a test holds their hash.  Features are centred and divided, group by group, by
their mean spread over the training set that samples are compared with, as those of the trained extractors are.
"""

from __future__ import annotations

import hashlib
import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_core.interfaces import DataSet, Streams

__all__ = ["NAME", "RandomFeatures", "raw_features", "weights"]

NAME = "random-v1"
WIDTHS = (32, 64, 64)
GRID = 4
"""Side of the small copy of the image."""
MOST = 5000
"""Greatest number of training images that the scale of the features is measured on."""
_PART = 500


@cache
def weights(channels: int) -> tuple[Tensor, ...]:
    """Draws the filters of the three levels, ``(width, width before, 3, 3)``, with variance 2/fan-in."""
    drawn = []
    before = channels
    for level, width in enumerate(WIDTHS):
        fan = before * 9
        noise = Streams(0, f"{NAME}/{channels}/{level}", 0, width).normal(fan)
        filters = noise.view(width, before, 3, 3)
        if level == 0:  # a mean of 0 over each filter: an edge or a colour, and not a grey value
            filters = filters - filters.mean((1, 2, 3), keepdim=True)
        drawn.append((filters * math.sqrt(2.0 / fan)).float())
        before = width
    return tuple(drawn)


def sha256(channels: int) -> str:
    """Hashes the filters for images of a number of channels."""
    digest = hashlib.sha256()
    for filters in weights(channels):
        digest.update((filters * 2**20).round().to(torch.int64).numpy().tobytes())
    return digest.hexdigest()


def raw_features(x: Tensor) -> tuple[Tensor, ...]:
    """Computes the groups of features of images in [0, 1], ``(n, channels, height, width)``, before scaling."""
    groups = [F.adaptive_avg_pool2d(x, GRID).flatten(1)]
    level = x - 0.5
    for filters in weights(x.shape[1]):
        level = F.relu(F.conv2d(level, filters, padding=1))
        variance, mean = torch.var_mean(level.flatten(2), dim=2, correction=0)
        groups.append(torch.cat([mean, (variance + 1e-6).sqrt()], 1))
        if min(level.shape[-2:]) >= 4:
            level = F.avg_pool2d(level, 2)
    return tuple(groups)


class RandomFeatures:
    """The features of images, in the scale of a training set.

    Args:
        data: training set whose images set centre and scale.

    Attributes:
        name: ``"random-v1"``.
        dimension: number of features.
    """

    name = NAME

    def __init__(self, data: DataSet) -> None:
        rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:MOST]
        some = data.take(rows.sort().values)
        groups = _groups(some.scaled(0.0, 1.0))
        self.centre = torch.cat([g.double().mean(0) for g in groups]).float()
        spread = [g.double().var(0).mean().sqrt().clamp_min(1e-6).expand(g.shape[1]) for g in groups]
        self.scale = torch.cat(spread).float()
        self.dimension = len(self.centre)
        self._last: tuple[Tensor, Tensor] | None = None

    def features(self, x: Tensor) -> Tensor:
        """Computes features ``(n, dimension)`` of images in [0, 1], on the CPU."""
        if self._last is None or self._last[0] is not x:
            groups = torch.cat(_groups(x.to("cpu", torch.float32)), 1)
            self._last = (x, (groups - self.centre) / self.scale)
        return self._last[1]


def _groups(x: Tensor) -> list[Tensor]:
    """Computes the groups of features part by part."""
    with torch.inference_mode():
        parts = [raw_features(part) for part in torch.split(x, _PART)]
    return [torch.cat(group) for group in zip(*parts, strict=True)]
