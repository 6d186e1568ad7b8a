"""A batch of examples: values, conditions, weights, and the training step that they are for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Generic, cast

import torch
from torch import Tensor

from zoo_core.interfaces.condition import Condition
from zoo_core.interfaces.values import X

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch(Generic[X]):
    """A batch of examples on the model's side.

    Attributes:
        x: values, ``(n, *space.shape)``; a :class:`~zoo_core.interfaces.Ragged` where lengths are open.
        condition: conditions of the examples, one row each.
        weights: weights of the examples, ``(n,)``, at least 0; ``None`` for equal weights.
        step: number of the training step, from 0; ``None`` outside of training.
    """

    x: X
    condition: Condition | None = None
    weights: Tensor | None = None
    step: int | None = None

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, which: slice | Tensor) -> Batch[X]:
        """Selects some of the examples, by a slice or by row numbers ``(k,)``."""
        return replace(
            self,
            x=cast(X, self.x[which]),
            condition=None if self.condition is None else self.condition.rows(which),
            weights=None if self.weights is None else self.weights[which],
        )

    def chunks(self, count: int) -> Iterator[Batch[X]]:
        """Yields ``count`` batches of equal size, in order; the length must be a multiple of ``count``."""
        size = len(self) // count
        for start in range(0, size * count, size):
            yield self.rows(slice(start, start + size))

    def to(self, device: torch.device | str) -> Batch[X]:
        """Moves all tensors to a device."""
        return replace(
            self,
            x=cast(X, self.x.to(device)),
            condition=None if self.condition is None else self.condition.to(device),
            weights=None if self.weights is None else self.weights.to(device),
        )
