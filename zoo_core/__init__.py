"""A zoo of generative models: one core, one plugin per family, every model one verified line in a registry.

>>> import zoo_core
>>> model = zoo_core.load("ddpm-mnist")  # doctest: +SKIP
>>> images = zoo_core.sample(model, 64, seed=0)  # doctest: +SKIP

Importing this imports neither torch nor a plugin; the names below arrive when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_core.errors import ZooError
    from zoo_core.loading import load
    from zoo_core.lookup import find, info
    from zoo_core.plugins.catalogue import Catalogue
    from zoo_core.plugins.hookspecs import hookimpl
    from zoo_core.redrawing import again
    from zoo_core.sampling import sample
    from zoo_core.sharding import sample_shard
    from zoo_core.training.fit import fit

__version__ = "0.1.0"
__all__ = ["Catalogue", "ZooError", "again", "find", "fit", "hookimpl", "info", "load", "sample", "sample_shard"]

_HOMES = {
    "Catalogue": "plugins.catalogue",
    "ZooError": "errors",
    "again": "redrawing",
    "find": "lookup",
    "fit": "training.fit",
    "hookimpl": "plugins.hookspecs",
    "info": "lookup",
    "load": "loading",
    "sample": "sampling",
    "sample_shard": "sharding",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo_core' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo_core.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
