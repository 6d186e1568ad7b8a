"""Lists the files that one run wrote into a folder, with their hashes and the samples that each of them has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zoo_core.errors import DataError, IncompatibleError, ZooError
from zoo_core.files.folders import write_whole
from zoo_core.files.notes import file_sha256
from zoo_core.registry.keys import Key, table_problems
from zoo_core.saving.provenance import Provenance

__all__ = ["NAME", "File", "Manifest", "check_free", "sorted_files"]

NAME = "manifest.json"
LARGEST = 1 << 28
"""Size of the largest manifest that is read, in bytes; it has a million files."""

_FILE = {
    "file": Key(str, "name of the file", True, r"(?!\.)[^/\\\x00-\x1f\x7f]{1,255}", "a plain file name"),
    "first": Key(int, "index of its first sample", True),
    "n": Key(int, "number of its samples", True),
    "sha256": Key(str, "SHA-256 hash of the file", True, r"[0-9a-f]{64}", "64 hex digits"),
    "size": Key(int, "size of the file in bytes", True),
    "not_finite": Key(int, "number of its samples that are not finite [0]"),
    "completion": Key(int, "number of the completion that it has [0]"),
}


@dataclass(frozen=True)
class File:
    """A file of a run.

    Attributes:
        file: name of the file.
        first: index of its first sample.
        n: number of its samples.
        sha256: SHA-256 hash of the file.
        size: size of the file in bytes.
        not_finite: number of its samples that have numbers which are not finite.
        completion: number of the completion that it has, of samples that were completed several times.
    """

    file: str
    first: int
    n: int
    sha256: str
    size: int
    not_finite: int = 0
    completion: int = 0

    def table(self) -> dict[str, Any]:
        """Returns the fields as JSON values, without a zero for ``not_finite`` and ``completion``."""
        return {key: value for key, value in asdict(self).items() if key not in ("not_finite", "completion") or value}

    @classmethod
    def of(cls, table: Any, where: str) -> File:
        """Reads a row of a manifest.

        Raises:
            DataError: the row is damaged.
        """
        found = "expected a table" if not isinstance(table, dict) else next(table_problems(table, _FILE, ""), None)
        if found:
            raise DataError(f"{where} is damaged: {': '.join(found) if isinstance(found, tuple) else found}")
        return cls(**{key: table[key] for key in _FILE if key in table})

    def problem(self, folder: Path) -> str | None:
        """Says what is wrong with the file in a folder; ``None`` if it is the one that was written."""
        path = folder / self.file
        try:
            if path.stat().st_size != self.size:
                return f"{self.file} has {path.stat().st_size:,} bytes, expected {self.size:,}"
            found = file_sha256(path)
        except OSError:
            return f"{self.file} is missing"
        return None if found == self.sha256 else f"{self.file} has sha256 {found}, expected {self.sha256}"


@dataclass(frozen=True)
class Manifest:
    """The files of a run, or of one shard of it.

    Attributes:
        made: how the samples of the whole run are made.
        files: files, in the order of their names.
        part: number of samples in a file, for a run in parts; the files begin at multiples of it.
        batch: number of samples that are drawn at once, for a run in parts.
        shard: number of the shard and number of all shards; ``None`` for a whole run.
    """

    made: Provenance
    files: tuple[File, ...]
    part: int | None = None
    batch: int | None = None
    shard: tuple[int, int] | None = None

    @property
    def sha256(self) -> str:
        """The hash of the list of hashes: what ``sha256sum FILES | sha256sum`` prints for the files in this order."""
        return hashlib.sha256("".join(f"{f.sha256}  {f.file}\n" for f in self.files).encode()).hexdigest()

    def same_run(self, other: Manifest) -> bool:
        """Says whether two manifests are of one run, though maybe of different shards of it."""
        return (self.made, self.part, self.batch) == (other.made, other.part, other.batch)

    def text(self) -> str:
        """Writes the manifest as JSON, a line for each file."""
        head = {"made": self.made.table(), "part": self.part, "batch": self.batch, "shard": self.shard}
        lines = [f'"{key}": {json.dumps(value)}' for key, value in head.items() if value is not None]
        files = ",\n".join(f"  {json.dumps(one.table())}" for one in self.files)
        lines += [f'"files": [\n{files}\n]' if files else '"files": []', f'"sha256": "{self.sha256}"']
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def write(self, path: Path) -> None:
        """Writes the manifest in one step."""
        text = self.text()
        write_whole(path, lambda to: to.write_text(text, encoding="ascii"))

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Reads a manifest, which a stranger may have written.

        Raises:
            DataError: it is no manifest, or damaged.
        """
        try:
            if path.stat().st_size > LARGEST:
                raise DataError(f"{path} has {path.stat().st_size:,} bytes; a manifest has at most {LARGEST:,}")
            table = json.loads(path.read_text(encoding="utf-8"))
            made = Provenance.of(json.dumps(table["made"]), str(path))
            files = tuple(File.of(row, f"{path}: a row") for row in table["files"])
            part, batch, shard = table.get("part"), table.get("batch"), table.get("shard")
            if not all(one is None or (type(one) is int and one > 0) for one in (part, batch, *(shard or ()))):
                raise DataError(f"{path} is damaged: part, batch and shard are no positive integers")
            if not all(one.n >= 1 and one.first in made.run and one.first + one.n <= made.run.stop for one in files):
                raise DataError(f"{path} is damaged: a file has samples that are not of its run")
            read = cls(made, files, part, batch, None if shard is None else (shard[0], shard[1]))
        except (OSError, ValueError, RecursionError, KeyError, TypeError, IndexError, AttributeError) as err:
            reason = " ".join(str(err).split())[:80] or type(err).__name__
            raise DataError(f"{path} cannot be read as a manifest: {type(err).__name__}: {reason}") from err
        if table.get("sha256") != read.sha256:
            raise DataError(f"{path} is damaged: its sha256 is not that of its list of files")
        return read


def check_free(folder: Path, verb: str) -> None:
    """Refuses a folder whose list of files would be replaced by that of another verb, before any work.

    Raises:
        IncompatibleError: its manifest is another verb's, or is none.
    """
    if not (folder / NAME).exists():
        return
    try:
        found = Manifest.read(folder / NAME).made.verb
        what = f"lists what zoo {found} wrote"
    except ZooError:
        found, what = None, "is no list of the zoo's"
    if found != verb:
        raise IncompatibleError(f"{folder / NAME} {what}, and would be replaced; use another folder, or --no-note")


def sorted_files(files: Iterable[File]) -> tuple[File, ...]:
    """Sorts files by name, each once."""
    return tuple(sorted({one.file: one for one in files}.values(), key=lambda one: one.file))
