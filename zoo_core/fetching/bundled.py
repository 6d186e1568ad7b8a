"""Finds the weights that are bundled with a plugin, without importing its package.  Imports no torch."""

from __future__ import annotations

import os
from pathlib import Path

from zoo_core.installed import package_folders
from zoo_core.registry.entry import Entry

__all__ = ["folder_of", "has_weights"]


def folder_of(entry: Entry) -> Path | None:
    """Returns the folder of the model's snapshot in the plugin's package; ``None`` if there is none."""
    folders = (Path(package) / "weights" / entry.id for package in package_folders(entry.plugin))
    return next((folder for folder in folders if os.path.isdir(folder)), None)


def has_weights(entry: Entry) -> bool:
    """Says whether the plugin's package contains the weights of the entry."""
    folder = folder_of(entry)
    return bool(entry.weights and entry.weights.bundled and folder and os.path.isfile(folder / entry.weights.file))
