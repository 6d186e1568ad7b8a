"""Loads each installed plugin on its own, and records the outcome.

A plugin is an entry point of the group ``zoo.plugins``.  Each plugin is loaded with a plugin manager of its own, so
that a plugin that cannot be imported, misspells a hook or raises an error does not affect the others.  The outcomes are

| status       | meaning                                                                                 |
|--------------|-----------------------------------------------------------------------------------------|
| loaded       | the plugin works                                                                        |
| disabled     | ``ZOO_DISABLE_PLUGINS`` (``all`` or names, by commas) or ``--no-plugins`` leaves it out |
| conflict     | two distributions claim one entry point, or one component name                          |
| incompatible | the plugin is written for another version of the hooks                                  |
| broken       | the plugin cannot be imported, or its hooks are wrong or raise an error                 |

With ``ZOO_STRICT_PLUGINS=1`` a plugin with one of the last three outcomes is an error.
"""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint
from types import ModuleType

import pluggy

from zoo_core import installed, registry
from zoo_core.errors import PluginError
from zoo_core.installed import PluginRecord, disabled, discover
from zoo_core.plugins import builtin, explain, hookspecs
from zoo_core.plugins.catalogue import Catalogue, Component
from zoo_core.registry.entry import Entry

__all__ = ["Plugins", "culprit", "family_of", "load", "reset"]


@dataclass(frozen=True)
class Plugins:
    """The installed plugins, and the components that the loaded ones registered."""

    records: list[PluginRecord]
    catalogue: Catalogue

    def bad(self) -> list[PluginRecord]:
        """Lists the plugins that are neither loaded nor disabled."""
        return [r for r in self.records if r.status not in ("loaded", "disabled")]


@cache
def load() -> Plugins:
    """Loads all plugins, once per process.

    Raises:
        PluginError: a plugin is not loaded, though not disabled, and ``ZOO_STRICT_PLUGINS`` is set.
    """
    catalogue = Catalogue()
    own = Catalogue()
    builtin.zoo_register(own)
    catalogue.merge(own, "zoo-core")
    candidates = list(discover())
    claims: dict[str, list[str]] = defaultdict(list)
    for record, _ in candidates:
        if not disabled(record):
            claims[record.name].append(record.distribution)
    records = []
    for record, point in candidates:
        rivals = [d for d in claims[record.name] if d != record.distribution]
        ours = registry.load().first_party if rivals else frozenset()
        if disabled(record):
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


def family_of(entry: Entry) -> Component:
    """Finds the family of an entry among those that installed plugins registered.

    Raises:
        PluginError: no installed plugin registered the family; the message says which one would.
    """
    found = load()
    for component in found.catalogue.all("family"):
        if component.name == entry.family:
            return component
    for record in found.records:
        if record.distribution == entry.plugin:
            if record.status != "loaded":
                raise PluginError(f"{entry.id} needs {entry.plugin}: {record.line()}")
            raise PluginError(
                f"{entry.id}: {entry.plugin} registers no family {entry.family!r}; zoo families lists them"
            )
    who = entry.plugin or "a plugin that its config.json does not name"
    hint = f"; pip install {entry.plugin}" if entry.plugin else ""
    raise PluginError(f"{entry.id} is provided by {who}, which is not installed{hint}")


def reset() -> None:
    """Clears the caches of plugins and registry, so that tests can install other plugins."""
    installed.reset()
    load.cache_clear()
    registry.load.cache_clear()


def _load_one(record: PluginRecord, point: EntryPoint, catalogue: Catalogue) -> PluginRecord:
    """Imports and registers one plugin; an error that it raises goes into its record only."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            module = point.load()
            if mismatch := _api_mismatch(module):
                return replace(record, status="incompatible", reason=mismatch[0], advice=mismatch[1])
            own = Catalogue()
            call_hooks(module, own)
        for warning in caught:  # raised again outside the block, so that the process's warning filters apply
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    except (Exception, SystemExit) as err:
        reason, advice = explain.explain(err, record.module, record.distribution)
        import traceback  # imported here because only broken plugins need it

        return replace(record, status="broken", reason=reason, advice=advice, details=traceback.format_exc())
    try:
        catalogue.merge(own, record.distribution)
    except PluginError as err:
        return replace(record, status="conflict", reason=str(err), advice="rename yours, or uninstall one of them")
    old = tuple(str(w.message) for w in caught if issubclass(w.category, DeprecationWarning))
    return replace(record, deprecations=old)


def call_hooks(module: ModuleType, own: Catalogue) -> None:
    """Calls the hooks of a plugin's module, which register its components in a catalogue.

    Args:
        module: module of the plugin.
        own: empty catalogue for the plugin's components.

    Raises:
        PluginError: the module implements no hook, or a hook that does not exist.
        Exception: an error of pluggy's validation, or whatever the module's hooks raise.
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
    """Returns the arguments that hooks are called with; an implementation may take fewer."""
    return {"catalogue": own}


def _api_mismatch(module: ModuleType) -> tuple[str, str] | None:
    """Says why a module does not fit this version of the hooks, and what to do; ``None`` if it fits."""
    declared = getattr(module, "ZOO_API", None)
    core = hookspecs.ZOO_API
    if not (isinstance(declared, tuple) and len(declared) == 2 and all(isinstance(v, int) for v in declared)):
        return f"declares ZOO_API = {declared!r}; expected a pair like {core}", f"write ZOO_API = {core} in the module"
    if declared[0] != core[0] or declared[1] > core[1]:
        what = "upgrade zoo-core" if declared > core else "upgrade the plugin"
        return f"is written for ZOO_API {declared[0]}.{declared[1]}; this core has {core[0]}.{core[1]}", what
    return None


def culprit(err: BaseException) -> str:
    """Names the distribution whose code raised an error: the last plugin in the traceback, or else zoo-core."""
    packages = {record.module.partition(":")[0].partition(".")[0]: record for record in load().records}
    trace, found = err.__traceback__, "a fault of zoo-core, please report it"
    while trace is not None:
        record = packages.get(str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0])
        if record is not None:
            found = f"a fault of {record.distribution}"
        trace = trace.tb_next
    return found
