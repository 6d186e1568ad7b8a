"""Finds models in the registry, and facts about them, from a program.  Imports no torch."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from zoo_core import fetching, plugins, registry
from zoo_core.errors import PluginError, UnknownNameError
from zoo_core.fetching import bundled
from zoo_core.fetching.references import described
from zoo_core.installed import package_folders
from zoo_core.lookup.compatibility import fitting
from zoo_core.registry.entry import Entry, FromFolder

__all__ = ["facts", "find", "info", "where"]


def find(
    pattern: str = "*",
    *,
    family: str | None = None,
    dataset: str | None = None,
    tag: str | None = None,
    plugin: str | None = None,
    capability: str | None = None,
) -> list[Entry]:
    """Lists the entries of the registry that match all arguments, sorted by id.

    Args:
        pattern: shell pattern (``"ddpm-*"``); a plain word matches a part of the id.
        family: name of the models' family.
        dataset: name of the data set that the models were trained on.
        tag: tag of the models.
        plugin: distribution that provides the models (``"zoo-ddpm"``).
        capability: capability of the models (``"Density"``), as installed plugins declare it.

    Raises:
        UnknownNameError: no installed family has such a capability.
    """
    entries = registry.load().find([pattern], links=True, family=family, dataset=dataset, tag=tag, plugin=plugin)
    if capability is None:
        return entries
    known = {c.name: c.capabilities for c in plugins.load().catalogue.all("family")}
    every = sorted({name for names in known.values() for name in names})
    if capability not in every:
        raise UnknownNameError("capability", capability, None, f"installed families have {', '.join(every)}")
    return [e for e in entries if capability in known.get(e.family, ())]


def info(name: str) -> dict[str, Any]:
    """Returns all that is known about a model without building it, as JSON values.

    Args:
        name: reference to a model: an id of the registry, ``hf:org/repo`` or a folder.

    Raises:
        UnknownNameError: there is no such model.
    """
    return facts(described(name))


def facts(entry: Entry) -> dict[str, Any]:
    """Returns all that is known about an entry without building its model, as JSON values."""
    found = plugins.load()
    record = next((r for r in found.records if r.distribution == entry.plugin), None)
    known = asdict(replace(entry, origin=None))
    known["origin"] = entry.origin.words() if entry.origin else ""
    known["evaluations"] = [row.table() | {"command": row.command(entry.id)} for row in entry.evaluations]
    known["installed"] = record is not None and record.status == "loaded"
    known["plugin_status"] = record.status if record else "not installed"
    known["weights_are"] = where(entry)
    try:
        known["capabilities"] = list(found.catalogue.get("family", entry.family).capabilities)
        for kind in ("sampler", "metric", "plot"):
            pairs = fitting(entry, found.catalogue.all(kind))
            known[f"{kind}s"] = [component.name for component, why in pairs if why is None]
    except (UnknownNameError, PluginError):
        known |= {"capabilities": [], "samplers": [], "metrics": [], "plots": []}
    return known


def where(entry: Entry) -> str:
    """Says where the weights of an entry are.

    Args:
        entry: entry of any plugin, installed or not.

    Returns:
        ``in the folder``, ``bundled``, ``cached``, ``on the Hub``, ``on the Hub, not pinned``, ``missing`` or ``none``;
        or that the plugin whose package would contain them is not installed.
    """
    if entry.weights is None:
        return "on the Hub, not pinned" if entry.source else "none"
    if isinstance(entry.origin, FromFolder):
        return "in the folder"
    if bundled.has_weights(entry):
        return "bundled"
    if fetching.cached(entry):
        return "cached"
    if entry.weights.repo_id:
        return "on the Hub"
    return "missing" if package_folders(entry.plugin) else f"{entry.plugin} is not installed"
