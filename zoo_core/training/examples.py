"""The training batches of a run, in one random order per epoch, converted to the model's side batch by batch.

Row ``i`` of step ``s`` depends on (seed, s, i) only, so resumed runs and runs in several processes see equal batches.

Where the examples have weights, an epoch draws as many rows as there are, each with a probability in proportion to its
weight, so that a gradient is on average that of the weighted loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, DataSet, Model, Streams
from zoo_core.randomness import generator

__all__ = ["TrainingBatches"]


class TrainingBatches:
    """The training batches of a data set.

    Args:
        model: model that the batches are prepared for.
        data: data set.
        seed: integer that the order, the dequantisation and the augmentation depend on.
        batch: number of examples per step, over all processes.
        augment: augmentations, ``("flip",)`` or none.

    Raises:
        IncompatibleError: the data have fewer examples than a batch, or do not fit the model.
    """

    def __init__(self, model: Model, data: DataSet, seed: int, batch: int, augment: tuple[str, ...] = ()) -> None:
        self.prepared = Prepared(model, data, seed)
        if len(data) < batch:
            raise IncompatibleError(f"{data.name} has {len(data)} examples, fewer than batch = {batch}; lower batch")
        if augment and model.space.kind != "image":
            raise IncompatibleError(f"augment = {list(augment)}; only images are flipped, not {model.space.kind}")
        self.data, self.seed, self.size, self.augment = data, seed, batch, augment
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.data)

    def rows(self, step: int) -> Tensor:
        """Returns the row numbers of a step, ``(batch,)``; each epoch has its own order, without a short last batch."""
        per_epoch = len(self.data) // self.size
        epoch, place = divmod(step, per_epoch)
        if epoch != self._epoch:
            order, n, weights = generator(self.seed, "data order", epoch), len(self.data), self.prepared.weights
            self._epoch = epoch
            if weights is None:
                self._order = torch.randperm(n, generator=order)
            else:  # by inversion, which has no limit on the number of rows
                total = weights.cumsum(0)
                u = torch.rand(n, dtype=torch.float64, generator=order) * total[-1]
                self._order = torch.searchsorted(total, u, right=True).clamp_max(n - 1)
        return self._order[place * self.size : (place + 1) * self.size]

    def batch(self, step: int, part: range, device: torch.device) -> Batch[Any]:
        """Reads the rows ``part`` of a step's batch."""
        which = self.rows(step)[part.start : part.stop]
        first = step * self.size + part.start
        noise = Streams(self.seed, "dequantise", first, len(which)) if self.prepared.draws else None
        batch = self.prepared.rows(which, noise)
        if "flip" in self.augment:
            mirrored = Streams(self.seed, "flip", first, len(which)).uniform(1).squeeze(1) < 0.5
            x = batch.x.clone()
            x[mirrored] = x[mirrored].flip(-1)
            batch = replace(batch, x=x)
        return replace(batch, step=step, weights=None).to(device)

    def first(self) -> Batch[Any]:
        """Reads the whole batch of the first step, the same in every process."""
        return self.batch(0, range(self.size), self.prepared.model.device)

    def batches(self, size: int | None = None) -> Iterator[Batch[Any]]:
        """Yields every example once, in order, in batches of at most ``size``; in one batch unless given."""
        for batch in self.prepared.batches(size):
            yield batch.to(self.prepared.model.device)
