"""Examples, with what is known about them: labels, domains, captions, by name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces.batch import Batch
from zoo_core.interfaces.condition import Condition
from zoo_core.interfaces.space import SampleSpace
from zoo_core.interfaces.values import Ragged, Values

__all__ = ["DataSet", "Rows"]


class Rows(Protocol):
    """Examples that are read when they are asked for: files in a folder, a data base.

    A memory-mapped array needs none of this: ``torch.from_numpy(numpy.load(path, mmap_mode="c"))`` is a tensor.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor, /) -> Values:
        """The examples of some row numbers, int64 ``(k,)``."""


Stored: TypeAlias = Tensor | Ragged | Rows

_HASHED_AT_ONCE = 4096


@dataclass(frozen=True)
class DataSet:
    """One split of a data set.  Rows are read by number, so it may be larger than memory.

    Attributes:
        name: name under which it is registered.
        split: ``train`` or ``test``.
        x: examples: uint8 images ``(n, channels, h, w)`` with values 0 … levels − 1, points ``(n, d)`` in float32,
            tokens in int64, sequences ``(n, time, features)``; a :class:`~zoo_core.interfaces.Ragged` where lengths
            differ; a memory-mapped tensor, or any object that gives :class:`Rows`.
        columns: what else is known of each example, by name, one row each: ``label``, ``domain``, ``speaker``,
            ``caption`` (a Ragged of tokens), another image.  A model that is conditioned on a name is given it.
        names: names of the values of a column, in the order of their numbers (``{"domain": ("summer", "winter")}``).
        levels: number of grey levels of images; ``None`` for numbers.
        entropy: entropy of the distribution, in nats, where it is known: the least possible negative log-likelihood.
        space: what the examples are, where their shape and type do not say it (audio, tables, the vocabulary).

    Raises:
        IncompatibleError: a column has another number of rows than there are examples.
    """

    name: str
    split: str
    x: Stored
    columns: Mapping[str, Values] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    levels: int | None = None
    entropy: float | None = None
    space: SampleSpace | None = None

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if len(column) != len(self.x):
                raise IncompatibleError(
                    f"{self.name} has {len(self.x)} examples and {len(column)} rows of {name!r}; expected one for each"
                )

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, which: Tensor) -> Batch[Any]:
        """Reads some examples, as they are stored, with all that is known of them.

        Args:
            which: row numbers, int64 ``(k,)``.
        """
        condition = Condition(**{name: column[which] for name, column in self.columns.items()})
        return Batch(self.x[which], condition if self.columns else None)

    @property
    def y(self) -> Tensor | None:
        """The labels, int64 ``(n,)``, where there are any."""
        label = self.columns.get("label")
        return label if isinstance(label, Tensor) else None

    @property
    def tensor(self) -> Tensor:
        """All examples as one tensor, as they are stored.

        Raises:
            IncompatibleError: they have open lengths, or are read when they are asked for.
        """
        if not isinstance(self.x, Tensor):
            raise IncompatibleError(f"{self.name} is no tensor of one shape; read it by rows")
        return self.x

    @cached_property
    def sample_space(self) -> SampleSpace:
        """What the examples are: ``space``, or what the first of them looks like."""
        if self.space is not None:
            return self.space
        first = self.x[torch.arange(min(1, len(self)))]
        if isinstance(first, Ragged):
            shape: list[int | None] = list(first.shape[1:])
            shape[first.axis - 1] = None
        else:
            shape = list(first.shape[1:])
        if first.dtype == torch.int64:
            return SampleSpace("tokens", tuple(shape), vocabulary=self._most() + 1)
        if len(shape) == 3:
            return SampleSpace("image", tuple(shape))
        return SampleSpace("points" if len(shape) == 1 and None not in shape else "sequence", tuple(shape))

    def _most(self) -> int:
        """The greatest token."""
        if isinstance(self.x, Ragged):
            return int(self.x.padded_with(0).data.max())
        if not isinstance(self.x, Tensor):
            raise IncompatibleError(f"{self.name} reads tokens row by row; give space, which says how many there are")
        return int(self.x.max())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the examples and all columns: two data sets with the same are the same."""
        digest = hashlib.sha256()
        for start in range(0, len(self), _HASHED_AT_ONCE):
            batch = self.rows(torch.arange(start, min(start + _HASHED_AT_ONCE, len(self))))
            known = batch.condition.values if batch.condition is not None else {}
            for name, values in [("", batch.x), *sorted(known.items())]:
                parts = list(values) if isinstance(values, Ragged) else [values]
                digest.update(f"{name}/{values.dtype}/{[tuple(part.shape) for part in parts]}".encode())
                for part in parts:
                    digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def scaled(self, low: float, high: float) -> Tensor:
        """Gives all images in float32: level 0 at ``low``, the last level at ``high``.

        Raises:
            IncompatibleError: the data have no levels.
        """
        if self.levels is None:
            raise IncompatibleError(f"{self.name} is continuous; it has no levels to scale")
        return low + (high - low) * (self.tensor.float() / (self.levels - 1))

    def only(self, classes: Sequence[int]) -> DataSet:
        """Keeps the examples of some classes.

        Raises:
            IncompatibleError: there are no labels, or none of these.
        """
        if self.y is None:
            raise IncompatibleError(f"{self.name} has no labels; classes = {list(classes)} cannot be chosen")
        chosen = torch.isin(self.y, torch.tensor(list(classes)))
        if not chosen.any():
            raise IncompatibleError(
                f"{self.name} has no class of {list(classes)}; its classes are 0 … {int(self.y.max())}"
            )
        return self.take(chosen.nonzero().squeeze(1))

    def take(self, which: Tensor) -> DataSet:
        """Keeps the examples of some row numbers, int64 ``(k,)``."""
        columns = {name: column[which] for name, column in self.columns.items()}
        x = self.x[which] if isinstance(self.x, (Tensor, Ragged)) else _Chosen(self.x, which)
        return replace(self, x=x, columns=columns)


class _Chosen:
    """Some rows of rows that are read when they are asked for."""

    def __init__(self, of: Rows, which: Tensor) -> None:
        self.of, self.which = of, which

    def __len__(self) -> int:
        return len(self.which)

    def __getitem__(self, rows: Tensor) -> Values:
        return self.of[self.which[rows]]
