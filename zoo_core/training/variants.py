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

from zoo_core import datasets, registry
from zoo_core.datasets.prepared import check_fit
from zoo_core.errors import IncompatibleError, UnknownNameError, WeightsError
from zoo_core.interfaces import DataSet
from zoo_core.loading import build, fill, load
from zoo_core.registry import schema
from zoo_core.registry.entry import Entry
from zoo_core.registry.spellings import in_one_spelling
from zoo_core.training import identity
from zoo_core.training.recipe import Recipe

__all__ = ["changed", "for_data"]

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
    old = entry.recipe.get("data", {}).get("name", "")
    dataset = changes.get("data.name", old)
    follows = dict(changes)
    if dataset != old:
        follows = {"data.name": dataset, "data.classes": None, "data.n": None, **follows}
        shape = datasets.load(str(dataset), n=1).sample_space.shape
        if "shape" in entry.config and list(shape) != list(entry.config["shape"]) and None not in shape:
            follows.setdefault("config.shape", list(shape))
    varied = _with(entry, follows)
    Recipe.of(varied.recipe)
    if identity.facts(varied) == identity.facts(entry):
        return entry
    if varied.config.get("shape") != entry.config.get("shape") and "config.shape" not in changes:
        say(f"config.shape = {varied.config['shape']}, as {dataset} has it ({entry.id} has {entry.config['shape']})")
    start = varied.recipe.get("start")
    inherited = start is not None and "start" not in changes
    elsewhere = inherited and (dataset != old or varied.config != entry.config)
    if elsewhere and (reason := _start_does_not_fit(varied, str(start), str(dataset))):
        say(f"starts from fresh weights, not from {start} as {entry.id} does: {reason}")
        varied = _with(varied, {"start": None})
    return _renamed(entry, varied, changes, str(dataset), str(old))


def for_data(family: str, dataset: str, changes: Mapping[str, Any], say: Say = lambda line: None) -> Entry:
    """Makes an entry of a family for a data set, from the recipe whose data are most similar.

    Args:
        family: name of a family, or the beginning of model ids (``wgan-gp``).
        dataset: name of a registered data set.
        changes: values by key as in :func:`changed`, which are applied to every recipe that is tried.
        say: function that is called with a line about the chosen recipe, and for each consequence.

    Raises:
        UnknownNameError: there is no such family or data set.
        IncompatibleError: no recipe fits the data; the message gives the reasons.
    """
    known = [entry for entry in registry.load().find() if entry.recipe]
    candidates = [e for e in known if e.family == family]
    if not candidates and family in registry.load().entries:
        raise IncompatibleError(f"{family} is a model, not a family; use zoo train {family} --dataset {dataset}")
    candidates = candidates or [e for e in known if e.id.startswith(f"{family}-")]
    if not candidates:
        families = ", ".join(sorted({e.family for e in known}))
        raise UnknownNameError("family", family, None, f"families with a recipe: {families}")
    data = datasets.load(dataset, n=1)
    shape = list(data.sample_space.shape)

    def unlike(entry: Entry) -> tuple[bool, ...]:
        return (
            entry.recipe["data"].get("name") != dataset,
            list(entry.config.get("shape", ())) != shape,
            "conditional" in entry.facts,
            "start" in entry.recipe,
            not entry.id.startswith(family),
        )

    reasons = []
    for entry in sorted(candidates, key=unlike):  # stable: natural order of the ids otherwise
        lines: list[str] = []
        wanted = {"data.name": dataset, "data.classes": None, **changes}
        try:
            varied = changed(entry, wanted, lines.append)
            reason = _does_not_fit(varied, entry, data, changes)
        except (IncompatibleError, WeightsError) as err:
            reason = str(err)
        if reason is None:
            others = [e.id for e in candidates if e is not entry]
            also = f"; zoo train ID --dataset {dataset} takes that of {', '.join(others)}" if others else ""
            say(f"{family} on {dataset}, by the recipe of {entry.id}{also}")
            for line in lines:
                say(line)
            return varied
        reasons.append(f"{entry.id}: {reason}")
    more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    words = data.sample_space.words()
    raise IncompatibleError(f"no recipe of {family} fits {dataset} ({words}): {'; '.join(reasons[:3])}{more}")


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


def _renamed(entry: Entry, varied: Entry, changes: Mapping[str, Any], dataset: str, old: str) -> Entry:
    """Gives the varied entry an id, a summary and tags of its own."""
    told = {k: v for k, v in changes.items() if k != "data.name" and not (k == "data.classes" and v is None)}
    whole = "classes" in entry.recipe["data"] and "classes" not in varied.recipe["data"]
    name = entry.id if dataset == old and not whole else _id_for(entry, dataset, old)
    if told or name in registry.load().entries:
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
        tags=_tags(entry, dataset) if dataset != old else entry.tags,
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


def _tags(entry: Entry, dataset: str) -> tuple[str, ...]:
    """Returns those tags of the entry that remain true on another data set."""
    space = datasets.load(dataset, n=1).sample_space
    now = {"image"} if space.kind == "image" else {"2d"} if space.shape == (2,) else set()
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


def _does_not_fit(varied: Entry, entry: Entry, data: DataSet, changes: Mapping[str, Any]) -> str | None:
    """Says why a recipe does not fit a data set; ``None`` where it fits."""
    kind = data.sample_space.kind
    if entry.facts and kind not in entry.facts:
        return f"is not a model of {kind}"
    for option, value in entry.recipe.get("objective_options", {}).items():
        other = registry.load().entries.get(value) if isinstance(value, str) else None
        key = f"objective_options.{option}"
        if other is not None and other.dataset != data.name and key not in changes:
            return f"needs {option}, a model of {data.name}, where it has {value}; --set {key}=…"
    try:
        model = build(varied)
    except WeightsError as err:
        return str(err).removeprefix(f"{varied.id}: ")
    check_fit(model, data)
    for name in model.conditions:
        if name not in data.columns:
            return f"is conditioned on {name!r}, and {data.name} has no such column"
    return None


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copied(v) for k, v in value.items()}
    return list(value) if isinstance(value, (list, tuple)) else value
