"""Files and folders that appear whole or not at all, and replace others in one step.  Imports no torch.

Snapshots and checkpoints are written with it: whatever kills the process, what stood at the place before stands there
still, or what was to stand there does.
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
    """Lets ``write`` make a file beside ``path``, of the same suffix, and moves it there.

    Raises:
        OSError: it cannot be written; what was there is there still.
    """
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_folder(place: Path, files: Mapping[str, bytes]) -> None:
    """Writes a folder with exactly these files, in place of what is there.

    Args:
        place: the folder.
        files: name and content.

    Raises:
        ZooError: it cannot be written; what was there is there still.
    """
    with whole_folder(place) as beside:
        for name, content in files.items():
            with open(beside / name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())


@contextmanager
def whole_folder(place: Path) -> Iterator[Path]:
    """Gives an empty folder to fill, which takes its place when the block ends without an error.

    Args:
        place: path of the folder; one that is there is replaced in one step.

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
        _put(beside, place)
    except OSError as err:
        raise ZooError(f"cannot write {place}: {err.strerror or err}; what was there is unchanged") from err
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove_folder(place: Path) -> None:
    """Removes a folder so that no part of it is ever seen at its place; one that is not there is no error."""
    beside = _beside(place)
    try:
        place.rename(beside)
    except OSError:
        return
    shutil.rmtree(beside, ignore_errors=True)


def _put(beside: Path, place: Path) -> None:
    """Moves a folder to its place; what stood there is at ``beside`` afterwards."""
    for _ in range(100):  # another process may put or remove one between the look and the move
        if place.exists():
            if _exchange(beside, place):
                return
            # A system that cannot exchange two folders: between the two moves there is none, never half of one.
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
    raise ZooError(f"cannot write {place}: others write it all the time")


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two folders in one step, where the system can."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename(here, os.fsencode(one), here, os.fsencode(other), swap) == 0


def _beside(place: Path) -> Path:
    """A name of this thread's own that nothing reads: hidden, with the process in it."""
    return place.parent / f".{place.name}.{os.getpid()}.{threading.get_ident()}.partial"


def _sweep(place: Path) -> None:
    """Removes what processes that are no more left beside a place."""
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
