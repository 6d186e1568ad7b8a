"""Exports a model in another library's format."""

from __future__ import annotations

from pathlib import Path

from zoo_core import plugins
from zoo_core.errors import IncompatibleError
from zoo_core.files.folders import whole_folder
from zoo_core.loading import load
from zoo_core.plugins.catalogue import resolve

__all__ = ["export"]


def export(name: str, form: str, folder: Path, *, force: bool = False) -> None:
    """Writes a model in a registered format.

    Args:
        name: reference to the model.
        form: name of the exporter (``"diffusers"``).
        folder: folder of the exported model, which appears only when it is complete.
        force: whether an existing folder may be replaced.

    Raises:
        UnknownNameError: there is no such format.
        IncompatibleError: the format is not for models of this family, or the folder exists.
    """
    exporter = plugins.load().catalogue.get("exporter", form)
    if folder.exists() and not force:
        raise IncompatibleError(f"{folder} is there already; choose another folder, or replace it with --force")
    model = load(name)
    entry = model.entry
    assert entry is not None
    if entry.family not in exporter.families:
        raise IncompatibleError(f"format {form!r} is for {', '.join(exporter.families)}; {name} is a {entry.family}")
    with whole_folder(folder, replace=force) as beside:
        resolve(exporter.target)(model, dict(entry.config), beside)
