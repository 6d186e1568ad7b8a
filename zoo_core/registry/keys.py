"""Describes the keys of a table that was read from a file, and finds what is wrong with the values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["JSON_TYPES", "Key", "shown", "table_problems", "unreadable"]

DEPTH = 24
"""Greatest depth to which tables and arrays of a file may be nested."""
LARGEST = 1e300
"""Bound on the magnitude of numbers; it excludes infinity, NaN, and integers that are too large for a float."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

JSON_TYPES: dict[type, str] = {
    str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array"
}  # fmt: skip


_Type = type  # in the class, `type` is its field


@dataclass(frozen=True)
class Key:
    """One key of a table.

    Attributes:
        type: type of the value.
        doc: meaning of the value, with its default in brackets.
        required: whether the key must be there.
        pattern: regular expression that a string must match.
        example: description of the strings that match, for messages.
        items: type of an array's items.
    """

    type: type
    doc: str
    required: bool = False
    pattern: str | None = None
    example: str = ""
    items: _Type = str

    def problem(self, value: Any) -> str | None:
        """Says what is wrong with a value; ``None`` if it is valid."""
        right = isinstance(value, self.type) or (self.type is float and isinstance(value, int))
        if not right or (isinstance(value, bool) and self.type is not bool):
            return f"expected {JSON_TYPES[self.type]}, found {shown(value)}"
        if self.pattern and not re.fullmatch(self.pattern, value, re.ASCII):
            return f"{shown(value)} is not {self.example}"
        if self.type is str and "\n" in value:
            return f"{shown(value)} is not one line"
        if self.type is int and not 0 <= value < 1 << 63:
            return f"{shown(value)} is {'negative' if value < 0 else 'too large'}"
        if self.type is float and not abs(value) < LARGEST:
            return f"{value!r} is not a finite number below {LARGEST:g}"
        if self.type is list and any(Key(self.items, "").problem(item) for item in value):
            return f"expected an array of {JSON_TYPES[self.items]}s, found {shown(value)}"
        return None


def shown(value: Any) -> str:
    """Shortens a value for a message of one line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


NUMBER = Key(float, "a number")


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


def table_problems(table: Mapping[str, Any], keys: Mapping[str, Key], where: str) -> Iterator[tuple[str, str]]:
    for name, key in keys.items():
        if name not in table:
            if key.required:
                yield f"{where}.{name}", "missing"
        elif name == "eval":
            if not isinstance(table[name], list):
                yield f"{where}.{name}", f"expected tables [[…eval]], found {shown(table[name])}"
        elif what := key.problem(table[name]):
            yield f"{where}.{name}", what
        elif name == "anchors":
            for anchor, value in table[name].items():
                if what := NUMBER.problem(value):
                    yield f"{where}.anchors.{anchor}", what
