"""Docstrings as mkdocstrings reads them: roles become code, and fields that share a line keep both names.

``:class:`~package.module.Name``` becomes ```Name```; griffe would read ``low, high: range`` as a name and its type.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":[a-z]+:`(~?)([^`<>]+)`")
PAIR = re.compile(r"^( +\w+), (?=\w+: )", re.MULTILINE)


def plain(text: str) -> str:
    """Text without roles: ``~`` keeps the last part of a name."""
    text = ROLE.sub(lambda match: f"`{match[2].rpartition('.')[2] if match[1] else match[2]}`", text)
    return PAIR.sub(r"\1,", text)


class DocstringRoles(griffe.Extension):
    """Rewrites every docstring as it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of a module, a class, a function or an attribute."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)
