"""Registers what zoo-flows offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)

FAMILIES = {
    "realnvp": ("realnvp:RealNVP", "RealNVP: affine coupling layers for vectors and images (Dinh et al. 2017)"),
    "glow": ("glow:Glow", "Glow: ActNorm, invertible 1×1 convolutions and affine coupling (Kingma & Dhariwal 2018)"),
    "resampled-glow": (
        "resampled:ResampledGlow",
        "Glow with learned rejection sampling of its proposals (Stimper et al. 2022)",
    ),
    "nsf": ("nsf:NSF", "neural spline flows for vectors (Durkan et al. 2019)"),
    "maf": ("autoregressive_flows:MAF", "masked autoregressive flows (Papamakarios et al. 2017)"),
    "iaf": ("autoregressive_flows:IAF", "inverse autoregressive flows (Kingma et al. 2016)"),
}


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the families, an objective, a sampler and two plots."""
    for name, (target, summary) in FAMILIES.items():
        catalogue.family(
            name, f"zoo_flows.{target}", summary, capabilities=["Density", "DirectSampler", "LatentVariable"]
        )
    families = list(FAMILIES)
    catalogue.objective(
        "acceptance",
        "zoo_flows.resampled:AcceptanceRegression",
        "logistic regression of data against a flow's proposals, for rejection sampling (Azadi et al. 2019)",
        families=["resampled-glow"],
    )
    catalogue.sampler(
        "tempered",
        "zoo_flows.sampler:Tempered",
        "latent codes drawn at a temperature and decoded (Kingma & Dhariwal 2018)",
        needs=["LatentVariable"],
        families=families,
    )
    catalogue.plot(
        "bent-grid",
        "zoo_flows.plots:bent_grid",
        "a grid in latent space after each layer of a two-dimensional flow",
        families=families,
    )
    catalogue.plot(
        "temperatures",
        "zoo_flows.plots:temperatures",
        "samples of a flow at five temperatures of its latent codes",
        families=families,
    )
