"""Puts completed values into the text of a CSV file, in which every other character stays as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from zoo_core.datasets.reading import is_header
from zoo_core.errors import DataError
from zoo_core.interfaces import SampleSpace

__all__ = ["with_cells"]

_CELL = re.compile(r'("(?:[^"]|"")*"|(?!")[^,\r\n]*)(,|\r\n|\n|\r|$)')
"""A cell, with its quotation marks if it has them, and what ends it."""


@dataclass(frozen=True)
class _Cell:
    """A cell of a CSV file, and its place in the text."""

    text: str
    start: int
    end: int

    @property
    def value(self) -> str:
        """The contents without quotation marks."""
        if self.text.startswith('"') and self.text.endswith('"') and len(self.text) > 1:
            return self.text[1:-1].replace('""', '"')
        return self.text


def with_cells(original: str, completed: str, known: Tensor, space: SampleSpace) -> str:
    """Replaces the cells of a CSV file that are not known by those of another.

    Args:
        original: text of the file whose samples were completed, with or without a header.
        completed: text of a file of the completed samples, with a header.
        known: mask of the known values, bool ``(n, columns)``.
        space: sample space of the samples: points, or a table.

    Returns:
        The text of ``original`` with other contents of the unknown cells.

    Raises:
        DataError: the file has another number of samples than the mask.
    """
    rows = [row for row in _rows(original) if len(row) > 1 or row[0].text]
    header = rows.pop(0) if rows and is_header([cell.value for cell in rows[0]], missing=True) else None
    new_header, *new = _rows(completed)
    if len(rows) != len(known) or len(new) < len(known):
        raise DataError(f"the file has {len(rows)} rows of samples; expected {len(known)}")
    new_names = [cell.value for cell in new_header]
    names = [cell.value for cell in header] if header is not None and space.kind == "table" else new_names
    parts, place = [], 0
    for row, values, mask in zip(rows, new, known.tolist(), strict=False):
        by_name = dict(zip(new_names, values, strict=True))
        for j, cell in enumerate(row):
            if j < len(names) and names[j] in by_name and not mask[new_names.index(names[j])]:
                parts += [original[place : cell.start], by_name[names[j]].text]
                place = cell.end
    return "".join([*parts, original[place:]])


def _rows(text: str) -> Sequence[list[_Cell]]:
    """Separates a text into rows of cells."""
    rows: list[list[_Cell]] = [[]]
    start = 1 if text.startswith("\ufeff") else 0
    while True:
        found = _CELL.match(text, start)
        if found is None:  # something follows a closing quotation mark
            raise DataError(f"the cell {text[start : start + 40]!r} has a quotation mark within it; write it twice")
        rows[-1].append(_Cell(found[1], found.start(1), found.end(1)))
        start = found.end()
        if not found[2] or (found[2] != "," and start == len(text)):
            return rows
        if found[2] != ",":
            rows.append([])
