"""A new plugin: the package in ``zoo_core/authoring/template``, under another name.

The template is itself a plugin that works, ``zoo-my-family``; a new one is a copy of it in which the name is replaced
everywhere, in files and in their names.
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
    """Writes the package ``zoo-NAME`` into ``folder``, whole or not at all.

    Args:
        name: of the family, ``my-family``.
        folder: where the package's folder goes; made if need be.

    Returns:
        The package's folder.

    Raises:
        NameTakenError: the name is not one that a family can have, or belongs to something else.
        ZooError: there is something where the package would go.
    """
    check_name(name)
    home = folder / f"zoo-{name}"
    if os.path.lexists(home):
        raise ZooError(f"{home} is there already, and nothing is overwritten; choose another name, or another --dir")
    with whole_folder(home) as beside:
        for path, text in files(name):
            place = beside / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8", newline="\n")
    return home


def files(name: str) -> Iterator[tuple[str, str]]:
    """The package's files: the path of each, and its text."""
    for path in sorted(TEMPLATE.rglob("*")):
        inside = path.relative_to(TEMPLATE)
        if path.is_file() and not _LEFT_OUT.intersection(inside.parts):
            yield _renamed(inside.as_posix(), name), _renamed(path.read_text(encoding="utf-8"), name)
    yield SCHEMA_FILE, json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def check_name(name: str) -> None:
    """Raises :class:`NameTakenError` where a new family cannot have this name; the message has one that it can."""
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
    """What else has one of the names that the family would use."""
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
    """``my-family`` as the name of a class, ``MyFamily``."""
    return "".join(part.capitalize() for part in name.split("-"))


def _renamed(text: str, name: str) -> str:
    """The template's text, or a file's path, with the new name in every form."""
    for old, new_one in (("my-family", name), ("my_family", name.replace("-", "_")), ("MyFamily", _class(name))):
        text = text.replace(old, new_one)
    return text
