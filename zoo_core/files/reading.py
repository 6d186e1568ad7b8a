"""Reads untrusted files: only regular files, only inside their folder, and each byte once.  Imports no torch."""

from __future__ import annotations

import stat
from pathlib import Path

from zoo_core.errors import WeightsError

__all__ = ["expanded", "git_hash", "inside", "read"]

CHUNK = 1 << 20
"""Number of bytes that are read at once."""


def expanded(folder: str) -> Path:
    """Returns the path of a folder, with ``~`` replaced by the user's home folder.

    Raises:
        WeightsError: the name begins with ``~`` and a user that does not exist.
    """
    try:
        return Path(folder).expanduser()
    except (RuntimeError, ValueError) as err:  # "~nobody", and "~\0"
        raise WeightsError(f"no folder {_shown(folder)}: {err}") from err


def inside(folder: Path, file: str) -> Path:
    """Checks that a file is a regular file inside a folder, and returns its path.

    Raises:
        WeightsError: the file does not exist, leads out of the folder, or is not a regular file.
    """
    path = folder / file
    try:
        resolved, home = path.resolve(strict=True), folder.resolve(strict=True)
        regular = stat.S_ISREG(resolved.stat().st_mode)
    except (OSError, ValueError, RuntimeError) as err:
        raise WeightsError(f"no file {file!r} in {_shown(folder)}") from err
    if home not in resolved.parents:
        raise WeightsError(f"{file!r} leads out of {_shown(folder)}; refused")
    if not regular:
        raise WeightsError(f"{_shown(path)} is not a regular file; refused")
    return path


def read(path: Path, size: int) -> tuple[bytearray, str]:
    """Reads the first ``size`` bytes of a file once; returns them and their SHA-256 hash.

    Raises:
        OSError: the file cannot be read.
        WeightsError: the bytes do not fit into memory, or the file became shorter meanwhile.
    """
    import hashlib  # imported here because listings import this module, and OpenSSL takes milliseconds to start

    try:
        content = bytearray(size)
    except (MemoryError, OverflowError) as err:
        raise WeightsError(f"{path} has {size:,} bytes, more than this machine's memory") from err
    digest, view = hashlib.sha256(), memoryview(content)
    with open(path, "rb") as file:
        for start in range(0, size, CHUNK):
            part = view[start : start + CHUNK]
            if file.readinto(part) != len(part):
                raise WeightsError(f"{path} became shorter while it was read; try again")
            digest.update(part)
    return content, digest.hexdigest()


def git_hash(content: bytes | bytearray) -> str:
    """Returns git's hash of a file, which is the Hub's name for files that are not large."""
    import hashlib

    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _shown(path: Path | str) -> str:
    """Shortens a path for a message of one line."""
    text = str(path) if str(path).isprintable() else repr(str(path))
    return text if len(text) <= 300 else f"{text[:300]}…"
