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

    @cached_property
    def _plain(self) -> _Plain:
        """The columns that are one number inside a model, which are converted all at once."""
        kept = [
            (at, place.start, column)
            for at, (column, place) in enumerate(zip(self.columns, self.places, strict=True))
            if column.type in ("number", "integer", "date")
        ]
        columns = [column for _, _, column in kept]
        whole = torch.tensor([column.type != "number" for column in columns], dtype=torch.bool)
        digits = [0 if column.type != "number" else column.digits for column in columns]
        return _Plain(
            torch.tensor([at for at, _, _ in kept], dtype=torch.int64),
            torch.tensor([place for _, place, _ in kept], dtype=torch.int64),
            _numbers([column.mean for column in columns]),
            _numbers([column.std for column in columns]),
            _numbers([-torch.inf if column.low is None else column.low for column in columns]),
            _numbers([torch.inf if column.high is None else column.high for column in columns]),
            whole,
            _numbers([0.0 if digit is None else 10.0**digit for digit in digits]),
        )

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
        cells, plain = cells.double(), self._plain
        drawn = (noise.uniform(self.width).double() - 0.5) if noise is not None and self.draws else None
        out = cells.new_empty((len(cells), self.width))
        added = 0.0 if drawn is None else drawn[:, plain.place] * plain.whole
        out[:, plain.place] = (cells[:, plain.at] + added - plain.mean) / plain.std
        for column, place, values in zip(self.columns, self.places, cells.unbind(1), strict=True):
            if column.type == "category":
                hot = 2.0 * (values[:, None] == torch.arange(column.width)) - 1.0
                hot = hot if drawn is None else hot + drawn[:, place]
                out[:, place] = torch.where(values.isnan()[:, None], torch.nan, hot)
        return out.float()

    def decode(self, numbers: Tensor) -> Tensor:
        """Converts a model's numbers to cells: within the range that was seen, with its decimal places.

        Args:
            numbers: numbers ``(n, width)``; NaN for a missing cell.

        Returns:
            Cells ``(n, columns)`` in float64.
        """
        numbers, plain = numbers.double(), self._plain
        cells = numbers.new_empty((len(numbers), len(self.columns)))
        values = (numbers[:, plain.place] * plain.std + plain.mean).clamp(plain.low, plain.high)
        cells[:, plain.at] = torch.where(plain.scale > 0, (values * plain.scale).round() / plain.scale, values)
        for at, (column, place) in enumerate(zip(self.columns, self.places, strict=True)):
            if column.type == "constant":
                cells[:, at] = 0.0 if column.low is None else column.low
            elif column.type == "category":
                inside = numbers[:, place]
                codes = inside.nan_to_num(-torch.inf).argmax(1).double()
                cells[:, at] = torch.where(inside.isnan().any(1), torch.nan, codes)
        return cells


@dataclass(frozen=True)
class _Plain:
    """What converts the columns that are one number inside a model.

    Attributes:
        at, place: numbers of the columns, and of their numbers inside the model, int64 ``(k,)``.
        mean, std, low, high: values of the columns, ``(k,)`` in float64.
        whole: whether the values are whole numbers, which are dequantised, bool ``(k,)``.
        scale: ten to the power of the decimal places, ``(k,)``; 0 where all digits are kept.
    """

    at: Tensor
    place: Tensor
    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor
    whole: Tensor
    scale: Tensor


def _numbers(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
