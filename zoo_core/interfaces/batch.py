"""Examples that travel together: values, what they are conditioned on, their weights, the step they are for."""

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
    """Examples on the model's side.

    Attributes:
        x: values, ``(n, *space.shape)``; a :class:`~zoo_core.interfaces.Ragged` where lengths are open.
        condition: what they are conditioned on, one row per example.
        weights: how much each example counts, ``(n,)``, at least 0; ``None`` where all count alike.
        step: number of the training step, from 0; ``None`` outside of training.
    """

    x: X
    condition: Condition | None = None
    weights: Tensor | None = None
    step: int | None = None

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, which: slice | Tensor) -> Batch[X]:
        """Takes some of the examples: a slice, or their numbers ``(k,)``."""
        return replace(
            self,
            x=cast(X, self.x[which]),
            condition=None if self.condition is None else self.condition.rows(which),
            weights=None if self.weights is None else self.weights[which],
        )

    def chunks(self, count: int) -> Iterator[Batch[X]]:
        """Yields ``count`` batches of equal size, in order; the length must be a multiple of it."""
        size = len(self) // count
        for start in range(0, size * count, size):
            yield self.rows(slice(start, start + size))

    def to(self, device: torch.device | str) -> Batch[X]:
        """Moves everything to a device."""
        return replace(
            self,
            x=cast(X, self.x.to(device)),
            condition=None if self.condition is None else self.condition.to(device),
            weights=None if self.weights is None else self.weights.to(device),
        )
