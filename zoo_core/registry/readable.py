"""Finds what no registry file may have: values nested too deep, and characters that a terminal would act on."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["DEPTH", "shown", "unreadable"]

DEPTH = 24
"""Greatest depth to which tables and arrays of a file may be nested."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def shown(value: Any) -> str:
    """Shortens a value for a message of one line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def unreadable(data: Any) -> tuple[str, str] | None:
    """Finds a value that is nested too deep, or has characters that a terminal would act on."""
    level: list[tuple[str, Any]] = [("", data)]
    for _ in range(DEPTH - 1):
        below: list[tuple[str, Any]] = []
        for where, values in level:
            for key, value in values.items() if isinstance(values, dict) else enumerate(values):
                if isinstance(key, str) and (_CONTROL.search(key) or "\n" in key):
                    return where or "the file", f"the key {shown(key)} has a control character"
                if isinstance(value, str):
                    if _CONTROL.search(value):
                        return _place(where, key), f"{shown(value)} has a control character or half of a surrogate pair"
                elif isinstance(value, (dict, list)) and value:
                    below.append((_place(where, key), value))
        if not below:
            return None
        level = below
    return level[0][0][:80], f"nested deeper than {DEPTH} levels"


def _place(where: str, key: str | int) -> str:
    return f"{where}[{key}]" if isinstance(key, int) else f"{where}.{key}".lstrip(".")
