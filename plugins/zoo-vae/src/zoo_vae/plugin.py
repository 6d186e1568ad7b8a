"""Registers what zoo-vae offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the family and its objectives."""
    catalogue.family(
        "vae",
        "zoo_vae.model:VAE",
        "variational autoencoders (Kingma & Welling 2014)",
        capabilities=["Density", "DirectSampler", "LatentVariable"],
    )
    catalogue.objective(
        "elbo",
        "zoo_vae.objective:ELBO",
        "evidence lower bound, with β, KL annealing and free bits (Kingma & Welling 2014)",
        families=["vae"],
    )
    catalogue.objective(
        "iwae",
        "zoo_vae.objective:IWAE",
        "importance-weighted bound with k samples of the posterior (Burda et al. 2016)",
        families=["vae"],
    )
