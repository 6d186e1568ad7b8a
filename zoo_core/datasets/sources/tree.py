"""Lists and opens the files of a user's folder or zip archive, and refuses what leads out of it or swells in memory."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from zoo_core.errors import DataError

__all__ = ["Files", "Tree"]

MOST = 8 * 2**30
"""Greatest size of an archive's contents, in bytes."""
SWELLING = 200
"""Greatest ratio of an archive's contents to the archive, for contents of more than 64 MB."""
_SMALL = 64 * 2**20


class Files(Protocol):
    """Files by their names: a folder, an archive, or a column of pictures."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def open(self, name: str) -> IO[bytes]:
        """Opens a file for reading."""

    def path(self, name: str) -> str:
        """Returns the path of a file for a message."""


@dataclass(frozen=True)
class Tree:
    """The files of a folder or zip archive, by their names relative to it.

    Attributes:
        root: folder or archive.
        names: names of the files in order, with ``/`` between folders; hidden files are left out.
        zipped: whether the root is an archive.
    """

    root: Path
    names: tuple[str, ...]
    zipped: bool

    @classmethod
    def of(cls, root: Path) -> Tree:
        """Lists a folder, or a zip archive without unpacking it.

        Raises:
            DataError: it is no archive, leads out of the folder, or its contents are too large.
        """
        if root.is_dir():
            return cls(root, tuple(sorted(_walk(root))), False)
        try:
            with zipfile.ZipFile(root) as archive:
                _check(root, archive.infolist())
                names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
        except zipfile.BadZipFile as err:
            raise DataError(f"{root} is not a whole zip archive ({err}); pack or fetch it again") from err
        return cls(root, tuple(name for name in names if not _hidden(name)), True)

    def open(self, name: str) -> IO[bytes]:
        """Opens a file for reading."""
        if not self.zipped:
            return (self.root / name).open("rb")
        with zipfile.ZipFile(self.root) as archive:
            return io.BytesIO(archive.read(name))

    def path(self, name: str) -> str:
        """Returns the path of a file for a message."""
        return f"{self.root}/{name}"


def _walk(root: Path) -> Iterator[str]:
    inside = root.resolve()
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in (*folders, *files):
            place = Path(folder) / name
            if place.is_symlink() and inside not in place.resolve().parents:
                raise DataError(f"{place} is a link out of {root}; copy the file into the folder, or remove the link")
        yield from ((Path(folder) / name).relative_to(root).as_posix() for name in files if not name.startswith("."))


def _hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or any(part.startswith(".") for part in parts)


def _check(root: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Refuses an archive with paths that lead out of it, with encrypted files, or with contents that swell."""
    for info in infos:
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in info.filename.split("/")[0]:
            raise DataError(f"{root} has a file {info.filename[:80]!r}, whose path leads out of the archive; refused")
        if info.flag_bits & 1:
            raise DataError(f"{root} is encrypted; unpack it, and name the folder")
    size, packed = sum(info.file_size for info in infos), max(sum(info.compress_size for info in infos), 1)
    if size > MOST:
        raise DataError(
            f"{root} holds {size / 2**30:.1f} GiB, more than {MOST // 2**30}; unpack it, and name the folder"
        )
    if size > _SMALL and size > SWELLING * packed:
        raise DataError(
            f"{root} swells from {packed / 2**20:.1f} to {size / 2**20:.0f} MiB, {size // packed} times; expected at "
            f"most {SWELLING} times; unpack it, and name the folder, if you trust it"
        )
