"""Specifies the hooks that a plugin may implement; ``ZOO_API`` is the version of this specification.

A plugin is a module that an entry point of the group ``zoo.plugins`` names.  The module implements hooks, and declares
the version of the hooks that it was written for: ``ZOO_API = (1, 0)``.  It is loaded if the major version is the core's
and the minor version is not greater than the core's.  Later versions may add arguments to hooks but never remove any,
and an implementation may take fewer arguments.  Listings import every plugin's module, so it may import ``zoo_core``,
but not torch or numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from zoo_core.plugins.catalogue import Catalogue

__all__ = ["ZOO_API", "hookimpl", "hookspec"]

ZOO_API = (1, 2)

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@hookspec
def zoo_register(catalogue: Catalogue) -> None:
    """Registers families, samplers, objectives, metrics, data sets, exporters, plots and repository formats.

    It is called once, when plugins are first needed.  It may not import torch: components are registered as strings,
    ``"package.module:attribute"``.

    Args:
        catalogue: catalogue to register the components in.
    """
