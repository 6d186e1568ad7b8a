"""Variants of registry entries: with other values in the recipe or config, other data or another shape.

A variant is a new model with its own id, summary and facts, without the statements of the first entry that hold for its
weights only (evaluations, training time, licence).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from zoo_core import registry
from zoo_core.errors import IncompatibleError, WeightsError
from zoo_core.interfaces import Model
from zoo_core.loading import build, factory_of, fill, load
from zoo_core.registry import schema
from zoo_core.registry.entry import Entry
from zoo_core.registry.spellings import in_one_spelling
from zoo_core.training import identity
from zoo_core.training.recipe import Recipe
from zoo_core.training.target import Target

__all__ = ["Say", "changed", "varied"]

Say = Callable[[str], None]
_KINDS = {"image": "image", "2d": "plane"}
"""Tags that describe the samples, with the facts of :mod:`zoo_core.lookup.compatibility` that they stand for."""


def changed(entry: Entry, changes: Mapping[str, Any], say: Say = lambda line: None) -> Entry:
    """Makes an entry with other values; returns the entry itself if no value changes that determines the weights.

    Args:
        entry: entry with a recipe.
        changes: values by key, of the recipe (``lr``, ``data.name``) or of the config (``config.components``); ``None``
            removes a key, so that its default holds, and so does an empty ``start``.
        say: function that is called with a line for each consequence of the changes, such as a new shape.

    Raises:
        IncompatibleError: a key does not exist.
        UnknownNameError: there is no such data set.
    """
    changes = in_one_spelling(changes)
    name = changes.get("data.name", entry.recipe.get("data", {}).get("name", ""))
    if name == entry.recipe.get("data", {}).get("name", ""):
        return varied(entry, changes, None, say)
    return varied(entry, changes, Target.registered(str(name)), say)


def varied(entry: Entry, changes: Mapping[str, Any], target: Target | None, say: Say = lambda line: None) -> Entry:
    """Makes an entry with other values as :func:`changed` does, and on other data where a target is given."""
    old = entry.recipe.get("data", {}).get("name", "")
    follows = dict(changes)
    if target is not None:
        follows = {**target.changes(), **follows}
        for key, value in _adapted(entry, target).items():
            said = any(one == key or one.startswith(f"{key}.") for one in changes)
            if not said and value != _value(entry, key):
                follows[key] = value
        if target.is_own and (batch := _fitting_batch(entry, target)) is not None:
            follows.setdefault("batch", batch)
    made = _with(entry, {k: v for k, v in follows.items() if v is not None or k in changes or _has(entry, k)})
    Recipe.of(made.recipe)
    if identity.facts(made) == identity.facts(entry):
        return entry
    for key in made.config:
        if made.config[key] != entry.config.get(key) and f"config.{key}" not in changes and target is not None:
            say(
                f"config.{key} = {json.dumps(made.config[key])}, as {target.name} has it ({entry.id} has "
                f"{entry.config.get(key)})"
            )
    name = target.name if target else str(old)
    start = made.recipe.get("start")
    inherited = start is not None and "start" not in changes
    elsewhere = inherited and (name != old or made.config != entry.config)
    if elsewhere and (reason := _start_does_not_fit(made, str(start), name)):
        say(f"starts from fresh weights, not from {start} as {entry.id} does: {reason}")
        made = _with(made, {"start": None})
    return _renamed(entry, made, changes, target, name, str(old))


def _fitting_batch(entry: Entry, target: Target) -> int | None:
    """Returns a smaller batch for data of fewer examples than the recipe's; ``None`` where its own fits."""
    batch, most = entry.recipe.get("batch", 64), max(1, len(target.data) // 2)
    if "steps" not in entry.recipe or batch <= most:
        return None
    return 1 << (most.bit_length() - 1)


def _has(entry: Entry, key: str) -> bool:
    """Says whether an entry has a value for a key."""
    return _value(entry, key) is not None


def _value(entry: Entry, key: str) -> Any:
    """Returns the value of a dotted key of an entry; ``None`` where there is none."""
    table: Any = entry.config if key.startswith("config.") else entry.recipe
    for part in key.removeprefix("config.").split("."):
        if not isinstance(table, Mapping) or part not in table:
            return None
        table = table[part]
    return table


def _adapted(entry: Entry, target: Target) -> dict[str, Any]:
    """Returns the values of config and recipe that the family adapts to the data, by dotted key."""
    family: Any = factory_of(entry)
    family = family if isinstance(family, type) and issubclass(family, Model) else Model
    shape = [size for size in target.shape if size is not None]
    config = family.config_for(entry.config, target.data, shape)
    if None in target.shape and "shape" in entry.config:  # an open axis is the family's, whatever lengths data have
        config["shape"] = entry.config["shape"]
    recipe = family.recipe_for(entry.recipe, target.data, shape) if target.is_own else {}
    return {**{f"config.{key}": value for key, value in config.items()}, **recipe}


def _with(entry: Entry, changes: Mapping[str, Any]) -> Entry:
    """Returns the entry with the changed values in its tables, and everything else as before."""
    tables: dict[str, Any] = {"recipe": _copied(entry.recipe), "config": _copied(entry.config)}
    for key, value in changes.items():
        head, *path = key.split(".") if key.startswith("config.") else ["recipe", *key.split(".")]
        table = tables[head]
        for part in path[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise IncompatibleError(f"--set {key}: {part!r} is not a table")
        if value is None or (key == "start" and value == ""):
            if path[-1] not in table and not (head == "recipe" and path[0] in schema.RECIPE):
                raise IncompatibleError(f"--set {key}=null: there is no {key} to take out of {entry.id}")
            table.pop(path[-1], None)
        else:
            table[path[-1]] = value
    return replace(entry, **tables)


def _renamed(
    entry: Entry, varied: Entry, changes: Mapping[str, Any], target: Target | None, dataset: str, old: str
) -> Entry:
    """Gives the varied entry an id, a summary and tags of its own."""
    told = {k: v for k, v in changes.items() if k != "data.name" and not (k == "data.classes" and v is None)}
    whole = "classes" in entry.recipe["data"] and "classes" not in varied.recipe["data"]
    name = entry.id if dataset == old and not whole else _id_for(entry, dataset, old)
    if (told and not (target and target.is_own)) or name in registry.load().entries:
        digest = hashlib.sha256(json.dumps(identity.facts(varied), sort_keys=True).encode()).hexdigest()
        name = f"{name}-{digest[:6]}"
    values = ", ".join(f"{key} = {json.dumps(value)}" for key, value in told.items())
    values = values if len(values) <= 160 else f"{values[:160]}…"
    summary = f"{entry.family} on {dataset}, by the recipe of {entry.id}{f' with {values}' if values else ''}"
    same_method = varied.recipe.get("objective") == entry.recipe.get("objective")
    return replace(
        varied,
        id=name,
        summary=summary,
        dataset=dataset,
        license="",
        paper=entry.paper if same_method else "",
        tags=_tags(entry, target) if target is not None else entry.tags,
        parameters=0,
        recipe={key: value for key, value in varied.recipe.items() if key != "how"},
        weights=None,
        evaluations=(),
        facts=(),
    )


def _id_for(entry: Entry, dataset: str, old: str) -> str:
    """Derives an id with the name of another data set: ``ddpm-mnist-cond`` becomes ``ddpm-digits-cond``."""
    dataset = re.sub(r"[^a-z0-9.]+", "-", dataset.lower()).strip("-.") or "data"
    if "classes" in entry.recipe["data"]:  # such an id may say which
        return f"{entry.family}-{dataset}"
    parts = entry.id.split("-")
    for words in (old.split("-"), *([word] for word in reversed(old.split("-")))):
        for i in range(1, len(parts) - len(words) + 1):
            if parts[i : i + len(words)] == words:
                return "-".join([*parts[:i], dataset, *parts[i + len(words) :]])
    return f"{entry.family}-{dataset}"


def _tags(entry: Entry, target: Target) -> tuple[str, ...]:
    """Returns those tags of the entry that remain true on other data."""
    now = {"image"} if target.kind == "image" else {"2d"} if target.shape == (2,) else set()
    return (*sorted(now), *(tag for tag in entry.tags if tag not in _KINDS))


def _start_does_not_fit(entry: Entry, start: str, dataset: str) -> str | None:
    """Says why an inherited ``start`` does not fit: its data or tensor shapes differ; ``None`` where it fits."""
    model = load(start)
    theirs = model.entry.dataset if model.entry else ""
    if theirs != dataset:
        return f"that is a model of {theirs} (--set start={start} takes it all the same)"
    built = build(entry)
    try:
        fill(built, built.started_from(model.state_dict()), f"start = {start!r}")
    except WeightsError as err:
        return str(err)
    return None


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copied(v) for k, v in value.items()}
    return list(value) if isinstance(value, (list, tuple)) else value
