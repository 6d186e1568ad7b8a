"""What zoo-flows offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)

FAMILIES = {
    "realnvp": ("realnvp:RealNVP", "affine coupling layers, over vectors and images (Dinh et al. 2017)"),
    "glow": ("glow:Glow", "ActNorm, invertible 1×1 convolutions, coupling layers (Kingma & Dhariwal 2018)"),
    "resampled-glow": ("resampled:ResampledGlow", "a Glow whose samples must pass an acceptance (Stimper et al. 2022)"),
    "nsf": ("nsf:NSF", "neural spline flows over vectors (Durkan et al. 2019)"),
    "maf": ("autoregressive_flows:MAF", "masked autoregressive flows (Papamakarios et al. 2017)"),
    "iaf": ("autoregressive_flows:IAF", "inverse autoregressive flows (Kingma et al. 2016)"),
}


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the families, their objective, a sampler and what can be drawn of them."""
    for name, (target, summary) in FAMILIES.items():
        catalogue.family(
            name, f"zoo_flows.{target}", summary, capabilities=["Density", "DirectSampler", "LatentVariable"]
        )
    families = list(FAMILIES)
    catalogue.objective(
        "acceptance",
        "zoo_flows.resampled:AcceptanceRegression",
        "which of a flow's proposals are data-like (Azadi et al. 2019)",
        families=["resampled-glow"],
    )
    catalogue.sampler(
        "tempered",
        "zoo_flows.sampler:Tempered",
        "codes drawn at a temperature (Kingma & Dhariwal 2018)",
        needs=["LatentVariable"],
        families=families,
    )
    catalogue.plot(
        "bent-grid", "zoo_flows.plots:bent_grid", "how a flow bends the plane, layer by layer", families=families
    )
    catalogue.plot("temperatures", "zoo_flows.plots:temperatures", "samples at five temperatures", families=families)
