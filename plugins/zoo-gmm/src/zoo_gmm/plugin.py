"""Registers what zoo-gmm offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the family, its objective and its plot."""
    can = ["Density", "DirectSampler", "Completer"]
    catalogue.family(
        "gmm",
        "zoo_gmm.model:GaussianMixture",
        "Gaussian mixtures with full, tied, diagonal or spherical covariances (Dempster et al. 1977)",
        capabilities=can,
    )
    catalogue.objective(
        "em",
        "zoo_gmm.objective:ExpectationMaximisation",
        "expectation–maximisation for mixture models (Dempster et al. 1977)",
        families=["gmm"],
    )
    catalogue.plot(
        "em",
        "zoo_gmm.plots:em",
        "the components of a two-dimensional mixture at successive EM iterations",
        families=["gmm"],
    )
