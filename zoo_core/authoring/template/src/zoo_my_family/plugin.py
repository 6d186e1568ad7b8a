"""What zoo-my-family offers.  Listing models imports this module, so it imports neither torch nor numpy."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)  # the version of the hooks that this was written for


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the family, as the name of code that is imported when it is used."""
    catalogue.family(
        "my-family",
        "zoo_my_family.model:MyFamily",
        "a flow of affine couplings",
        capabilities=["Density", "DirectSampler", "LatentVariable"],
    )
