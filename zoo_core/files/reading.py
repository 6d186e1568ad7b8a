"""Reads files of which nothing is known yet: only regular ones, only inside their folder, and each byte once.

Imports no torch.
"""

from __future__ import annotations

import stat
from pathlib import Path

from zoo_core.errors import WeightsError

__all__ = ["expanded", "git_hash", "inside", "read"]

CHUNK = 1 << 20
"""Bytes that are read at once."""


def expanded(folder: str) -> Path:
    """The folder of that name; ``~`` is the user's own.

    Raises:
        WeightsError: there is no such user.
    """
    try:
        return Path(folder).expanduser()
    except (RuntimeError, ValueError) as err:  # "~nobody", and "~\0"
        raise WeightsError(f"no folder {_shown(folder)}: {err}") from err


def inside(folder: Path, file: str) -> Path:
    """``folder/file``, once it is sure that it is a regular file that lies there.

    Raises:
        WeightsError: it is not there, leads out of the folder, or is no regular file.
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
    """The first ``size`` bytes of a file and their SHA-256, read once.

    Raises:
        OSError: it cannot be read.
        WeightsError: it does not fit into memory.
    """
    import hashlib  # OpenSSL takes milliseconds to start, and listings import this module

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
    """What git calls a file of this content: the Hub's name for files that are no large ones."""
    import hashlib

    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _shown(path: Path | str) -> str:
    """A path in a message: on one line, of bounded length."""
    text = str(path) if str(path).isprintable() else repr(str(path))
    return text if len(text) <= 300 else f"{text[:300]}…"
