"""What zoo-flow-matching offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the families and their objectives."""
    catalogue.family(
        "flow-matching",
        "zoo_flow_matching.model:FlowMatching",
        "flow matching and stochastic interpolants, with or without optimal transport (Lipman et al. 2023)",
        capabilities=["Density", "Denoiser"],
    )
    catalogue.family(
        "rectified-flow",
        "zoo_flow_matching.model:RectifiedFlow",
        "flows straightened by pairs of noise and data of another one (Liu et al. 2023)",
        capabilities=["Density", "Denoiser"],
    )
    catalogue.family(
        "cnf",
        "zoo_flow_matching.cnf:CNF",
        "continuous normalizing flows by maximum likelihood (Chen et al. 2018; Grathwohl et al. 2019)",
        capabilities=["Density", "DirectSampler", "LatentVariable"],
    )
    catalogue.objective(
        "flow-matching",
        "zoo_flow_matching.objective:FlowMatchingLoss",
        "conditional flow matching, over the model's coupling of noise and data",
        families=["flow-matching"],
    )
    catalogue.objective(
        "reflow",
        "zoo_flow_matching.reflow:Reflow",
        "flow matching over the pairs that a frozen teacher's ODE makes",
        families=["rectified-flow"],
    )
    catalogue.objective(
        "cnf-nll", "zoo_flow_matching.cnf_objective:MaximumLikelihood", "maximum likelihood", families=["cnf"]
    )
