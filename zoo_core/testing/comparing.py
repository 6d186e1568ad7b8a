"""Compares two outputs of a model, tensors or ragged values; padding is ignored."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo_core.interfaces import Ragged, Values

__all__ = ["gap", "largest", "numbers", "same"]


def numbers(values: Values) -> Tensor:
    """Returns the values as one tensor, with zeros as padding."""
    return values.padded_with(0).data if isinstance(values, Ragged) else values


def same(a: Values, b: Values) -> bool:
    """Says whether two outputs are equal to the bit, row by row."""
    if isinstance(a, Ragged) and isinstance(b, Ragged):
        return torch.equal(a.lengths, b.lengths) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    return isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)


def gap(a: Values, b: Values) -> float:
    """Returns the largest difference of two outputs; infinity if their shapes or lengths differ."""
    if isinstance(a, Ragged) and isinstance(b, Ragged):
        if not torch.equal(a.lengths, b.lengths):
            return math.inf
        return max((_gap(x, y) for x, y in zip(a, b, strict=True)), default=0.0)
    return _gap(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else math.inf


def largest(values: Values) -> float:
    """Returns the largest magnitude of the values."""
    data = numbers(values)
    return data.double().abs().max().item() if data.numel() else 0.0


def _gap(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return math.inf
    return (a.double() - b.double()).abs().max().item() if a.numel() else 0.0
