"""What a plugin may implement.  ``ZOO_API`` is the version of this file.

A plugin is a light module (it may import ``zoo_core`` but neither torch nor numpy) named by an entry point of the group
``zoo.plugins``.  It declares the version that it was written for (``ZOO_API = (1, 0)``) and implements hooks.  The same
major version and a minor version not above the core's load.  Hooks only ever gain arguments, so an implementation that
takes fewer keeps working.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from zoo_core.plugins.catalogue import Catalogue

__all__ = ["ZOO_API", "hookimpl", "hookspec"]

ZOO_API = (1, 1)

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@hookspec
def zoo_register(catalogue: Catalogue) -> None:
    """Registers families, samplers, objectives, metrics, data sets, exporters, plots and layouts by name.

    Called once, when plugins are first needed.  May not import torch: register strings, ``"package.module:attribute"``.
    """
