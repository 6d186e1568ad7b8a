"""Examples, with what is known about them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.randomness import Streams

__all__ = ["DataSet"]


@dataclass(frozen=True)
class DataSet:
    """One split of a data set.

    Attributes:
        name: as registered.
        split: ``train`` or ``test``.
        x: uint8 images ``(n, channels, h, w)`` with values 0 … levels − 1, or points ``(n, d)`` in float32.
        y: labels ``(n,)`` in int64, where there are any.
        levels: grey levels of images; ``None`` for points.
        entropy: of the distribution, in nats, where it is known: the least possible negative log-likelihood.
    """

    name: str
    split: str
    x: Tensor
    y: Tensor | None = None
    levels: int | None = None
    entropy: float | None = None

    def __len__(self) -> int:
        return len(self.x)

    def only(self, classes: list[int]) -> DataSet:
        """The examples of some classes.

        Raises:
            IncompatibleError: there are no labels, or none of these.
        """
        if self.y is None:
            raise IncompatibleError(f"{self.name} has no labels; classes = {classes} cannot be chosen")
        rows = torch.isin(self.y, torch.tensor(classes))
        if not rows.any():
            raise IncompatibleError(f"{self.name} has no class of {classes}; its classes are 0 … {int(self.y.max())}")
        return replace(self, x=self.x[rows], y=self.y[rows])

    def scaled(self, low: float, high: float) -> Tensor:
        """Images in float32: level 0 at ``low``, the last level at ``high``."""
        return low + (high - low) * (self.x.float() / (self._levels() - 1))

    def dequantised(self, low: float, high: float, seed: int = 0) -> Tensor:
        """Images in float64 with uniform noise within each level: (v + u)/levels in [low, high) (Theis et al. 2016)."""
        noise = Streams(seed, f"dequantise/{self.name}/{self.split}", 0, len(self), dtype=torch.float64)
        return low + (high - low) * ((self.x.double() + noise.uniform(*self.x.shape[1:])) / self._levels())

    def _levels(self) -> int:
        if self.levels is None:
            raise IncompatibleError(f"{self.name} is continuous; it has no levels to scale")
        return self.levels
