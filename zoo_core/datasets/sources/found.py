"""What was found in a user's source: the examples, how they are read, and what should be said about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo_core.interfaces import Column, SampleSpace, Values

__all__ = ["Found", "Notes", "Reading"]


@dataclass(frozen=True)
class Found:
    """All examples of a source, of both splits, and how files became numbers.

    Attributes:
        kind: kind of the examples, as in a sample space.
        reader: how files become numbers, as a table of plain values; :func:`zoo_core.datasets.sources.read` takes it.
        x: examples: a tensor, a Ragged, or rows that are read on demand.
        columns: labels and other columns, one row per example.
        names: names of the values of a column.
        levels: number of grey levels of images; ``None`` for others.
        space: sample space, where the examples do not determine it.
        notes: sentences about choices that were made in reading, for the user.
        splits: row numbers for training and for testing, where the source says which is which.
    """

    kind: str
    reader: Mapping[str, Any]
    x: Any
    columns: Mapping[str, Values] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    levels: int | None = None
    space: SampleSpace | None = None
    notes: Sequence[str] = ()
    splits: tuple[list[int], list[int]] | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Reading:
    """What a user, or the reader of a model, says about how a source is read.

    Attributes:
        label: column of a table that holds each row's class.
        leave_out: columns of a table that are not read.
        size: height and width of images, in pixels; chosen from the pictures unless given.
        columns: columns of a table, as they were found before; found anew unless given.
        weight: column of a table that holds each row's weight, a number of at least 0.
    """

    label: str | None = None
    leave_out: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    columns: tuple[Column, ...] = ()
    weight: str | None = None


class Notes:
    """Sentences about what was found, some with the number of examples that they are about."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._counted: Counter[str] = Counter()

    def add(self, sentence: str) -> None:
        """Adds a sentence."""
        self._said.append(sentence)

    def count(self, what: str) -> None:
        """Counts one picture of which ``what`` is true."""
        self._counted[what] += 1

    @property
    def lines(self) -> list[str]:
        """The sentences."""
        return [*self._said, *(f"{times} {what}" for what, times in sorted(self._counted.items()))]
