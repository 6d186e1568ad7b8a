"""Compares a file with one that should be the same: byte by byte, and where bytes differ value by value."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence
from torch import Tensor

from zoo_core.coding import read_codes
from zoo_core.datasets.reading import read_samples
from zoo_core.errors import ZooError
from zoo_core.files.formats import PICTURES
from zoo_core.interfaces import Ragged, SampleSpace, Values

__all__ = [
    "ROUNDING", "Difference", "between_cells", "between_files", "between_pictures", "between_samples", "cells",
    "samples_in",
]  # fmt: skip

ROUNDING = 1e-4
"""Greatest difference that is called rounding, relative to the largest value, or to 1.

Arithmetic in another order, as on other devices and with other batch sizes, differs by less; the conformance kit holds
every family to it.
"""

_TEXTS = (".csv", ".json", ".txt")

_IMAGES = ("PNG", "JPEG", "WEBP", "GIF")


@dataclass(frozen=True)
class Difference:
    """How two files, or their samples, differ.

    Attributes:
        same_bytes: whether the files are equal byte by byte.
        greatest: greatest difference of two values; 0 where all are equal, ``None`` where values cannot be compared.
        differing: number of values that differ.
        of: number of all values.
        levels: whether values are levels of pixels, 0 … 255.
        scale: largest value.
    """

    same_bytes: bool = False
    greatest: float | None = None
    differing: int = 0
    of: int = 0
    levels: bool = False
    scale: float = 1.0

    @property
    def same(self) -> bool:
        """Whether all values are equal to the bit."""
        return self.same_bytes or self.greatest == 0

    @property
    def is_rounding(self) -> bool:
        """Whether the difference is not larger than that of arithmetic in another order; for pixels one level."""
        most = 1.0 if self.levels else ROUNDING * max(1.0, self.scale)
        return self.greatest is not None and self.greatest <= most

    def words(self) -> str:
        """Describes the difference for a message."""
        if self.same:
            return "the same to the bit"
        if self.greatest is None:
            return "of another shape, or of values that cannot be compared"
        if self.levels:
            far = f"by up to {self.greatest:.0f} of 255 levels"
            return f"{self.differing:,} of {self.of:,} pixel values differ, {far}"
        rounding = ", which is rounding" if self.is_rounding else ""
        return f"{self.differing:,} of {self.of:,} numbers differ, by up to {self.greatest:.2g}{rounding}"


def between_files(one: Path, other: Path, space: SampleSpace | None) -> Difference:
    """Compares two files of one format; the first is untrusted.

    Args:
        one: path of the file that was there.
        other: path of the file that was made again.
        space: sample space of the samples; ``None`` for files of codes.
    """
    if one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes():
        return Difference(same_bytes=True)
    if one.stat().st_size > 2 * other.stat().st_size + 1_000_000:  # no more is read of it than could be equal
        return Difference()
    if one.suffix.lower() in (*PICTURES, ".gif"):
        try:
            return _between_images(one, other)
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
            return Difference()
    if one.suffix.lower() in _TEXTS:
        return between_cells(cells(one), cells(other))
    there, here = samples_in(one, space), samples_in(other, space)
    return Difference() if there is None or here is None else between_samples(there, here)


def samples_in(path: Path, space: SampleSpace | None) -> Values | None:
    """Reads samples from a file, or codes where there is no space.

    The answer is ``None`` for a damaged file, and for one that takes more memory than its size says.
    """
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                if sum(member.file_size for member in archive.infolist()) > 2 * path.stat().st_size:
                    return None
        return read_codes(str(path)) if space is None else read_samples(str(path), space)
    except (ZooError, OSError, zipfile.BadZipFile):  # also samples of another space, and those that are not finite
        return None


def cells(path: Path) -> list[list[float | str]] | None:
    """Reads the rows of a table, the samples of a list, or the lines of a text, each as numbers and words in a row.

    Numbers keep all their digits.  The answer is ``None`` for a file that is none of these.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".json":
            return [list(_flat(sample)) for sample in json.loads(text)]
        rows = csv.reader(io.StringIO(text)) if path.suffix.lower() == ".csv" else map(str.split, text.splitlines())
        return [[_number(cell) for cell in row] for row in rows]
    except (OSError, ValueError, TypeError, RecursionError, csv.Error):
        return None


def between_cells(one: list[list[float | str]] | None, other: list[list[float | str]] | None) -> Difference:
    """Compares rows of numbers and words; words must be equal."""
    if one is None or other is None or [len(row) for row in one] != [len(row) for row in other]:
        return Difference()
    pairs = [pair for a, b in zip(one, other, strict=True) for pair in zip(a, b, strict=True)]
    numbers = [(a, b) for a, b in pairs if isinstance(a, float) and isinstance(b, float)]
    if any(a != b for a, b in pairs if isinstance(a, str) or isinstance(b, str)):
        return Difference()
    table = np.array(numbers, np.float64).reshape(-1, 2)
    return _of(table[:, 0], table[:, 1], levels=False)


def _flat(value: Any) -> Iterator[float | str]:
    if isinstance(value, dict):
        value = [item for pair in value.items() for item in pair]
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    else:
        yield float(value) if isinstance(value, (int, float)) else str(value)


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell.strip()


def between_samples(one: Values, other: Values) -> Difference:
    """Compares samples value by value; padding is not compared."""
    if isinstance(one, Ragged) or isinstance(other, Ragged):
        rows = list(zip(one, other, strict=False))
        if len(one) != len(other) or any(a.shape != b.shape for a, b in rows):
            return Difference()
        return _total([_between(a, b) for a, b in rows])
    return _between(one, other) if one.shape == other.shape else Difference()


def between_pictures(one: Image.Image, other: Image.Image) -> Difference:
    """Compares the pixels of two pictures."""
    if one.size != other.size:
        return Difference()
    if one.mode != other.mode:
        one, other = one.convert("RGB"), other.convert("RGB")
    return _of(np.asarray(one, np.float64), np.asarray(other, np.float64), levels=True)


def _between_images(one: Path, other: Path) -> Difference:
    with Image.open(one, formats=_IMAGES) as a, Image.open(other, formats=_IMAGES) as b:
        if a.size != b.size or getattr(a, "n_frames", 1) != getattr(b, "n_frames", 1):
            return Difference()
        frames = zip(ImageSequence.Iterator(a), ImageSequence.Iterator(b), strict=True)
        return _total([between_pictures(x.copy(), y.copy()) for x, y in frames])


def _between(one: Tensor, other: Tensor) -> Difference:
    return _of(one.double().numpy(), other.double().numpy(), levels=False)


def _of(one: np.ndarray, other: np.ndarray, levels: bool) -> Difference:
    differ = ~((one == other) | (np.isnan(one) & np.isnan(other)))
    with np.errstate(invalid="ignore"):
        apart = np.abs(one - other)[differ]
    greatest = float(np.nan_to_num(apart, nan=np.inf).max()) if apart.size else 0.0
    finite = np.abs(other[np.isfinite(other)])
    return Difference(False, greatest, int(differ.sum()), one.size, levels, float(finite.max(initial=0.0)))


def _total(parts: list[Difference]) -> Difference:
    """Adds up the differences of several pairs."""
    if any(part.greatest is None for part in parts):
        return Difference()
    return Difference(
        all(part.same_bytes for part in parts) and bool(parts),
        max((part.greatest or 0.0 for part in parts), default=0.0),
        sum(part.differing for part in parts),
        sum(part.of for part in parts),
        any(part.levels for part in parts),
        max((part.scale for part in parts), default=1.0),
    )
