"""What zoo-gmm offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the family, its objective and its plot."""
    can = ["Density", "DirectSampler"]
    catalogue.family(
        "gmm", "zoo_gmm.model:GaussianMixture", "Gaussian mixtures, one Gaussian among them", capabilities=can
    )
    catalogue.objective("em", "zoo_gmm.objective:ExpectationMaximisation", "expectation–maximisation", families=["gmm"])
    catalogue.plot("em", "zoo_gmm.plots:em", "the components while EM goes on, in the plane", families=["gmm"])
