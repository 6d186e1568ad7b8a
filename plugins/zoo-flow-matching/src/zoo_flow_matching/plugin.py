"""Registers what zoo-flow-matching offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the families and their objectives."""
    catalogue.family(
        "flow-matching",
        "zoo_flow_matching.model:FlowMatching",
        "flow matching, with independent or optimal-transport coupling (Lipman et al. 2023; Tong et al. 2024)",
        capabilities=["Density", "Denoiser"],
    )
    catalogue.family(
        "rectified-flow",
        "zoo_flow_matching.model:RectifiedFlow",
        "rectified flows, straightened on the (noise, sample) pairs of a teacher flow (Liu et al. 2023)",
        capabilities=["Density", "Denoiser"],
    )
    catalogue.family(
        "mean-flow",
        "zoo_flow_matching.mean_flow:MeanFlow",
        "mean flows, whose network knows the average velocity and samples in one step (Geng et al. 2025)",
        capabilities=["Density", "Denoiser"],
    )
    catalogue.family(
        "cnf",
        "zoo_flow_matching.cnf:CNF",
        "continuous normalizing flows with an exact or estimated trace (Chen et al. 2018; Grathwohl et al. 2019)",
        capabilities=["Density", "DirectSampler", "LatentVariable"],
    )
    catalogue.objective(
        "flow-matching",
        "zoo_flow_matching.objective:FlowMatchingLoss",
        "conditional flow matching: regression on the velocity between coupled noise and data",
        families=["flow-matching"],
    )
    catalogue.objective(
        "mean-flow",
        "zoo_flow_matching.mean_flow_objective:MeanFlowLoss",
        "the identity that average and instantaneous velocity satisfy, as a regression (Geng et al. 2025)",
        families=["mean-flow"],
    )
    catalogue.sampler(
        "flow-map",
        "zoo_flow_matching.mean_flow:FlowMap",
        "jumps by average velocities, from noise to data in one step or a few (Geng et al. 2025)",
        needs=["Denoiser"],
        families=["mean-flow"],
    )
    catalogue.objective(
        "reflow",
        "zoo_flow_matching.reflow:Reflow",
        "flow matching on the (noise, sample) pairs of a frozen teacher's ODE",
        families=["rectified-flow"],
    )
    catalogue.objective(
        "cnf-nll",
        "zoo_flow_matching.cnf_objective:MaximumLikelihood",
        "maximum likelihood through the ODE, with an optional kinetic-energy penalty (Finlay et al. 2020)",
        families=["cnf"],
    )
