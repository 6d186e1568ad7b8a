"""Registers what zoo-ddpm offers."""

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
        "ddpm-simple",
        "zoo_ddpm.objective:Simple",
        "L_simple: mean squared error of the network's prediction (Ho et al. 2020)",
        families=["ddpm"],
    )
    catalogue.objective(
        "ddpm-vlb",
        "zoo_ddpm.objective:VariationalBound",
        "L_vlb: variational bound on −log p(x), in bits per dimension (Ho et al. 2020)",
        families=["ddpm"],
    )
    catalogue.objective(
        "ddpm-hybrid",
        "zoo_ddpm.objective:Hybrid",
        "L_hybrid: L_simple for the mean plus L_vlb for the learned variance (Nichol & Dhariwal 2021)",
        families=["ddpm"],
    )
