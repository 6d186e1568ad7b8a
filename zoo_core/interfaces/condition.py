"""What a sample may be conditioned on: a label, numbers, a sentence, an image, the part that is known, a domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import ConditionError
from zoo_core.interfaces.condition_spec import ConditionSpec
from zoo_core.interfaces.values import Ragged, Values
from zoo_core.interfaces.written import read_rows

__all__ = ["Condition"]


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
