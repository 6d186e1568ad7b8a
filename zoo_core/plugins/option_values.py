"""Checks the values of a component's options against the type annotations of its parameters."""

from __future__ import annotations

import math
import numbers
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["wrong_option"]


def wrong_option(make: Callable[..., Any], options: Mapping[str, Any]) -> str | None:
    """Returns a message about the first option whose value has the wrong type; ``None`` if all are right.

    Types are compared strictly: a boolean is not a number, 1.5 is not an integer, a string is not a boolean.  NaN and
    infinity are not accepted as numbers.

    Args:
        make: class or function that takes the options; a parameter without an annotation takes any value.
        options: JSON values by the names of the parameters.
    """
    try:
        hints = get_type_hints(make.__init__ if isinstance(make, type) else make)  # type: ignore[misc]
    except (NameError, TypeError, AttributeError):  # an annotation with a name that only the type checker imports
        return None
    for name, value in options.items():
        if name in hints and not _fits(value, hints[name]):
            shown = "NaN" if isinstance(value, float) and math.isnan(value) else repr(value)[:80]
            return f"{name} = {shown}; expected {_words(hints[name])}"
    return None


def _fits(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner and not (isinstance(value, bool) and True not in inner and False not in inner)
    if kind is None or kind is type(None):
        return value is None
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and _is_finite(value)
    if kind is str:
        return isinstance(value, str)
    base = origin or kind
    if isinstance(base, type) and issubclass(base, Mapping):
        return isinstance(value, Mapping)
    if isinstance(base, type) and issubclass(base, Sequence):
        if isinstance(value, (str, Mapping)) or not hasattr(value, "__len__"):
            return False
        return not inner or all(_fits(item, inner[0]) for item in value)
    return True


def _is_finite(number: Any) -> bool:
    return -math.inf < number < math.inf  # math.isfinite raises an error for very large integers


def _words(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(one) for one in inner)
    if origin is Literal:
        return " or ".join(map(str, inner))
    plain = {int: "an integer", float: "a finite number", bool: "true or false", str: "a word", type(None): "null"}
    if kind in plain:
        return plain[kind]
    base = origin or kind
    if isinstance(base, type) and issubclass(base, Mapping):
        return "a table, {…}"
    return "a list, […]" if isinstance(base, type) and issubclass(base, Sequence) else str(kind)
