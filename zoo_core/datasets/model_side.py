"""From a data set's levels to what a model takes: scaled to its range, or with noise within each level."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core.datasets.dataset import DataSet
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Density, Model, Streams

__all__ = ["check_fit", "is_dequantised", "model_side", "whole"]


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


def whole(model: Model, data: DataSet, seed: int) -> Tensor:
    """All examples on the model's side, in float64 where they are dequantised, with noise that belongs to the seed.

    Raises:
        IncompatibleError: the data cannot be the model's.
    """
    check_fit(model, data)
    low, high = model.space.low, model.space.high
    if is_dequantised(model, data) and low is not None and high is not None:
        return data.dequantised(low, high, seed)
    return model_side(model, data, torch.arange(len(data)), None)
