"""The facts that identify a run: recipe, config and data, as flat keys in the notation of ``--set``.

lr = 0.001, data.name = "mnist", config.network.width = 64
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from zoo_core.registry.entry import Entry
from zoo_core.training.recipe import Recipe

__all__ = ["Facts", "differences", "facts", "shown"]

Facts = Mapping[str, Any]
"""JSON values by dotted key."""


def facts(entry: Entry) -> dict[str, Any]:
    """Lists the values that determine an entry's weights, including defaults; keys without a value are absent.

    Raises:
        IncompatibleError: the recipe has a mistake.
    """
    recipe = vars(Recipe.of(entry.recipe)) if entry.recipe else {}
    flat = {**dict(_flat(recipe)), **dict(_flat(entry.config, "config."))}
    plain: dict[str, Any] = json.loads(json.dumps(flat))  # tuples become lists, as in a checkpoint's facts
    return plain


def differences(here: Facts, there: Facts) -> list[str]:
    """Names the keys whose values differ, config first, since a different network often explains the others."""
    keys = sorted({*here, *there}, key=lambda key: (not key.startswith("config."), key))
    return [key for key in keys if here.get(key) != there.get(key)]


def shown(known: Facts, key: str) -> str:
    """Writes a key with its value for a message, ``lr = 0.001``; ``no clip`` for a key without a value."""
    if key not in known:
        return f"no {key}"
    text = json.dumps(known[key], ensure_ascii=False)
    return f"{key} = {text if len(text) <= 80 else f'{text[:80]}…'}"


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None and value != ():
            yield f"{prefix}{key}", value
