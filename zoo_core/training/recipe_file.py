"""Writes a run's recipe as a registry file, ``recipe.toml``, that can be edited, shared and run again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from zoo_core import registry
from zoo_core.errors import IncompatibleError, RegistryError
from zoo_core.files.folders import write_whole
from zoo_core.registry.entry import Entry

__all__ = ["NAME", "read_recipe", "write_recipe"]

NAME = "recipe.toml"
_KEPT = ("family", "plugin", "config", "summary", "dataset", "paper", "tags", "sampler", "recipe")


def write_recipe(folder: Path, entry: Entry) -> Path:
    """Writes the recipe of an entry into the folder of its run.

    Returns:
        The path of the file, which ``zoo train PATH`` takes.
    """
    import tomlkit

    said = entry.table()
    document: Any = tomlkit.document()
    document.add(tomlkit.comment(f"How {entry.id} is trained; change what you like, and run: zoo train {NAME}"))
    document["schema"] = 1
    document["models"] = {entry.id: {key: said[key] for key in _KEPT if key in said}}
    path = folder / NAME
    write_whole(path, partial(Path.write_text, data=tomlkit.dumps(document), encoding="utf-8"))
    return path


def read_recipe(path: Path) -> Entry:
    """Reads the entry of a recipe file.

    Raises:
        RegistryError: the file is missing, or has mistakes.
        IncompatibleError: it has no model, or several, or no recipe.
    """
    if not path.is_file():
        raise RegistryError([f"{path}: there is no such file; a run writes {NAME} into its folder"])
    entries = registry.read(path).entries
    if len(entries) != 1 or not entries[0].recipe:
        names = ", ".join(entry.id for entry in entries) or "none"
        raise IncompatibleError(f"{path} has {len(entries)} models ({names}); expected one, with a recipe")
    return entries[0]
