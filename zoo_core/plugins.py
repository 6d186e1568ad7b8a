"""Finding plugins, loading each on its own, and saying what became of it.

A plugin is an entry point of the group ``zoo.plugins``.  Every one is loaded alone, with a plugin manager of its own,
so that one that cannot be imported, misspells a hook or raises leaves no trace in the others:

| status       | meaning                                                                     |
|--------------|-----------------------------------------------------------------------------|
| loaded       | it works                                                                    |
| disabled     | by ``ZOO_DISABLE_PLUGINS`` (``all`` or names, by commas) or ``--no-plugins`` |
| conflict     | two distributions claim one entry point, or one component name              |
| incompatible | written for another version of the hooks                                    |
| broken       | cannot be imported, or its hooks are wrong or raise                         |

``ZOO_STRICT_PLUGINS=1`` makes the first that is conflict, incompatible or broken an error.
"""

from __future__ import annotations

import importlib.util
import os
import re
import tomllib
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Literal

import pluggy

from zoo_core import builtin, hookspecs, plugin_errors
from zoo_core.catalogue import Catalogue
from zoo_core.errors import PluginError

__all__ = ["PluginRecord", "Plugins", "discover", "fragments", "load", "reset"]

GROUP = "zoo.plugins"
Status = Literal["loaded", "disabled", "conflict", "incompatible", "broken"]


@dataclass(frozen=True)
class PluginRecord:
    """A plugin and what became of it.

    Attributes:
        name: of its entry point.
        distribution: the installed package, and its ``version``.
        module: the entry point's value.
        status: one of the five.
        reason: one line, empty where it is loaded.
        advice: what to do about it.
        details: the traceback, for ``zoo plugins doctor``.
        deprecations: what it uses that will go away.
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
        """What is wrong, for a person."""
        who = f"plugin {self.name!r} ({self.distribution} {self.version})"
        what = f"{self.reason}; {self.advice}" if self.advice else self.reason
        return f"{who} not loaded: {self.status}: {what}; run 'zoo plugins doctor {self.name}'"


@dataclass(frozen=True)
class Plugins:
    """All plugins found, and what the loaded ones registered."""

    records: list[PluginRecord]
    catalogue: Catalogue

    def bad(self) -> list[PluginRecord]:
        """Those that should have loaded and did not."""
        return [r for r in self.records if r.status not in ("loaded", "disabled")]


def discover() -> Iterator[tuple[PluginRecord, EntryPoint]]:
    """Every plugin that is installed, in the order of (entry point, distribution); nothing is imported."""
    found = {}
    for point in entry_points(group=GROUP):
        distribution = point.dist.name if point.dist else "?"
        version = point.dist.version if point.dist else "?"
        record = PluginRecord(point.name, _normalised(distribution), version, point.value)
        found[record.name, record.distribution, record.module] = (record, point)
    yield from (found[key] for key in sorted(found))


def fragments() -> Iterator[tuple[str, Path]]:
    """The ``registry.toml`` of every plugin package that has one, with its distribution; nothing is imported."""
    disabled = _disabled()
    for record, _ in discover():
        if _is_disabled(record, disabled):
            continue
        try:
            spec = importlib.util.find_spec(record.module.partition(":")[0].partition(".")[0])
        except (ImportError, ValueError):
            continue
        for folder in (spec.submodule_search_locations or []) if spec else []:
            if (path := Path(folder) / "registry.toml").is_file():
                yield record.distribution, path


@cache
def load() -> Plugins:
    """Loads all plugins, once per process.

    Raises:
        PluginError: a plugin is bad and ``ZOO_STRICT_PLUGINS`` is set.
    """
    catalogue = Catalogue()
    own = Catalogue()
    builtin.zoo_register(own)
    catalogue.merge(own, "zoo-core")
    disabled = _disabled()
    candidates = list(discover())
    claims: dict[str, list[str]] = defaultdict(list)
    for record, _ in candidates:
        if not _is_disabled(record, disabled):
            claims[record.name].append(record.distribution)
    records = []
    for record, point in candidates:
        rivals = [d for d in claims[record.name] if d != record.distribution]
        ours = first_party() if rivals else frozenset()
        if _is_disabled(record, disabled):
            record = replace(record, status="disabled", reason="by ZOO_DISABLE_PLUGINS or --no-plugins")
        elif rivals and (record.distribution not in ours or ours.intersection(rivals)):
            reason = f"the entry point {record.name!r} is claimed by {' and '.join(sorted(claims[record.name]))}"
            record = replace(record, status="conflict", reason=reason, advice="uninstall one of them")
        else:
            record = _load_one(record, point, catalogue)
        records.append(record)
    plugins = Plugins(records, catalogue)
    if os.environ.get("ZOO_STRICT_PLUGINS", "") not in ("", "0") and plugins.bad():
        raise PluginError(plugins.bad()[0].line())
    return plugins


@cache
def first_party() -> frozenset[str]:
    """Ours, as the central registry says: where another distribution claims the entry point of one, ours is loaded."""
    from zoo_core import registry

    with open(registry.central_file(), "rb") as file:
        return frozenset(tomllib.load(file).get("first_party", ()))


def reset() -> None:
    """Forgets what was loaded, so that tests can install other plugins."""
    from zoo_core import registry

    load.cache_clear()
    registry.load.cache_clear()


def _load_one(record: PluginRecord, point: EntryPoint, catalogue: Catalogue) -> PluginRecord:
    """Imports and registers one plugin; whatever it does, only its own record tells."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            module = point.load()
            if mismatch := _api_mismatch(module):
                return replace(record, status="incompatible", reason=mismatch[0], advice=mismatch[1])
            own = Catalogue()
            call_hooks(module, own)
        for warning in caught:  # shown, or an error, as whoever runs the process wants it
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    except (Exception, SystemExit) as err:
        reason, advice = plugin_errors.explain(err, record.module, record.distribution)
        import traceback  # only here: what works needs none

        return replace(record, status="broken", reason=reason, advice=advice, details=traceback.format_exc())
    try:
        catalogue.merge(own, record.distribution)
    except PluginError as err:
        return replace(record, status="conflict", reason=str(err), advice="rename yours, or uninstall one of them")
    old = tuple(str(w.message) for w in caught if issubclass(w.category, DeprecationWarning))
    return replace(record, deprecations=old)


