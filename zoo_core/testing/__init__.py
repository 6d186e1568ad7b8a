"""Offers tools for testing a plugin: the conformance kit, a local Hub, and plugins that are installed without pip.

    from zoo_core.testing import parametrize_with_checks

    @parametrize_with_checks("zoo-my-family")
    def test_conformance(check):
        check()

Importing this package imports neither torch nor pytest; the names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_core.testing.conformance import Item, checks_for, parametrize_with_checks

__all__ = ["Item", "checks_for", "parametrize_with_checks"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'zoo_core.testing' has no attribute {name!r}")
    return getattr(importlib.import_module("zoo_core.testing.conformance"), name)
