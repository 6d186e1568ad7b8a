r"""The multi-scale architecture (Dinh et al. 2017, §3.6): after every level half of the channels become codes.

    (x^{l+1}, z^l) = f^l(x^l),      l = 1 … L − 1;      z^L = f^L(x^L);      z = (z^L, …, z^1)

The code is flat, the coarsest level first.  A *learned prior* z^l ~ N(μ(x^{l+1}), σ(x^{l+1})²) (Kingma & Dhariwal 2018,
code) is an affine coupling layer at the end of f^l that keeps x^{l+1}.  All codes are then N(0, I), with one
temperature, one norm and one interpolation for all levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo_flows.transform import Transform

__all__ = ["ContextAffine", "MultiScale"]


class MultiScale(Transform):
    """A multi-scale transform from ``(n, c, h, w)`` to ``(n, c·h·w)``.

    Args:
        levels: transforms f^1 … f^L; all but the last return an even number of channels, of which the first half is the
            input of the next level.
        shapes: output shapes of f^1 … f^L, each ``(c, h, w)``.
    """

    def __init__(self, levels: Sequence[Transform], shapes: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)
        # sizes of the codes: half of a level's channels, at the last level all
        self.leaving = [(c // 2, h, w) for c, h, w in shapes[:-1]] + [shapes[-1]]

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        codes, total = [], x.new_zeros(len(x))
        for index, level in enumerate(self.levels):
            x, log_det = level(x, context)
            total = total + log_det
            if index < len(self.levels) - 1:
                x, z = x.chunk(2, 1)
                codes.append(z.flatten(1))
        return torch.cat([x.flatten(1), *reversed(codes)], 1), total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        sizes = [math.prod(shape) for shape in reversed(self.leaving)]
        codes = [
            part.view(len(z), *s) for part, s in zip(torch.split(z, sizes, 1), reversed(self.leaving), strict=True)
        ]
        x = codes[0]
        for index, level in enumerate(reversed([*self.levels])):
            if index > 0:
                x = torch.cat([x, codes[index]], 1)
            assert isinstance(level, Transform)
            x = level.inverse(x, context)
        return x

    def start(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        codes = []
        for index, level in enumerate(self.levels):
            assert isinstance(level, Transform)
            x = level.start(x, context)
            if index < len(self.levels) - 1:
                x, z = x.chunk(2, 1)
                codes.append(z.flatten(1))
        return torch.cat([x.flatten(1), *reversed(codes)], 1)


class ContextAffine(Transform):
    """The map z = (x − μ_y)·e^{−s_y} per channel, a class's prior N(μ_y, e^{2 s_y}) (Kingma & Dhariwal 2018, code).

    Args:
        channels: number of channels of x.
        context: width of the context; μ and s are linear functions of it, 0 at first.
    """

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.of_context = nn.Linear(context, 2 * channels)
        nn.init.zeros_(self.of_context.weight)
        nn.init.zeros_(self.of_context.bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, log_scale = self._moments(x, context)
        return (x - mean) * torch.exp(-log_scale), -log_scale.expand_as(x).flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        mean, log_scale = self._moments(z, context)
        return z * log_scale.exp() + mean

    def _moments(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        answer = self.of_context(context).to(x.dtype)
        mean, log_scale = answer.view(len(x), -1, *[1] * (x.ndim - 2)).chunk(2, 1)
        return mean, log_scale
