"""A model in another library's format, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from zoo_core import plugins
from zoo_core.errors import IncompatibleError
from zoo_core.files.folders import whole_folder
from zoo_core.loading import load
from zoo_core.plugins.catalogue import resolve

__all__ = ["export"]


def export(name: str, form: str, folder: Path, *, force: bool = False) -> None:
    """Writes model ``name`` in a registered format.

    Args:
        name: a model.
        form: the exporter's name (``"diffusers"``).
        folder: where to; it appears only when it is complete.
        force: whether a folder that is there may be replaced.

    Raises:
        UnknownNameError: no such format.
        IncompatibleError: the format is not for this family, or the folder is there.
    """
    exporter = plugins.load().catalogue.get("exporter", form)
    if folder.exists() and not force:
        raise IncompatibleError(f"{folder} is there already; choose another folder, or replace it with --force")
    model = load(name)
    entry = model.entry
    assert entry is not None
    if entry.family not in exporter.families:
        raise IncompatibleError(f"format {form!r} is for {', '.join(exporter.families)}; {name} is a {entry.family}")
    with whole_folder(folder) as beside:
        resolve(exporter.target)(model, dict(entry.config), beside)
