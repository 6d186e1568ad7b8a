"""The data that a model is to be trained on: a registered set, or a reader's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from zoo_core import datasets
from zoo_core.datasets import sources
from zoo_core.datasets.sources.fingerprint import fingerprint
from zoo_core.datasets.sources.found import Found, Reading
from zoo_core.interfaces import DataSet, Encoding
from zoo_core.interfaces.values import finite_rows

__all__ = ["Target"]


@dataclass(frozen=True)
class Target:
    """The data that a model is to be trained on.

    Attributes:
        table: table ``data`` of the recipe.
        data: examples for training, of which at least the first is there.
        notes: sentences about how the data were read, for the user.
    """

    table: Mapping[str, Any]
    data: DataSet
    notes: Sequence[str] = field(default_factory=tuple)

    @classmethod
    def registered(cls, name: str) -> Target:
        """Returns a registered data set as a target.

        Raises:
            UnknownNameError: there is no such data set.
        """
        return cls({"name": name}, datasets.load(name, n=64))

    @classmethod
    def own(cls, source: str | Path, how: Reading | None = None, held_out: float | None = None) -> Target:
        """Looks at a reader's own data.

        Args:
            source: path, or ``hf:ORG/SET@REVISION``.
            how: what is said about how they are read; nothing unless given.
            held_out: share of the examples for testing; a tenth unless given.

        Raises:
            DataError: they cannot be read.
        """
        share = sources.HELD_OUT if held_out is None else held_out
        found = sources.look(source, how)
        table = sources.table_of(source, found, fingerprint(source), share)
        return cls.found(found, table)

    @classmethod
    def found(cls, found: Found, table: Mapping[str, Any]) -> Target:
        """Returns what was found in a source as a target; its training split is read."""
        data = sources.divided(found, table["name"], "train", table.get("held_out", sources.HELD_OUT))
        return cls(table, data, tuple(found.notes))

    @property
    def name(self) -> str:
        """The name of the data."""
        return str(self.table["name"])

    @property
    def is_own(self) -> bool:
        """Whether the data are a reader's own."""
        return "reader" in self.table

    @property
    def encoding(self) -> Encoding | None:
        """The conversion of a table's columns, or of an array of points; ``None`` for other data."""
        reader = self.table.get("reader", {})
        return Encoding.of(reader["columns"], reader["kind"] == "table") if "columns" in reader else None

    @property
    def kind(self) -> str:
        """The kind of an example inside a model: a table is points there."""
        return "points" if self.encoding else self.data.sample_space.kind

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape of an example inside a model."""
        if self.encoding:
            return (self.encoding.width,)
        padded = self.table.get("reader", {}).get("padded")
        shape = self.data.sample_space.shape
        return (shape[0], *padded) if padded else shape

    @cached_property
    def missing(self) -> bool:
        """Whether some rows have missing cells."""
        if self.encoding is None:
            return False
        parts = torch.split(torch.arange(len(self.data)), 65536)
        return not all(bool(finite_rows(self.data.rows(part).x).all()) for part in parts)

    def examples(self, recipe: Mapping[str, Any]) -> DataSet:
        """Returns the examples that a recipe for this target trains on, which need not be read again.

        Args:
            recipe: recipe of :func:`zoo_core.training.choice.on_data`, which may leave out rows with missing cells.
        """
        drops = recipe["data"].get("missing") == "drop"
        return sources.complete_rows(self.data) if drops and self.missing else self.data

    def changes(self) -> dict[str, Any]:
        """Returns the keys of a recipe that name the data, for :func:`zoo_core.training.variants.changed`."""
        unset = dict.fromkeys(("classes", "n", "path", "sha256", "held_out", "reader", "missing"))
        return {f"data.{key}": value for key, value in {**unset, **self.table}.items()}

    def padded(self, multiple: int) -> Target | None:
        """Adds black to images so that their sides are multiples of a number; ``None`` where they are already."""
        if self.kind != "image" or not self.is_own:
            return None
        sides = [-(-int(side or 1) // multiple) * multiple for side in self.data.sample_space.shape[1:]]
        if sides == list(self.data.sample_space.shape[1:]):
            return None
        reader = {**self.table["reader"], "padded": sides}
        return replace(self, table={**self.table, "reader": reader})

    def without_missing(self) -> Target:
        """Leaves out the rows with missing cells."""
        return replace(self, table={**self.table, "missing": "drop"}, data=sources.complete_rows(self.data))
