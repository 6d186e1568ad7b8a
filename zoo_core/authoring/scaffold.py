"""Writes a new plugin: a copy of the package in ``zoo_core/authoring/template`` with another name.

The template is itself a working plugin, ``zoo-my-family``.  In the copy the name is replaced everywhere, in the files
and in their names.
"""

from __future__ import annotations

import importlib.util
import json
import keyword
import os
import re
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from zoo_core import plugins, registry
from zoo_core.errors import NameTakenError, ZooError
from zoo_core.files.folders import whole_folder
from zoo_core.registry.json_schema import json_schema

__all__ = ["TEMPLATE", "check_name", "files", "new"]

TEMPLATE = Path(__file__).parent / "template"
SCHEMA_FILE = "registry.schema.json"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LEFT_OUT = {"__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache"}


def new(name: str, folder: Path) -> Path:
    """Writes the package ``zoo-NAME``, all of it or nothing.

    Args:
        name: name of the family, ``my-family``.
        folder: folder in which the package's folder is created; it is created too if it does not exist.

    Returns:
        The path of the package's folder.

    Raises:
        NameTakenError: the name is not valid for a family, or is taken.
        ZooError: the package's folder exists already.
    """
    check_name(name)
    home = folder / f"zoo-{name}"
    if os.path.lexists(home):
        raise ZooError(f"{home} is there already, and nothing is overwritten; choose another name, or another --dir")
    with whole_folder(home, replace=False) as beside:
        for path, text in files(name):
            place = beside / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8", newline="\n")
    return home


def files(name: str) -> Iterator[tuple[str, str]]:
    """Yields the path and the text of each file of the package."""
    for path in sorted(TEMPLATE.rglob("*")):
        inside = path.relative_to(TEMPLATE)
        if path.is_file() and not _LEFT_OUT.intersection(inside.parts):
            yield _renamed(inside.as_posix(), name), _renamed(path.read_text(encoding="utf-8"), name)
    yield SCHEMA_FILE, json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def check_name(name: str) -> None:
    """Raises :class:`NameTakenError` if a new family cannot have this name; the message suggests another."""
    if not _NAME.fullmatch(name):
        better = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()).strip("-0123456789")
        hint = f"; did you mean {better}?" if _NAME.fullmatch(better) else ""
        raise NameTakenError(
            f"{name!r} is no name for a family; expected lower-case words joined by '-', like my-family{hint}"
        )
    if name.startswith("zoo-"):
        raise NameTakenError(
            f"{name!r}: the package is called zoo-NAME, so leave out 'zoo-'; did you mean {name.removeprefix('zoo-')}?"
        )
    if owner := _owner(name):
        raise NameTakenError(f"{name!r} is taken: {owner}; choose another name, for example my-{name}")


def _owner(name: str) -> str | None:
    """Says what has one of the names that the family would use; ``None`` if all are free."""
    distribution, package = f"zoo-{name}", f"zoo_{name.replace('-', '_')}"
    for component in plugins.load().catalogue.all("family"):
        if component.name == name:
            return f"{component.plugin} has a family of this name"
    for entry in registry.load().entries.values():
        if name == entry.family:
            return f"{entry.id} is of a family of this name, by {entry.plugin}"
        if entry.id == f"{name}-moons" or (entry.id.startswith(f"{name}-") and entry.plugin == distribution):
            return f"{entry.plugin} has the model {entry.id}"
    if distribution in registry.load().first_party | {"zoo-core", "zoo-nets"}:
        return f"{distribution} is a part of the zoo"
    if any((d.name or "").lower().replace("_", "-") == distribution for d in distributions()):
        return f"{distribution} is installed"
    if importlib.util.find_spec(package) is not None:
        return f"Python finds a package {package}"
    word = _class(name)
    if keyword.iskeyword(word):
        return f"its class would be called {word}, which is a word of Python's"
    used = " ".join(p.read_text(encoding="utf-8") for p in sorted(TEMPLATE.rglob("*.py")))
    if word != "MyFamily" and re.search(rf"\b{word}\b", used):
        return f"its class would be called {word}, which its module uses for something else"
    if name in sys.stdlib_module_names:
        return f"{name} is a module of Python's"
    return None


def _class(name: str) -> str:
    """Makes the name of the class, ``MyFamily``, of the name of a family, ``my-family``."""
    return "".join(part.capitalize() for part in name.split("-"))


def _renamed(text: str, name: str) -> str:
    """Replaces the template's name in every form, in a text or a path."""
    for old, new_one in (("my-family", name), ("my_family", name.replace("-", "_")), ("MyFamily", _class(name))):
        text = text.replace(old, new_one)
    return text
