r"""The small classifier whose features the sample metrics use.

It has three convolutions and a hidden layer, and is trained to classify one data set.  Its features are from several
levels, since the hidden layer alone contains little more than the class (it is insensitive to noise of 0.05):

    f(x) = [ mean and spread over space of level 2 (2·32), of level 3 (2·64), hidden layer (64) ]       256 numbers

They are bounded on images in [0, 1].  They are centred at their mean over the training set, and each of the three
groups is divided by one number so that its mean variance is 1, since polynomial kernels depend on origin and scale.  A
division per feature would amplify features that hardly vary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["FEATURES", "GROUPS", "Classifier"]

WIDTHS = (16, 32, 64)
HIDDEN = 64
GROUPS = (2 * WIDTHS[1], 2 * WIDTHS[2], HIDDEN)
"""Number of features in each group."""

FEATURES = sum(GROUPS)


class Classifier(nn.Module):
    """A classifier of grey images in [0, 1].

    Args:
        side: height and width of the images, at least 8.
        classes: number of classes.

    The buffers ``centre`` ``(256,)`` and ``scales`` ``(3,)`` convert activations to features; :meth:`standardise`
    sets them once after training.
    """

    centre: Tensor
    scales: Tensor

    def __init__(self, side: int, classes: int = 10) -> None:
        super().__init__()
        one, two, three = WIDTHS
        self.conv1 = nn.Conv2d(1, one, 3, padding=1)
        self.conv2 = nn.Conv2d(one, two, 3, padding=1)
        self.conv3 = nn.Conv2d(two, three, 3, padding=1)
        self.hidden = nn.Linear(three * (side // 8) ** 2, HIDDEN)
        self.head = nn.Linear(HIDDEN, classes)
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("scales", torch.ones(len(GROUPS)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Computes features ``(n, 256)`` and log-probabilities of the classes ``(n, classes)``."""
        raw, logits = self.activations(x)
        widths = torch.tensor(GROUPS, device=x.device)
        return (raw - self.centre) / self.scales.repeat_interleave(widths), logits.log_softmax(1)

    def activations(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the features before centring and scaling, and the logits."""
        level1 = F.max_pool2d(F.silu(self.conv1(x - 0.5)), 2)
        level2 = F.silu(self.conv2(level1))
        level3 = F.silu(self.conv3(F.max_pool2d(level2, 2)))
        hidden = torch.tanh(self.hidden(F.max_pool2d(level3, 2).flatten(1)))
        return torch.cat([_over_space(level2), _over_space(level3), hidden], dim=1), self.head(hidden)

    def standardise(self, raw: Tensor) -> None:
        """Sets centre and scales from the activations of the training set, ``(n, 256)``."""
        raw = raw.double()
        self.centre.copy_(raw.mean(0))
        variances = torch.split(raw.var(0), list(GROUPS))
        self.scales.copy_(torch.stack([group.mean().sqrt() for group in variances]))


def _over_space(level: Tensor) -> Tensor:
    """Computes mean and standard deviation of every channel over the image, ``(n, 2·channels)``."""
    variance, mean = torch.var_mean(level.flatten(2), dim=2, correction=0)
    return torch.cat([mean, (variance + 1e-6).sqrt()], dim=1)
