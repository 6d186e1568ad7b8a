r"""Inception v3 for the Fréchet Inception distance: the TensorFlow graph of 2015-12-05, in torch.

The network of Szegedy et al. (2016) with the differences of that graph: averages at a border exclude padding
(``count_include_pad=False``), the pool of the last block takes maxima, images are resized without half-pixel centres,
and the classifier has 1,008 outputs.  Parameters have the names of the published weights, which torch-fidelity and
pytorch-fid use too; torchvision is not needed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["SIDE", "InceptionV3", "resize"]

SIDE = 299
"""Height and width of the network's input, in pixels."""


class Conv(nn.Module):
    """A convolution without bias, batch normalisation in evaluation mode, and ReLU."""

    def __init__(self, inside: int, outside: int, size: int | tuple[int, int], stride: int = 1, padding: int | str = 0):
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outside, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class MixedA(nn.Module):
    """The block at 35 × 35: 1×1, 5×5, two 3×3, pool."""

    def __init__(self, inside: int, pool: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(inside, 64, 1)
        self.branch5x5_1 = Conv(inside, 48, 1)
        self.branch5x5_2 = Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Conv(inside, 64, 1)
        self.branch3x3dbl_2 = Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, padding=1)
        self.branch_pool = Conv(inside, pool, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(_average(x))], 1)


class MixedB(nn.Module):
    """The reduction from 35 × 35 to 17 × 17."""

    def __init__(self, inside: int) -> None:
        super().__init__()
        self.branch3x3 = Conv(inside, 384, 3, stride=2)
        self.branch3x3dbl_1 = Conv(inside, 64, 1)
        self.branch3x3dbl_2 = Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class MixedC(nn.Module):
    """The block at 17 × 17: 1×1, one 7×7 and two 7×7, each factored into rows and columns, pool."""

    def __init__(self, inside: int, width: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(inside, 192, 1)
        self.branch7x7_1 = Conv(inside, width, 1)
        self.branch7x7_2 = Conv(width, width, (1, 7), padding="same")
        self.branch7x7_3 = Conv(width, 192, (7, 1), padding="same")
        self.branch7x7dbl_1 = Conv(inside, width, 1)
        self.branch7x7dbl_2 = Conv(width, width, (7, 1), padding="same")
        self.branch7x7dbl_3 = Conv(width, width, (1, 7), padding="same")
        self.branch7x7dbl_4 = Conv(width, width, (7, 1), padding="same")
        self.branch7x7dbl_5 = Conv(width, 192, (1, 7), padding="same")
        self.branch_pool = Conv(inside, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(_average(x))], 1)


class MixedD(nn.Module):
    """The reduction from 17 × 17 to 8 × 8."""

    def __init__(self, inside: int) -> None:
        super().__init__()
        self.branch3x3_1 = Conv(inside, 192, 1)
        self.branch3x3_2 = Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Conv(inside, 192, 1)
        self.branch7x7x3_2 = Conv(192, 192, (1, 7), padding="same")
        self.branch7x7x3_3 = Conv(192, 192, (7, 1), padding="same")
        self.branch7x7x3_4 = Conv(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, F.max_pool2d(x, 3, stride=2)], 1)


class MixedE(nn.Module):
    """The block at 8 × 8: 1×1, 3×3 and two 3×3 that end in parallel 1×3 and 3×1, pool."""

    def __init__(self, inside: int, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = Conv(inside, 320, 1)
        self.branch3x3_1 = Conv(inside, 384, 1)
        self.branch3x3_2a = Conv(384, 384, (1, 3), padding="same")
        self.branch3x3_2b = Conv(384, 384, (3, 1), padding="same")
        self.branch3x3dbl_1 = Conv(inside, 448, 1)
        self.branch3x3dbl_2 = Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Conv(384, 384, (1, 3), padding="same")
        self.branch3x3dbl_3b = Conv(384, 384, (3, 1), padding="same")
        self.branch_pool = Conv(inside, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.maximum else _average(x)
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(three),
                self.branch3x3_2b(three),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(pooled),
            ],
            1,
        )


class InceptionV3(nn.Module):
    """The network from RGB images ``(n, 3, h, w)`` of levels 0 … 255 to 2,048 features, the mean of the last block."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3)
        self.Mixed_5b = MixedA(192, 32)
        self.Mixed_5c = MixedA(256, 64)
        self.Mixed_5d = MixedA(288, 64)
        self.Mixed_6a = MixedB(288)
        self.Mixed_6b = MixedC(768, 128)
        self.Mixed_6c = MixedC(768, 160)
        self.Mixed_6d = MixedC(768, 160)
        self.Mixed_6e = MixedC(768, 192)
        self.Mixed_7a = MixedD(768)
        self.Mixed_7b = MixedE(1280, maximum=False)
        self.Mixed_7c = MixedE(2048, maximum=True)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x: Tensor) -> Tensor:
        x = (resize(x, SIDE) - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
        x = self.Mixed_6e(self.Mixed_6d(x))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean((2, 3))


def resize(x: Tensor, side: int) -> Tensor:
    """Resizes bilinearly like TensorFlow 1, where output pixel i is at i·(old/new), without half-pixel centres."""
    for axis in (2, 3):
        old = x.shape[axis]
        at = torch.arange(side, device=x.device, dtype=x.dtype) * (old / side)
        low = at.floor().long()
        high = (low + 1).clamp_max(old - 1)
        share = (at - low).view(-1, 1) if axis == 2 else at - low
        x = torch.lerp(x.index_select(axis, low), x.index_select(axis, high), share)
    return x
