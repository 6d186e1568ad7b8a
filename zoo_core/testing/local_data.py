"""Loads data sets that are on this machine, for tests, and never downloads any."""

from __future__ import annotations

import os
from functools import cache

from zoo_core import datasets
from zoo_core.errors import ZooError
from zoo_core.interfaces import DataSet

__all__ = ["data_here", "missing"]


def data_here(name: str, split: str = "train") -> DataSet | None:
    """Returns a split of a data set; ``None`` if it would have to be downloaded.

    Args:
        name: registered name of the data set, such as ``"mnist"``.
        split: name of the split, ``"train"`` or ``"test"``.
    """
    found = _found(name, split, *_where())
    return None if isinstance(found, str) else found


def missing(name: str) -> str | None:
    """Says in one line why a data set is not on this machine; ``None`` if both splits are."""
    for split in ("train", "test"):
        found = _found(name, split, *_where())
        if isinstance(found, str):
            return found
    return None


def _where() -> tuple[str | None, str | None]:
    return os.environ.get("ZOO_DATA"), os.environ.get("ZOO_CACHE")


@cache
def _found(name: str, split: str, data: str | None, cached: str | None) -> DataSet | str:
    """Returns the split, or the reason why it is not on this machine; cached by the folders that were searched."""
    import pytest

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_OFFLINE", "1")
        try:
            return datasets.load(name, split)
        except ZooError as err:
            return str(err)
