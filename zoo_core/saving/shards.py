"""Divides a long run into parts of a fixed size, and the parts among shards; keeps what is finished.

A part is a file.  Parts begin at multiples of their size, counted from sample 0, and each is drawn by itself in batches
of a fixed size.  So the bytes of a part depend on the run, and not on how many shards there are or who draws it.

A shard writes a line into its journal when a part is finished, and its manifest when all are.  When the manifests of
all shards are there, they are merged into one, which does not depend on the number of shards.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from zoo_core.errors import DataError, IncompatibleError
from zoo_core.saving.manifest import NAME, File, Manifest, sorted_files
from zoo_core.saving.provenance import Provenance

__all__ = ["Part", "Shard", "check_folder", "merge", "merge_all", "parts_of"]


@dataclass(frozen=True)
class Part:
    """A run of samples that are written to one file.

    Attributes:
        number: number of the part: index of its first sample, divided by the size of a part and rounded down.
        first: index of its first sample.
        n: number of its samples.
        file: name of its file.
    """

    number: int
    first: int
    n: int
    file: str


def parts_of(made: Provenance, size: int) -> list[Part]:
    """Divides a run into parts.

    Args:
        made: how the run is made; ``made.format`` is the suffix of the files.
        size: number of samples in a part; the first and the last may have fewer.
    """
    start, stop = made.first, made.first + made.n
    last = (stop - 1) // size
    digits = max(5, len(str(last)))
    return [
        Part(k, max(start, k * size), min(stop, (k + 1) * size) - max(start, k * size),
             f"part-{k:0{digits}d}{made.format}")
        for k in range(start // size, last + 1)
    ]  # fmt: skip


class Shard:
    """One shard of a run, and what of it is finished.

    Args:
        folder: folder of the run, which is made if it is not there.
        run: manifest of the whole run without files.
        number: number of the shard, 1 … of.
        of: number of all shards.

    Raises:
        IncompatibleError: the folder has files of another run.
    """

    def __init__(self, folder: Path, run: Manifest, number: int, of: int) -> None:
        assert run.part is not None
        self.folder, self.run, self.number, self.of = folder, run, number, of
        every = parts_of(run.made, run.part)
        self.parts = every[len(every) * (number - 1) // of : len(every) * number // of]
        folder.mkdir(exist_ok=True)
        known = {one.file: one for one in check_folder(folder, run)}
        self.finished = {part.file: known[part.file] for part in self.parts if part.file in known}
        if self.journal.exists() and _journal(self.journal) is None:  # killed before its first line was written
            self.journal.unlink()

    @property
    def manifest(self) -> Path:
        """The path of the shard's manifest."""
        return self.folder / f"manifest-{_of(self.number, self.of)}.json"

    @property
    def journal(self) -> Path:
        """The path of the shard's journal."""
        return self.folder / f".journal-{_of(self.number, self.of)}.jsonl"

    def is_whole(self, part: Part) -> bool:
        """Says whether a part is finished, and its file is still the one that was written."""
        return part.file in self.finished and self.finished[part.file].problem(self.folder) is None

    def finish(self, file: File) -> None:
        """Remembers that a part is finished."""
        self.finished[file.file] = file
        begun = self.journal.exists()
        with open(self.journal, "a", encoding="ascii") as journal:
            if not begun:
                journal.write(json.dumps(json.loads(self.run.text())))
            # A line begins with its own line break, so that one which was cut short does not spoil the next.
            journal.write(f"\n{json.dumps(file.table())}\n")
            journal.flush()
            os.fsync(journal.fileno())

    def close(self) -> tuple[Manifest, Manifest | None]:
        """Writes the manifest of the shard, and that of the run if all shards have theirs; returns both."""
        files = sorted_files(self.finished[part.file] for part in self.parts)
        mine = replace(self.run, files=files, shard=(self.number, self.of))
        mine.write(self.manifest)
        self.journal.unlink(missing_ok=True)
        for part in self.parts:
            for left in self.folder.glob(f".*.{part.file}"):  # of processes that were killed while they wrote
                left.unlink(missing_ok=True)
        return mine, merge(self.folder, self.of)


def merge(folder: Path, of: int) -> Manifest | None:
    """Writes the manifest of a run when the manifests of all its shards are there; ``None`` if some are missing.

    Raises:
        DataError: the manifests are of different runs.
    """
    paths = [folder / f"manifest-{_of(number, of)}.json" for number in range(1, of + 1)]
    if not all(path.is_file() for path in paths):
        return None
    shards = [Manifest.read(path) for path in paths]
    for path, shard in zip(paths, shards, strict=True):
        if not shard.same_run(shards[0]):
            raise DataError(f"{path} and {paths[0]} are of different runs: {_difference(shard, shards[0])}")
    whole = replace(shards[0], files=sorted_files(file for shard in shards for file in shard.files), shard=None)
    at = whole.made.first
    for file in whole.files:
        if file.first != at:
            raise DataError(f"{folder} has samples up to {at - 1}, and the next file begins with {file.first}")
        at += file.n
    if at != whole.made.first + whole.made.n:
        raise DataError(f"{folder} has samples up to {at - 1} of {whole.made.first + whole.made.n}")
    whole.write(folder / NAME)
    return whole


def merge_all(folder: Path) -> Manifest | None:
    """Writes the manifest of a run whose shards were brought together in a folder; ``None`` if it was in no shards.

    Raises:
        DataError: a shard is missing, or shards are of different runs.
    """
    names = [path.name for path in sorted(folder.glob("manifest-*-of-*.json"))]
    counts = sorted({int(found[1]) for name in names if (found := re.fullmatch(r"manifest-\d+-of-(\d+)\.json", name))})
    for of in counts:
        if (whole := merge(folder, of)) is not None:
            return whole
    if not counts or (folder / NAME).is_file():
        return None
    of = counts[-1]
    missing = [f"{k}" for k in range(1, of + 1) if f"manifest-{_of(k, of)}.json" not in names]
    raise DataError(f"{folder} lacks {len(missing)} of {of} shards: {', '.join(missing[:10])}; draw them with --shard")


def check_folder(folder: Path, run: Manifest) -> Iterator[File]:
    """Yields the files of a run that earlier shards of it finished.

    Raises:
        IncompatibleError: the folder has files of another run.
    """
    for path in sorted([*folder.glob("manifest*.json"), *folder.glob(".journal-*.jsonl")]):
        found = _journal(path) if path.suffix == ".jsonl" else Manifest.read(path)
        if found is None:
            continue
        if not found.same_run(run):
            raise IncompatibleError(
                f"{folder} has another run, with {_difference(found, run)}; choose another folder, or delete this one"
            )
        yield from found.files


def _journal(path: Path) -> Manifest | None:
    """Reads a journal; ``None`` if its first line was not finished.  Lines that were cut short are left out."""
    rows = []
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    if not rows or "made" not in rows[0]:
        return None
    head = Provenance.of(json.dumps(rows[0]["made"]), str(path))
    files = tuple(File.of(row, f"{path}: a line") for row in rows[1:] if "file" in row)
    return Manifest(head, files, rows[0].get("part"), rows[0].get("batch"))


def _difference(one: Manifest, other: Manifest) -> str:
    """Names the first thing in which two runs differ, with both values."""
    mine, theirs = ({**each.made.table(), "part": each.part, "batch": each.batch} for each in (one, other))
    key = next(key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key))
    return f"{key} = {str(mine.get(key))[:200]} in place of {str(theirs.get(key))[:200]}"


def _of(number: int, of: int) -> str:
    digits = max(3, len(str(of)))
    return f"{number:0{digits}d}-of-{of:0{digits}d}"
