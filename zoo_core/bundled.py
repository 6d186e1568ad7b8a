"""Finds the weights that come with a plugin's package, without importing it.  Imports no torch."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from zoo_core.entry import Entry

__all__ = ["folder_of", "has_weights", "package_folders"]


def package_folders(entry: Entry) -> list[str]:
    """Returns the folders of the package that has the model's code; none where it is not installed."""
    try:
        spec = importlib.util.find_spec(entry.factory.partition(":")[0].partition(".")[0])
    except (ImportError, ValueError):
        return []
    return list(spec.submodule_search_locations or []) if spec else []


def folder_of(entry: Entry) -> Path | None:
    """Returns the model's snapshot in the package; ``None`` where there is none."""
    folders = (Path(package) / "weights" / entry.id for package in package_folders(entry))
    return next((folder for folder in folders if os.path.isdir(folder)), None)


def has_weights(entry: Entry) -> bool:
    """Says whether the package has the weights that the entry names."""
    folder = folder_of(entry)
    return bool(entry.weights and entry.weights.bundled and folder and os.path.isfile(folder / entry.weights.file))
