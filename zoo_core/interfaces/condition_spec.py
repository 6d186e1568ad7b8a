"""The specification of one condition of a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zoo_core.errors import ConditionError
from zoo_core.interfaces.values import Ragged, Values

__all__ = ["ConditionKind", "ConditionSpec"]

ConditionKind = Literal["label", "domain", "vector", "tokens", "image", "partial"]

_WHOLE = ("label", "domain", "tokens")
"""Kinds whose values are integers."""


@dataclass(frozen=True)
class ConditionSpec:
    """The specification of one condition of a model: its kind, shape, number of classes and null.

    Every kind has a *null*, the value for "not given", which classifier-free guidance and the dropping of conditions in
    training use; a model accepts it where ``null`` is true.

    ========== ========================================= ==========================================
    kind       one row                                   null
    ========== ========================================= ==========================================
    label      a class 0 … classes − 1, ``()``           the number ``classes``
    domain     a domain 0 … classes − 1, ``()``          the number ``classes``
    vector     numbers, ``shape``                        NaN
    tokens     integers below ``classes``, any length    no token: length 0
    image      an image, ``shape``                       NaN
    partial    a sample, NaN where it is unknown         NaN everywhere
    ========== ========================================= ==========================================

    Attributes:
        kind: kind of the condition, a row of this table.
        classes: number of labels, of domains or of different tokens.
        shape: shape of one row; ``()`` for a label or domain.
        names: names of the labels, domains or tokens, in the order of their numbers, where they have any.
        null: whether the null is accepted.

    Raises:
        ValueError: the fields contradict each other, such as ``classes`` for a vector.
    """

    kind: ConditionKind
    classes: int | None = None
    shape: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    null: bool = False

    def __post_init__(self) -> None:
        if (self.kind in _WHOLE) != (self.classes is not None):
            raise ValueError(
                f"classes = {self.classes} for a {self.kind}; expected classes for label, domain and tokens only"
            )
        if self.classes is not None and self.classes < 1:
            raise ValueError(f"classes = {self.classes} for a {self.kind}; expected at least 1")
        if self.names and len(self.names) != self.classes:
            raise ValueError(f"{len(self.names)} names for {self.classes} classes; expected one name for each class")

    @classmethod
    def label(cls, classes: int, *, names: Sequence[str] = (), null: bool = False) -> ConditionSpec:
        """Describes a class label."""
        return cls("label", classes, names=tuple(names), null=null)

    def check(self, name: str, value: Values) -> None:
        """Raises :class:`ConditionError` where ``value``, one row per sample, is not acceptable."""
        if self.kind == "tokens":
            if not isinstance(value, Ragged) or value.data.ndim != 2:
                raise ConditionError(f"condition {name!r} is {_shown(value)}; expected tokens, a Ragged of integers")
            if not self.null and bool((value.lengths == 0).any()):
                raise ConditionError(
                    f"condition {name!r} is empty, and this model requires it; expected {self.expected()}"
                )
            data = value.padded_with(0).data
        elif isinstance(value, Ragged) or tuple(value.shape[1:]) != self.shape:
            raise ConditionError(f"condition {name!r} is {_shown(value)}; expected {self.shape} for each sample")
        else:
            data = value
        if self.classes is None:
            self._check_numbers(name, data)
            return
        most = self.classes + (self.null and self.kind != "tokens")
        wrong = (data < 0) | (data >= most)
        if data.is_floating_point() or data.dtype == torch.bool or bool(wrong.any()):
            first = data[wrong] if bool(wrong.any()) else data
            worst = first.flatten()[0].item() if first.numel() else "empty"
            raise ConditionError(f"condition {name!r} = {worst} is out of range; expected 0 … {self.classes - 1}")

    def _check_numbers(self, name: str, data: Tensor) -> None:
        if not data.is_floating_point():
            raise ConditionError(f"condition {name!r} is of {data.dtype}; expected floating-point numbers")
        given = ~torch.isnan(data).view(len(data), math.prod(self.shape))
        if bool(torch.isinf(data).any()):
            raise ConditionError(f"condition {name!r} has infinite numbers; expected finite ones, or NaN for unknown")
        if self.kind == "partial":
            return
        if not self.null and not bool(given.all()):
            raise ConditionError(
                f"condition {name!r} has NaN, and this model requires the condition; give every number"
            )
        if bool((given.any(1) & ~given.all(1)).any()):
            raise ConditionError(
                f"condition {name!r} has NaN among numbers; give all numbers of a sample, or NaN for all of them"
            )

    def absent(self, count: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Values:
        """Returns ``count`` rows of the null, the value for "not given"."""
        if self.kind == "tokens":
            empty = torch.zeros((count, 0), dtype=torch.int64, device=device)
            return Ragged(empty, torch.zeros(count, dtype=torch.int64, device=device))
        if self.classes is not None:
            return torch.full((count,), self.classes, dtype=torch.int64, device=device)
        return torch.full((count, *self.shape), torch.nan, dtype=dtype, device=device)

    def number(self, name: str, value: str) -> int:
        """Finds the number of a label or domain by its name.

        Raises:
            ConditionError: there is no such name; the message lists the known names.
        """
        if value in self.names:
            return self.names.index(value)
        known = ", ".join(self.names) if self.names else f"0 … {(self.classes or 1) - 1}, which have no names"
        raise ConditionError(f"condition {name!r} = {value!r} is unknown; expected one of {known}")

    def expected(self) -> str:
        """Describes one row, for the end of a message."""
        if self.kind == "tokens":
            return f"a list of integers below {self.classes}"
        if self.classes is not None:
            return f"an integer 0 … {self.classes - 1}"
        return f"numbers of shape {self.shape}" if self.shape else "a number"


def _shown(value: Values) -> str:
    return "ragged" if isinstance(value, Ragged) else f"{tuple(value.shape[1:])} for each sample"
