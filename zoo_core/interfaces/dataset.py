"""A data set: examples with columns of labels, domains, captions or other data about them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
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
    """Examples that are read on demand: files in a folder, a data base.

    A memory-mapped array needs no such class: ``torch.from_numpy(numpy.load(path, mmap_mode="c"))`` is a tensor.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor, /) -> Values:
        """Reads the examples of some row numbers, int64 ``(k,)``."""


Stored: TypeAlias = Tensor | Ragged | Rows

_HASHED_AT_ONCE = 4096


@dataclass(frozen=True)
class DataSet:
    """One split of a data set, whose rows are read by number, so that it may be larger than memory.

    Attributes:
        name: name under which it is registered.
        split: ``train`` or ``test``.
        x: examples: uint8 images ``(n, channels, h, w)`` with values 0 … levels − 1, points ``(n, d)`` in float32,
            tokens in int64, sequences ``(n, time, features)``; a :class:`~zoo_core.interfaces.Ragged` where lengths
            differ; a memory-mapped tensor; or any object with the methods of :class:`Rows`.
        columns: further data by name, one row per example: ``label``, ``domain``, ``speaker``, ``caption`` (a Ragged of
            tokens), another image.  A model is given the columns that bear the names of its conditions.
        names: names of the values of a column, in the order of their numbers (``{"domain": ("summer", "winter")}``).
        levels: number of grey levels of images; ``None`` for continuous values.
        entropy: entropy of the distribution, in nats, where it is known: the least possible negative log-likelihood.
        space: sample space of the examples, where shape and type do not determine it (audio, tables, the vocabulary).
        split_of: function that returns another split of the same data, for data that are not registered.

    Raises:
        IncompatibleError: the number of rows of a column differs from the number of examples.
    """

    name: str
    split: str
    x: Stored
    columns: Mapping[str, Values] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    levels: int | None = None
    entropy: float | None = None
    space: SampleSpace | None = None
    split_of: Callable[[str], DataSet] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if len(column) != len(self.x):
                raise IncompatibleError(
                    f"{self.name} has {len(self.x)} examples and {len(column)} rows of {name!r}; expected one row each"
                )

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, which: Tensor) -> Batch[Any]:
        """Reads some examples, as they are stored, with their columns.

        Args:
            which: row numbers, int64 ``(k,)``.
        """
        condition = Condition(**{name: column[which] for name, column in self.columns.items()})
        return Batch(self.x[which], condition if self.columns else None)

    @property
    def y(self) -> Tensor | None:
        """The labels, int64 ``(n,)``; ``None`` for a data set without labels."""
        label = self.columns.get("label")
        return label if isinstance(label, Tensor) else None

    @property
    def tensor(self) -> Tensor:
        """All examples as one tensor, as they are stored; examples that are read on demand are all read.

        Raises:
            IncompatibleError: the examples have open lengths.
        """
        x = self.x if isinstance(self.x, (Tensor, Ragged)) else self.x[torch.arange(len(self))]
        if isinstance(x, Ragged):
            raise IncompatibleError(f"{self.name} has examples of open length, which are no single tensor; use rows()")
        return x

    @cached_property
    def is_black_and_white(self) -> bool:
        """Whether images have one channel and hardly any grey: the mean of 4p(1 − p) is below 0.1, p the grey value."""
        if self.levels is None or self.sample_space.shape[0] != 1:
            return False
        grey = self.rows(torch.arange(min(256, len(self)))).x
        assert isinstance(grey, Tensor)
        p = grey.float() / (self.levels - 1)
        return bool((4 * p * (1 - p)).mean() < 0.1)

    @cached_property
    def sample_space(self) -> SampleSpace:
        """The sample space of the examples: ``space``, or what the first example implies."""
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
        """Finds the greatest token."""
        if isinstance(self.x, Ragged):
            return int(self.x.padded_with(0).data.max())
        if not isinstance(self.x, Tensor):
            raise IncompatibleError(
                f"{self.name} reads tokens on demand, so their number is unknown; give space, with its vocabulary"
            )
        return int(self.x.max())

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of the examples and all columns: data sets with equal fingerprints are equal."""
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
        """Returns all images in float32, with level 0 at ``low`` and the last level at ``high``.

        Raises:
            IncompatibleError: the data are no images with grey levels.
        """
        if self.levels is None:
            raise IncompatibleError(f"{self.name} is continuous; it has no levels to scale")
        return low + (high - low) * (self.tensor.float() / (self.levels - 1))

    def only(self, classes: Sequence[int]) -> DataSet:
        """Keeps the examples of some classes.

        Raises:
            IncompatibleError: the data set has no labels, or none of ``classes``.
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
    """A selection of the rows of data that are read on demand."""

    def __init__(self, of: Rows, which: Tensor) -> None:
        self.of, self.which = of, which

    def __len__(self) -> int:
        return len(self.which)

    def __getitem__(self, rows: Tensor) -> Values:
        return self.of[self.which[rows]]
