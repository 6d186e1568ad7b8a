"""What zoo-diffusers offers."""

from __future__ import annotations

from zoo_core.catalogue import Catalogue
from zoo_core.hookspecs import hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the family of diffusers' pipelines, and their layout."""