def call_hooks(module: ModuleType, own: Catalogue) -> None:
    """Has a plugin's module fill a catalogue of its own.

    Raises:
        PluginError: it implements a hook that there is not; pluggy's, or whatever its hooks raise.
    """
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    known = [n for n in vars(manager.hook) if n.startswith("zoo_") and getattr(manager.hook, n).has_spec()]
    implemented = manager.get_hookcallers(module) or []
    for caller in implemented:
        if not caller.has_spec() and not all(impl.optionalhook for impl in caller.get_hookimpls()):
            import difflib

            close = difflib.get_close_matches(caller.name, known, n=1)
            raise PluginError(
                f"implements {caller.name!r}, which is no hook{f'; did you mean {close[0]}?' if close else ''}"
            )
    if not implemented:
        raise PluginError(f"implements no hook: no function of it is a @hookimpl; the hooks are {', '.join(known)}")
    manager.hook.zoo_register(**hook_arguments(own))


def hook_arguments(own: Catalogue) -> dict[str, object]:
    """What a hook is called with; an implementation takes those that it names."""
    return {"catalogue": own}


def _api_mismatch(module: ModuleType) -> tuple[str, str] | None:
    """Why the module is not for this core, and what to do."""
    declared = getattr(module, "ZOO_API", None)
    core = hookspecs.ZOO_API
    if not (isinstance(declared, tuple) and len(declared) == 2 and all(isinstance(v, int) for v in declared)):
        return f"declares ZOO_API = {declared!r}; expected a pair like {core}", f"write ZOO_API = {core} in the module"
    if declared[0] != core[0] or declared[1] > core[1]:
        what = "upgrade zoo-core" if declared > core else "upgrade the plugin"
        return f"is written for ZOO_API {declared[0]}.{declared[1]}; this core has {core[0]}.{core[1]}", what
    return None


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _disabled() -> set[str]:
    return {_normalised(n.strip()) for n in os.environ.get("ZOO_DISABLE_PLUGINS", "").split(",") if n.strip()}


def _is_disabled(record: PluginRecord, disabled: set[str]) -> bool:
    return bool(disabled & {"all", _normalised(record.name), record.distribution})
