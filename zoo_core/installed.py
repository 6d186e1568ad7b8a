"""Finds the installed plugins and the files they bring, without importing any of them.

This knows distributions and their entry points, and nothing of what a plugin may register: both the registry and the
loading of plugins stand on it.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Literal

__all__ = ["GROUP", "PluginRecord", "Status", "disabled", "discover", "package_folders", "registry_files", "reset"]

GROUP = "zoo.plugins"
Status = Literal["loaded", "disabled", "conflict", "incompatible", "broken"]


@dataclass(frozen=True)
class PluginRecord:
    """A plugin, and what became of it when it was loaded.

    Attributes:
        name: name of its entry point.
        distribution: name of the installed package.
        version: version of that package.
        module: value of the entry point.
        status: one of the five of :mod:`zoo_core.plugins`.
        reason: cause in one line; empty where it is loaded.
        advice: next step in one line.
        details: traceback, for ``zoo plugins doctor``.
        deprecations: warnings about what it uses that will go away.
    """

    name: str
    distribution: str
    version: str
    module: str
    status: Status = "loaded"
    reason: str = ""
    advice: str = ""
    details: str = field(default="", repr=False)
    deprecations: tuple[str, ...] = ()

    def line(self) -> str:
        """Says in one line what is wrong."""
        who = f"plugin {self.name!r} ({self.distribution} {self.version})"
        what = f"{self.reason}; {self.advice}" if self.advice else self.reason
        return f"{who} not loaded: {self.status}: {what}; run 'zoo plugins doctor {self.name}'"


def discover() -> Iterator[tuple[PluginRecord, EntryPoint]]:
    """Yields every installed plugin, in the order of (entry point, distribution)."""
    yield from _found()


@cache
def _found() -> tuple[tuple[PluginRecord, EntryPoint], ...]:
    """Reads the metadata of all distributions once: a listing asks for each of its models."""
    found = {}
    for point in entry_points(group=GROUP):
        distribution = point.dist.name if point.dist else "?"
        version = point.dist.version if point.dist else "?"
        record = PluginRecord(point.name, _normalised(distribution), version, point.value)
        found[record.name, record.distribution, record.module] = (record, point)
    return tuple(found[key] for key in sorted(found))


def reset() -> None:
    """Forgets what was found, so that tests can install other plugins."""
    _found.cache_clear()


def disabled(record: PluginRecord) -> bool:
    """Says whether ``ZOO_DISABLE_PLUGINS`` (``all`` or names, by commas) or ``--no-plugins`` leaves a plugin out."""
    names = {_normalised(n.strip()) for n in os.environ.get("ZOO_DISABLE_PLUGINS", "").split(",") if n.strip()}
    return bool(names & {"all", _normalised(record.name), record.distribution})


def registry_files() -> Iterator[tuple[str, Path]]:
    """Yields the ``registry.toml`` of every plugin package that has one, with its distribution."""
    for record, _ in discover():
        if disabled(record):
            continue
        for folder in _folders(record.module):
            if (path := Path(folder) / "registry.toml").is_file():
                yield record.distribution, path


def package_folders(distribution: str) -> list[str]:
    """Returns the folders of a plugin's package; none where it is not installed.

    Args:
        distribution: name of the installed package, such as ``zoo-ddpm``.
    """
    modules = (record.module for record, _ in _found() if record.distribution == distribution)
    return [folder for module in modules for folder in _folders(module)]


def _folders(module: str) -> list[str]:
    """The folders of the top-level package of an entry point's value."""
    try:
        spec = importlib.util.find_spec(module.partition(":")[0].partition(".")[0])
    except (ImportError, ValueError):
        return []
    return list(spec.submodule_search_locations or []) if spec else []


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
