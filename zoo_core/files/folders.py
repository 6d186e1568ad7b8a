"""Writes files and folders so that they appear complete or not at all, and replaces others in one step.

Snapshots and checkpoints are written this way: if the process is killed at any moment, either the old folder or the new
one is there, and it is complete.  This module imports no torch.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from zoo_core.errors import ZooError

__all__ = ["remove_folder", "whole_folder", "write_folder", "write_whole"]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file in one step: to a temporary file of the same suffix, which is then moved to ``path``.

    Args:
        path: path of the file; an existing file is replaced.
        write: function that writes the file to the path that it is given.

    Raises:
        OSError: the file cannot be written; an existing file is not changed.
    """
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_folder(place: Path, files: Mapping[str, bytes]) -> None:
    """Writes a folder with exactly these files; an existing folder is replaced.

    Args:
        place: path of the folder.
        files: content of each file, by name.

    Raises:
        ZooError: the folder cannot be written; an existing folder is not changed.
    """
    with whole_folder(place) as beside:
        for name, content in files.items():
            with open(beside / name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())


@contextmanager
def whole_folder(place: Path, *, replace: bool = True) -> Iterator[Path]:
    """Gives an empty folder to fill, which takes its place when the block ends without an error.

    Args:
        place: path of the folder.
        replace: whether a folder that is there is replaced, in one step; otherwise it is an error.

    Raises:
        ZooError: the folder cannot be written; what was there is unchanged.
    """
    beside = _beside(place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place)
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        yield beside
        if replace:
            _put(beside, place)
        else:
            beside.rename(place)  # which fails if another process has written it meanwhile
    except OSError as err:
        raise ZooError(f"cannot write {place}: {err.strerror or err}; what was there is unchanged") from err
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove_folder(place: Path) -> None:
    """Removes a folder in one step, so that no incomplete folder is ever seen; it need not exist."""
    beside = _beside(place)
    try:
        place.rename(beside)
    except OSError:
        return
    shutil.rmtree(beside, ignore_errors=True)


def _put(beside: Path, place: Path) -> None:
    """Moves a folder to its place; an existing folder is at ``beside`` afterwards."""
    for _ in range(100):  # another process may create or remove a folder between the test and the move
        if place.exists():
            if _exchange(beside, place):
                return
            # This system cannot exchange two folders.  Between the two moves there is no folder at the place, which is
            # still better than an incomplete one.
            old = beside.with_suffix(".old")
            place.rename(old)
            beside.rename(place)
            old.rename(beside)
            return
        try:
            beside.rename(place)
            return
        except OSError:
            if not place.exists():
                raise
    raise ZooError(f"cannot write {place}: other processes keep replacing it; stop them, and try again")


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two folders in one step; returns whether the system can do that."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename(here, os.fsencode(one), here, os.fsencode(other), swap) == 0


def _beside(place: Path) -> Path:
    """Returns the path of a temporary folder next to a place: hidden, with the numbers of the process and thread."""
    return place.parent / f".{place.name}.{os.getpid()}.{threading.get_ident()}.partial"


def _sweep(place: Path) -> None:
    """Removes temporary folders next to a place that were left by processes which have ended."""
    for left in place.parent.glob(f".{place.name}.*.*.partial"):
        process = left.name.removeprefix(f".{place.name}.").partition(".")[0]
        if process.isdigit() and int(process) != os.getpid() and not _lives(int(process)):
            shutil.rmtree(left, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
