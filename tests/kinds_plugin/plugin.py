"""Samples of every kind, of which everything is known, and two domains to translate them between."""

from __future__ import annotations

from zoo_core.plugins.catalogue import Catalogue
from zoo_core.plugins.hookspecs import hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    capabilities = ["DirectSampler", "Translator", "Completer"]
    catalogue.family("kinds", "zoo_kinds.model:Kinds", "noise of any kind", capabilities=capabilities)
