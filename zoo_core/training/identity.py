"""What makes two runs the same: the recipe, the config and the data, as flat keys that ``--set`` would take.

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
    """Lists what decides about an entry's weights, defaults included; a key that is absent has no value.

    Raises:
        IncompatibleError: the recipe has a mistake.
    """
    recipe = vars(Recipe.of(entry.recipe)) if entry.recipe else {}
    flat = {**dict(_flat(recipe)), **dict(_flat(entry.config, "config."))}
    plain: dict[str, Any] = json.loads(json.dumps(flat))  # tuples as lists, as what is read back has them
    return plain


def differences(here: Facts, there: Facts) -> list[str]:
    """Names the keys whose values differ, those of the config first: a network of another width explains the rest."""
    keys = sorted({*here, *there}, key=lambda key: (not key.startswith("config."), key))
    return [key for key in keys if here.get(key) != there.get(key)]


def shown(known: Facts, key: str) -> str:
    """Writes a key with its value for a message, ``lr = 0.001``; ``no clip`` where it has none."""
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
