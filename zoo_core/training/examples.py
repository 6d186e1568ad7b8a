"""The data of a run: in memory as they came, one random order per epoch, on the model's side batch by batch.

Row ``i`` of step ``s`` depends on (seed, s, i) only, so a resumed run and a run in several processes see the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core.datasets.dataset import DataSet
from zoo_core.datasets.model_side import check_fit, is_dequantised, model_side
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Condition, Model, Streams
from zoo_core.randomness import generator

__all__ = ["Examples"]


class Examples:
    """Batches for training.

    Args:
        model: says what side the data must be on, and what it is conditioned on.
        data: the examples.
        seed: of the order, the dequantisation and the augmentation.
        batch: rows per step, over all processes.
        augment: ``("flip",)`` or nothing.

    Raises:
        IncompatibleError: fewer examples than a batch, or data that the model cannot take.
    """

    def __init__(self, model: Model, data: DataSet, seed: int, batch: int, augment: tuple[str, ...] = ()) -> None:
        check_fit(model, data)
        if len(data) < batch:
            raise IncompatibleError(f"{data.name} has {len(data)} examples, fewer than batch = {batch}; lower batch")
        self.model, self.data, self.seed, self.size, self.augment = model, data, seed, batch, augment
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def rows(self, step: int) -> Tensor:
        """The examples of a step, ``(batch,)``: every epoch has its own order, a short last batch is left out."""
        per_epoch = len(self.data) // self.size
        epoch, place = divmod(step, per_epoch)
        if epoch != self._epoch:
            order = generator(self.seed, "data order", epoch)
            self._epoch, self._order = epoch, torch.randperm(len(self.data), generator=order)
        return self._order[place * self.size : (place + 1) * self.size]

    def batch(self, step: int, part: range, device: torch.device) -> Batch:
        """The rows ``part`` of a step's batch."""
        rows = self.rows(step)[part.start : part.stop]
        first = step * self.size + part.start
        dequantised = is_dequantised(self.model, self.data)
        noise = Streams(self.seed, "dequantise", first, len(rows)) if dequantised else None
        x = model_side(self.model, self.data, rows, noise)
        if "flip" in self.augment:
            mirrored = Streams(self.seed, "flip", first, len(rows)).uniform(1).squeeze(1) < 0.5
            x[mirrored] = x[mirrored].flip(-1)
        condition = None
        if "label" in self.model.conditions and self.data.y is not None:
            condition = Condition(label=self.data.y[rows]).to(device)
        return Batch(x.to(device), condition)
