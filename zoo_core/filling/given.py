"""Reads the files whose samples are completed, and writes what was completed of each."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from zoo_core.datasets.reading import read_samples
from zoo_core.errors import DataError
from zoo_core.files.notes import write_noted
from zoo_core.filling.cells import with_cells
from zoo_core.filling.masks import known_part, lengthened
from zoo_core.interfaces import SampleSpace, Values
from zoo_core.interfaces.values import cat
from zoo_core.saving.manifest import File
from zoo_core.saving.provenance import Provenance
from zoo_core.saving.samples import file_row, save_result, save_samples

__all__ = ["Given"]


@dataclass(frozen=True)
class Given:
    """Samples of several files, and what is known of them.

    Attributes:
        files: paths of the files.
        counts: number of samples in each file.
        x: samples of all files, ``(n, *space.shape)``.
        known: mask of what is known, bool, of the shape of the (padded) numbers of ``x``.
        space: sample space of the samples, in the user's range.
    """

    files: tuple[str, ...]
    counts: tuple[int, ...]
    x: Values
    known: Tensor
    space: SampleSpace

    @classmethod
    def read(
        cls, files: Sequence[str], space: SampleSpace, *, mask: str | None = None, length: int | None = None
    ) -> Given:
        """Reads files.

        Args:
            files: paths of the files.
            space: sample space of the samples, in the user's range.
            mask: part of every sample that is known (:func:`zoo_core.filling.masks.mask_of`).
            length: length to which samples of any length are continued.

        Raises:
            DataError: a file is damaged, or has samples of another kind.
            IncompatibleError: the mask or the length does not fit the samples.
        """
        read = [read_samples(file, space, missing=True) for file in files]
        x = cat(read)
        known = known_part(x, mask, space)
        if length is not None:
            short, (x, known) = known, lengthened(x, length)
            if mask is not None:
                known.narrow(x.axis, 0, short.shape[x.axis]).logical_and_(short)
        return cls(tuple(files), tuple(map(len, read)), x, known, space)

    @property
    def parts(self) -> list[slice]:
        """The samples of each file."""
        stops = [sum(self.counts[: i + 1]) for i in range(len(self.counts))]
        return [slice(stop - count, stop) for stop, count in zip(stops, self.counts, strict=True)]

    def part_of(self, first: int, n: int, name: str) -> tuple[int, slice]:
        """Finds the file whose samples a result has.

        Args:
            first: index of the first sample of the result, among those of all files that were filled together.
            n: number of its samples.
            name: name of the result in messages.

        Returns:
            The index of the first sample of :attr:`x` among those that were filled together, and the place of the
            result's samples in :attr:`x`.

        Raises:
            DataError: the files have no such samples.
        """
        if n == sum(self.counts):
            return first, slice(0, n)
        for part in self.parts:
            if part == slice(first, first + n):
                return 0, part
        raise DataError(f"{name} was made from samples {first} … {first + n - 1}, which no file of {self.files} has")

    def save(self, completed: Values, part: slice, target: Path, made: Provenance | None = None) -> File:
        """Writes completed samples, into the text of their file where both are CSV files of points or of a table.

        Args:
            completed: samples of the part, completed.
            part: place of the samples in :attr:`x`, those of one file.
            target: path of the file that is written.
            made: how it was made.
        """
        source = Path(self.files[self.parts.index(part)]) if part in self.parts else Path()
        both = target.suffix.lower() == source.suffix.lower() == ".csv"
        if not both or self.space.kind not in ("points", "table"):
            return save_result(completed, target, self.space, made)
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "completed.csv"
            save_samples(completed, str(plain), self.space)
            original = source.read_bytes().decode("utf-8")
            text = with_cells(original, plain.read_text(encoding="utf-8"), self.known[part].flatten(1), self.space)
        note = "" if made is None else made.at(target.suffix).text()
        return file_row(target, write_noted(target, text.encode("utf-8"), note), completed, made)
