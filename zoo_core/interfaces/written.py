"""Reads a condition as a user writes it: numbers, names, lists, arrays of any type."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import ConditionError
from zoo_core.interfaces.condition_spec import ConditionSpec
from zoo_core.interfaces.values import Ragged, Values

__all__ = ["read_rows"]


def read_rows(spec: ConditionSpec, name: str, value: Any) -> Values:
    """Converts a condition that a user wrote to one or several rows.

    Args:
        spec: specification of the condition.
        name: name of the condition, for messages.
        value: number, name, list, array or tensor.

    Returns:
        Rows, whose values are still to be checked: ``(k, *spec.shape)``, or a Ragged of tokens.

    Raises:
        ConditionError: the value cannot be read as a condition of this kind.
    """
    if isinstance(value, Ragged):
        return value
    shown = _shown(value)
    words = [value] if isinstance(value, str) else value
    if isinstance(words, (list, tuple)) and words and all(isinstance(word, str) for word in words):
        if spec.classes is None:
            raise ConditionError(f"condition {name!r} = {shown} is no number; expected {spec.expected()}")
        value = [spec.number(name, word) for word in words]
    if _has_truth_values(value):
        raise ConditionError(f"condition {name!r} = {shown.lower()} is a truth value; expected {spec.expected()}")
    try:
        if spec.kind == "tokens":
            sentences = value if torch.as_tensor(value[0]).ndim else [value]
            return Ragged.of([_read(sentence, spec) for sentence in sentences])
        tensor = _read(value, spec)
        return tensor[None] if tensor.ndim == len(spec.shape) else tensor[:]  # a single number has no rows
    except (TypeError, ValueError, RuntimeError, OverflowError, IndexError, KeyError) as err:
        raise ConditionError(f"condition {name!r} = {shown} cannot be read; expected {spec.expected()}") from err


def _has_truth_values(value: Any) -> bool:
    """Says whether a user's value contains a truth value, which torch would silently read as 0 or 1."""
    if isinstance(value, (list, tuple)):
        return any(_has_truth_values(item) for item in value)
    return isinstance(value, bool) or getattr(value, "dtype", None) in (torch.bool, "bool")


def _read(value: Any, spec: ConditionSpec) -> Tensor:
    """Converts to float32, or to int64 for a condition with classes; numbers that are no integers stay floats."""
    tensor = torch.as_tensor(value)
    if spec.classes is None:
        return tensor.float()
    return tensor if tensor.is_floating_point() and tensor.numel() else tensor.long()


def _shown(value: Any) -> str:
    """Returns a user's value in at most 60 characters, for a message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:59]}…"
