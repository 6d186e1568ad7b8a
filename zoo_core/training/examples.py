"""The data of a run: in memory as they came, one random order per epoch, on the model's side batch by batch.

Row ``i`` of step ``s`` depends on (seed, s, i) only, so a resumed run and a run in several processes see the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core.datasets.dataset import DataSet
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Condition, Density, Model, Streams
from zoo_core.randomness import generator

__all__ = ["Examples", "check_fit", "is_dequantised", "model_side"]


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


def model_side(model: Model, data: DataSet, rows: Tensor, noise: Streams | None) -> Tensor:
    """Examples as the model wants them: levels scaled to its range, with noise within each level where it is given.

    Args:
        model: whose side.
        data: all examples.
        rows: which, ``(n,)``.
        noise: one stream per row, to dequantise; ``None``: the levels themselves.
    """
    x = data.x[rows].float()
    if data.levels is None:
        return x
    low, high = model.space.low, model.space.high
    assert low is not None
    assert high is not None
    if noise is None:
        return low + (high - low) * (x / (data.levels - 1))
    return low + (high - low) * ((x + noise.uniform(*x.shape[1:])) / data.levels)


def check_fit(model: Model, data: DataSet) -> None:
    """Raises :class:`IncompatibleError` where the data cannot be the model's."""
    shape, found = tuple(model.space.shape), tuple(data.x.shape[1:])
    if len(shape) != len(found) or any(size not in (None, there) for size, there in zip(shape, found, strict=True)):
        raise IncompatibleError(f"{data.name} has examples of shape {found}; the model's are {shape}")
    if data.levels is not None and (model.space.low is None or model.space.high is None):
        raise IncompatibleError(f"{data.name} has grey levels, but {type(model).__name__} is not bounded")


def is_dequantised(model: Model, data: DataSet) -> bool:
    """A density of real numbers must not see a grid: it would learn infinite spikes (Theis et al. 2016)."""
    return data.levels is not None and isinstance(model, Density) and not model.discrete
