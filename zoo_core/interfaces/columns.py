"""Columns of a user's table, and the reversible conversion between their cells and the numbers that a model sees.

| column                | inside the model                                            | back                          |
|-----------------------|-------------------------------------------------------------|-------------------------------|
| ``number``            | (v − mean)/std                                              | clipped to the range, rounded |
| ``integer``, ``date`` | (v + u − mean)/std, u ~ U[−½, ½)                            | clipped, to nearest integer   |
| ``category`` of K     | K numbers: 1 at its place, else −1; plus u ~ U[−½, ½) each  | place of the greatest number  |
| ``constant``          | no number                                                   | the constant                  |

The noise u is drawn for models whose density is of real numbers, as grey levels are dequantised.  A missing cell is NaN
on both sides.  Dates are days since 1970-01-01, or seconds where the column has times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from zoo_core.randomness import Streams

__all__ = ["Column", "Encoding"]

_EPOCH = datetime(1970, 1, 1)

ColumnType = Literal["number", "integer", "category", "date", "constant"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: header of the column.
        type: ``"number"``, ``"integer"``, ``"category"`` (codes 0 … len(categories) − 1), ``"date"`` (days, or seconds
            where ``unit`` says so), or ``"constant"`` (one value, which is no number of a model).
        categories: names of the codes of a category; the one text of a constant that is no number.
        low, high: least and greatest value that were seen.
        mean, std: mean and standard deviation of the values that were seen.
        digits: number of decimal places of the values that were seen; ``None`` for more than a float32 has.
        unit: ``"s"`` for dates with times, which count seconds; ``"d"`` for dates, which count days.
    """

    name: str
    type: ColumnType = "number"
    categories: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    mean: float = 0.0
    std: float = 1.0
    digits: int | None = None
    unit: str = ""

    @property
    def width(self) -> int:
        """The number of numbers that stand for a cell inside a model."""
        return {"constant": 0, "category": len(self.categories)}.get(self.type, 1)

    def text(self, value: float) -> str:
        """Writes a cell as the user's files have it; an empty text for a missing one."""
        if math.isnan(value):
            return ""
        if self.type == "date":
            moment = _EPOCH + timedelta(**{"seconds" if self.unit == "s" else "days": value})
            return moment.isoformat(sep=" ") if self.unit == "s" else moment.date().isoformat()
        if self.categories:
            place = int(value) if value.is_integer() else -1
            return self.categories[place] if 0 <= place < len(self.categories) else f"{value:g}"
        if value.is_integer() and (self.type == "integer" or self.type == "constant"):
            return str(int(value))
        return f"{value:.{self.digits}f}" if self.digits is not None else repr(float(value))

    def number(self, text: Any) -> float:
        """Reads a cell as the user's files have it; the inverse of :meth:`text`.

        Raises:
            ValueError: the cell is not of the column's type.
        """
        if self.type == "date" and isinstance(text, str):
            passed = datetime.fromisoformat(text.strip()).replace(tzinfo=None) - _EPOCH
            return passed.total_seconds() if self.unit == "s" else passed / timedelta(days=1)
        if self.categories and text in self.categories:
            return float(self.categories.index(text))
        return float(text)

    def table(self) -> dict[str, Any]:
        """Returns the column as a table of plain values, without those that are absent."""
        values = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}
        unset = {"mean": 0.0, "std": 1.0}
        return {key: v for key, v in values.items() if v not in (None, "", []) and v != unset.get(key)}

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Column:
        """Reads a column from its table.

        Raises:
            TypeError: the table has an unknown key, or no name.
        """
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
        return cls(**values)


@dataclass(frozen=True)
class Encoding:
    """The reversible conversion between a user's columns and the numbers inside a model.

    Attributes:
        columns: columns, in the user's order.
        table: whether they are a table with named columns, as opposed to an array of points.
    """

    columns: tuple[Column, ...]
    table: bool = True

    @classmethod
    def of(cls, columns: Sequence[Mapping[str, Any]], table: bool = True) -> Encoding:
        """Reads an encoding from the tables of its columns."""
        return cls(tuple(Column.of(column) for column in columns), table)

    @property
    def width(self) -> int:
        """The number of numbers of one example inside a model."""
        return sum(column.width for column in self.columns)

    @cached_property
    def places(self) -> list[slice]:
        """The places of each column's numbers inside a model."""
        ends = [0]
        for column in self.columns:
            ends.append(ends[-1] + column.width)
        return [slice(start, stop) for start, stop in pairwise(ends)]

    @property
    def log_volume(self) -> float:
        """The log of the user's units per unit inside a model, summed over the columns of numbers."""
        return sum(math.log(column.std) for column in self.columns if column.width == 1)

    @property
    def draws(self) -> bool:
        """Whether some column is dequantised by noise."""
        return any(column.type in ("integer", "category", "date") for column in self.columns)

    def inside(self, mask: Tensor) -> Tensor:
        """Repeats a mask of cells, ``(n, columns)``, for the numbers that stand for each, ``(n, width)``."""
        widths = torch.tensor([column.width for column in self.columns], device=mask.device)
        return mask.repeat_interleave(widths, 1)

    def encode(self, cells: Tensor, noise: Streams | None = None) -> Tensor:
        """Converts cells to the numbers inside a model.

        Args:
            cells: numbers and codes, ``(n, columns)``, NaN where a cell is missing.
            noise: random streams to dequantise with, one per row; without them nothing is added.

        Returns:
            Numbers ``(n, width)`` in float32.
        """
        cells = cells.double()
        drawn = (noise.uniform(self.width).double() - 0.5) if noise is not None and self.draws else None
        out = cells.new_empty((len(cells), self.width))
        for column, place, values in zip(self.columns, self.places, cells.unbind(1), strict=True):
            added = 0.0 if drawn is None else drawn[:, place]
            if column.type == "category":
                hot = 2.0 * (values[:, None] == torch.arange(column.width)) - 1.0
                out[:, place] = torch.where(values.isnan()[:, None], torch.nan, hot + added)
            elif column.type != "constant":
                whole = column.type in ("integer", "date")
                out[:, place] = (values[:, None] + (added if whole else 0.0) - column.mean) / column.std
        return out.float()

    def decode(self, numbers: Tensor) -> Tensor:
        """Converts a model's numbers to cells: within the range that was seen, with its decimal places.

        Args:
            numbers: numbers ``(n, width)``; NaN for a missing cell.

        Returns:
            Cells ``(n, columns)`` in float64.
        """
        numbers = numbers.double()
        cells = []
        for column, place in zip(self.columns, self.places, strict=True):
            inside = numbers[:, place]
            if column.type == "constant":
                cells.append(inside.new_full((len(inside),), column.low if column.low is not None else 0.0))
                continue
            if column.type == "category":
                codes = inside.nan_to_num(-torch.inf).argmax(1).double()
                cells.append(torch.where(inside.isnan().any(1), torch.nan, codes))
                continue
            values = (inside.squeeze(1) * column.std + column.mean).clamp(column.low, column.high)
            whole = column.type in ("integer", "date")
            cells.append(
                values.round(decimals=0 if whole else column.digits or 0)
                if whole or column.digits is not None
                else values
            )
        return torch.stack(cells, 1)
