"""What a sample may be conditioned on: a label, numbers, a sentence, an image, the part that is known, a domain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from zoo_core.errors import ConditionError
from zoo_core.interfaces.values import Ragged, Values
from zoo_core.interfaces.written import expected, read_rows

__all__ = ["Condition", "ConditionKind", "ConditionSpec"]

ConditionKind = Literal["label", "domain", "vector", "tokens", "image", "partial"]

_WHOLE = ("label", "domain", "tokens")
"""Kinds whose values are integers."""


@dataclass(frozen=True)
class ConditionSpec:
    """What a model accepts under one name.

    Every kind has a *null*, the value that says "not given": classifier-free guidance and the dropping of conditions in
    training use it where ``null`` is true.

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
        kind: which of these it is.
        classes: number of labels, of domains or of different tokens.
        shape: shape of one row; ``()`` for a label or domain.
        names: names of the labels, domains or tokens, in the order of their numbers, where they have any.
        null: whether the null is accepted.

    Raises:
        ValueError: the fields do not belong together.
    """

    kind: ConditionKind
    classes: int | None = None
    shape: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    null: bool = False

    def __post_init__(self) -> None:
        if (self.kind in _WHOLE) != (self.classes is not None):
            raise ValueError(f"classes = {self.classes} for a {self.kind}; labels, domains and tokens have them")
        if self.classes is not None and self.classes < 1:
            raise ValueError(f"classes = {self.classes} for a {self.kind}; expected at least 1")
        if self.names and len(self.names) != self.classes:
            raise ValueError(f"{len(self.names)} names for {self.classes} classes; expected as many")

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
                raise ConditionError(f"condition {name!r} is empty, and this model needs it; expected {expected(self)}")
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
            raise ConditionError(f"condition {name!r} has NaN, and this model needs all of it; give every number")
        if bool((given.any(1) & ~given.all(1)).any()):
            raise ConditionError(
                f"condition {name!r} has NaN among numbers; NaN means that nothing is given of a sample"
            )

    def absent(self, count: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Values:
        """Gives ``count`` rows of the null: nothing is said of these samples."""
        if self.kind == "tokens":
            empty = torch.zeros((count, 0), dtype=torch.int64, device=device)
            return Ragged(empty, torch.zeros(count, dtype=torch.int64, device=device))
        if self.classes is not None:
            return torch.full((count,), self.classes, dtype=torch.int64, device=device)
        return torch.full((count, *self.shape), torch.nan, dtype=dtype, device=device)

    def number(self, name: str, value: str) -> int:
        """Finds the number of a label or domain by its name.

        Raises:
            ConditionError: there is no such name; the message lists those there are.
        """
        if value in self.names:
            return self.names.index(value)
        known = ", ".join(self.names) if self.names else f"0 … {(self.classes or 1) - 1}, which have no names"
        raise ConditionError(f"condition {name!r} = {value!r} is unknown; expected one of {known}")


class Condition:
    """Named values, one row per sample: ``Condition(label=torch.tensor([3, 3, 7]))``.

    Raises:
        ConditionError: the values have different numbers of rows.
    """

    def __init__(self, **values: Values) -> None:
        if len({len(v) for v in values.values()}) > 1:
            raise ConditionError(f"conditions of different lengths: { {k: len(v) for k, v in values.items()} }")
        self.values: Mapping[str, Values] = values

    @classmethod
    def of(cls, given: Mapping[str, Any], specs: Mapping[str, ConditionSpec], count: int) -> Condition:
        """Makes a condition of what a user writes: numbers, names, lists, arrays.

        A single value holds for every sample; a list goes round: sample i has row i modulo its length.

        Args:
            given: values by name: ``{"label": 3}``, ``{"label": [0, 1, 2]}``, ``{"speaker": "theo"}``, arrays, tensors.
            specs: what the model accepts.
            count: number of samples.

        Raises:
            ConditionError: an unknown name, or a value that is not of its kind.
        """
        found = {}
        for name, value in given.items():
            spec = _known(specs, name)
            rows = read_rows(spec, name, value)
            if not len(rows):
                raise ConditionError(f"condition {name!r} is empty; expected at least one value")
            found[name] = rows[torch.arange(count) % len(rows)]
        made = cls(**found)
        made.check(specs)
        return made

    def __getitem__(self, name: str) -> Tensor:
        """Gives the values of a name that have a fixed shape.

        Raises:
            KeyError: there is no such name.
            ConditionError: its rows have open lengths; ask :meth:`ragged`.
        """
        value = self.values[name]
        if isinstance(value, Ragged):
            raise ConditionError(f"condition {name!r} has rows of open length; expected a fixed shape")
        return value

    def ragged(self, name: str) -> Ragged:
        """Gives the values of a name whose rows have open lengths.

        Raises:
            KeyError: there is no such name.
            ConditionError: its rows have a fixed shape.
        """
        value = self.values[name]
        if not isinstance(value, Ragged):
            raise ConditionError(f"condition {name!r} has rows of a fixed shape; expected open lengths")
        return value

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(next(iter(self.values.values()))) if self.values else 0

    def rows(self, which: slice | Tensor) -> Condition:
        """Takes the condition of some samples: a slice, or their numbers ``(k,)``."""
        return Condition(**{name: value[which] for name, value in self.values.items()})

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Condition:
        """Moves all values to a device; numbers, but no integers, become of type ``dtype`` where it is given."""
        values = {name: value.to(device) for name, value in self.values.items()}
        if dtype is not None:
            values = {name: value.to(dtype) if value.is_floating_point() else value for name, value in values.items()}
        return Condition(**values)

    def only(self, names: Mapping[str, Any] | Sequence[str]) -> Condition | None:
        """Keeps the values of some names; ``None`` where none of them is here."""
        kept = {name: self.values[name] for name in names if name in self.values}
        return Condition(**kept) if kept else None

    def hidden(self, where: Mapping[str, Tensor], specs: Mapping[str, ConditionSpec]) -> Condition:
        """Replaces rows by their nulls, as guidance and the dropping of conditions need it.

        Args:
            where: rows to hide by name, bool ``(n,)``.
            specs: what the model accepts.
        """
        values = dict(self.values)
        for name, hide in where.items():
            values[name] = _replaced(values[name], specs[name], hide)
        return Condition(**values)

    def check(self, specs: Mapping[str, ConditionSpec]) -> None:
        """Raises :class:`ConditionError` for a name that the model does not know or a value out of range."""
        for name, value in self.values.items():
            _known(specs, name).check(name, value)


def _known(specs: Mapping[str, ConditionSpec], name: str) -> ConditionSpec:
    if name not in specs:
        known = ", ".join(specs) or "nothing: it is unconditional"
        raise ConditionError(f"this model has no condition {name!r}; it can be conditioned on {known}")
    return specs[name]


def _replaced(value: Values, spec: ConditionSpec, hide: Tensor) -> Values:
    """The rows of ``value``, with nulls where ``hide`` says so."""
    if isinstance(value, Ragged):
        return Ragged(value.data, torch.where(hide, 0, value.lengths), value.axis)
    null = spec.absent(len(value), value.device, value.dtype)
    assert isinstance(null, Tensor)
    return torch.where(hide.view(-1, *[1] * (value.ndim - 1)), null.to(value.dtype), value)


def _shown(value: Values) -> str:
    return "ragged" if isinstance(value, Ragged) else f"{tuple(value.shape[1:])} for each sample"
