"""Restricted Boltzmann machines, as a stranger would publish them."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    can = ["Density", "EnergyBased"]
    catalogue.family("boltzmann", "zoo_boltzmann.model:RBM", "restricted Boltzmann machines", capabilities=can)
    catalogue.objective(
        "boltzmann-pcd", "zoo_boltzmann.model:PCD", "persistent contrastive divergence", families=["boltzmann"]
    )
