"""What samples are conditioned on: a label, numbers, a sentence, an image, a known part of the sample, a domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import ConditionError
from zoo_core.interfaces.condition_spec import ConditionSpec
from zoo_core.interfaces.values import Ragged, Values
from zoo_core.interfaces.written import read_rows
from zoo_core.paths import broadcast

__all__ = ["Condition"]


class Condition:
    """Named values, one row per sample: ``Condition(label=torch.tensor([3, 3, 7]))``.

    Raises:
        ConditionError: the values have different numbers of rows.
    """

    def __init__(self, **values: Values) -> None:
        if len({len(v) for v in values.values()}) > 1:
            raise ConditionError(
                f"conditions have different lengths: { {k: len(v) for k, v in values.items()} }; expected equal ones"
            )
        self.values: Mapping[str, Values] = values

    @classmethod
    def of(cls, given: Mapping[str, Any], specs: Mapping[str, ConditionSpec], count: int, first: int = 0) -> Condition:
        """Makes a condition from a user's values: numbers, names, lists, arrays.

        A single value holds for every sample; a list is repeated: sample i has row i modulo the length of the list.

        Args:
            given: values by name: ``{"label": 3}``, ``{"label": [0, 1, 2]}``, ``{"speaker": "theo"}``, arrays, tensors.
            specs: specification of the model's conditions, by name.
            count: number of samples.
            first: index of the first sample.

        Raises:
            ConditionError: a name is unknown, or a value is not of the kind that its specification requires.
        """
        found = {}
        for name, value in given.items():
            spec = _known(specs, name)
            rows = read_rows(spec, name, value)
            if not len(rows):
                raise ConditionError(f"condition {name!r} is empty; expected at least one value")
            found[name] = rows[torch.arange(first, first + count) % len(rows)]
        made = cls(**found)
        made.check(specs)
        return made

    def __getitem__(self, name: str) -> Tensor:
        """Returns the values of a name whose rows have a fixed shape.

        Raises:
            KeyError: there is no such name.
            ConditionError: the rows have open lengths; use :meth:`ragged`.
        """
        value = self.values[name]
        if isinstance(value, Ragged):
            raise ConditionError(f"condition {name!r} has rows of open length; expected a fixed shape")
        return value

    def ragged(self, name: str) -> Ragged:
        """Returns the values of a name whose rows have open lengths.

        Raises:
            KeyError: there is no such name.
            ConditionError: the rows have a fixed shape.
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
        """Selects the condition of some samples, by a slice or by row numbers ``(k,)``."""
        return Condition(**{name: value[which] for name, value in self.values.items()})

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Condition:
        """Moves all values to a device, and converts floating-point values to ``dtype`` where it is given."""
        values = {name: value.to(device) for name, value in self.values.items()}
        if dtype is not None:
            values = {name: value.to(dtype) if value.is_floating_point() else value for name, value in values.items()}
        return Condition(**values)

    def only(self, names: Mapping[str, Any] | Sequence[str]) -> Condition | None:
        """Keeps the values of some names; returns ``None`` if the condition has none of them."""
        kept = {name: self.values[name] for name in names if name in self.values}
        return Condition(**kept) if kept else None

    def hidden(self, where: Mapping[str, Tensor], specs: Mapping[str, ConditionSpec]) -> Condition:
        """Replaces rows by the null of their condition, for guidance and for dropping conditions in training.

        Args:
            where: masks of the rows to hide, bool ``(n,)``, by name.
            specs: specification of the model's conditions, by name.
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
    """Returns ``value`` with the null in the rows where ``hide`` is true."""
    if isinstance(value, Ragged):
        return Ragged(value.data, torch.where(hide, 0, value.lengths), value.axis)
    null = spec.absent(len(value), value.device, value.dtype)
    assert isinstance(null, Tensor)
    return torch.where(broadcast(hide, value), null.to(value.dtype), value)
