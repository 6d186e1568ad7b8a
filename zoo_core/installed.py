"""Finds the installed plugins and the files in their packages, without importing any of them.

This module reads distributions and their entry points only.  Both the registry and the loading of plugins use it.
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
    """An installed plugin, and the outcome of loading it.

    Attributes:
        name: name of its entry point.
        distribution: name of the installed package.
        version: version of that package.
        module: value of the entry point.
        status: outcome; :mod:`zoo_core.plugins` describes the five.
        reason: cause in one line; empty if the plugin is loaded.
        advice: next step in one line.
        details: traceback, for ``zoo plugins doctor``.
        deprecations: warnings about deprecated things that the plugin uses.
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
        """Writes in one line why the plugin is not loaded."""
        who = f"plugin {self.name!r} ({self.distribution} {self.version})"
        what = f"{self.reason}; {self.advice}" if self.advice else self.reason
        return f"{who} not loaded: {self.status}: {what}; run 'zoo plugins doctor {self.name}'"


def discover() -> Iterator[tuple[PluginRecord, EntryPoint]]:
    """Yields every installed plugin, sorted by entry point and distribution."""
    yield from _found()


@cache
def _found() -> tuple[tuple[PluginRecord, EntryPoint], ...]:
    """Reads the metadata of all distributions, once, because a listing needs them for each model."""
    found = {}
    for point in entry_points(group=GROUP):
        distribution = point.dist.name if point.dist else "?"
        version = point.dist.version if point.dist else "?"
        record = PluginRecord(point.name, _normalised(distribution), version, point.value)
        found[record.name, record.distribution, record.module] = (record, point)
    return tuple(found[key] for key in sorted(found))


def reset() -> None:
    """Clears the cache of installed plugins, so that tests can install others."""
    _found.cache_clear()


def disabled(record: PluginRecord) -> bool:
    """Says whether ``ZOO_DISABLE_PLUGINS`` (``all`` or names, by commas) or ``--no-plugins`` leaves out a plugin."""
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
    """Returns the folders of a plugin's package; an empty list if it is not installed.

    Args:
        distribution: name of the installed package, such as ``zoo-ddpm``.
    """
    modules = (record.module for record, _ in _found() if record.distribution == distribution)
    return [folder for module in modules for folder in _folders(module)]


def _folders(module: str) -> list[str]:
    """Returns the folders of the top-level package of an entry point's value."""
    try:
        spec = importlib.util.find_spec(module.partition(":")[0].partition(".")[0])
    except (ImportError, ValueError):
        return []
    return list(spec.submodule_search_locations or []) if spec else []


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
