"""What zoo-ddpm offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the family and its objectives."""
    catalogue.family(
        "ddpm",
        "zoo_ddpm.model:DDPM",
        "denoising diffusion probabilistic models (Ho et al. 2020)",
        capabilities=["Density", "Denoiser"],
    )
    catalogue.objective(
        "ddpm-simple", "zoo_ddpm.objective:Simple", "L_simple: squared error of the network's answer", families=["ddpm"]
    )
    catalogue.objective(
        "ddpm-vlb",
        "zoo_ddpm.objective:VariationalBound",
        "L_vlb: the variational bound, in bits per dimension",
        families=["ddpm"],
    )
    catalogue.objective(
        "ddpm-hybrid",
        "zoo_ddpm.objective:Hybrid",
        "L_hybrid: L_simple, and L_vlb for the learned variance",
        families=["ddpm"],
    )
