"""Accepts other spellings of a recipe's keys: ``optimizer`` for ``optimiser``.

Both spellings are read, in a registry file, in the ``config.json`` of a snapshot and after ``--set``; entries, runs and
snapshots have the zoo's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_core.errors import IncompatibleError

__all__ = ["SPELLINGS", "in_one_spelling", "twice"]

SPELLINGS = {"optimizer": "optimiser"}
"""Other spellings of keys, with the spelling that the zoo writes."""


def in_one_spelling(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a recipe, or the changes to one, with every key in the spelling that the zoo writes.

    Raises:
        IncompatibleError: a key is there in both spellings.
    """
    if not SPELLINGS.keys() & recipe.keys():
        return recipe
    if message := twice(recipe):
        raise IncompatibleError(f"the recipe's {message}")
    return {SPELLINGS.get(key, key): value for key, value in recipe.items()}


def twice(recipe: Mapping[str, Any]) -> str | None:
    """Returns a message about a key that is there in both spellings; ``None`` where there is none."""
    for other, key in SPELLINGS.items():
        if other in recipe and key in recipe:
            return f"{other} and {key} are two spellings of one key; leave one out"
    return None
