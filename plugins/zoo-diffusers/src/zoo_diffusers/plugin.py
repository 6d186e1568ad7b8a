"""Registers what zoo-diffusers offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 2)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the family of diffusers pipelines, their repository format and the exporter to that format."""
    catalogue.family(
        "diffusers-pipeline",
        "zoo_diffusers.model:DiffusersPipeline",
        "diffusion, flow-matching, score-SDE and consistency pipelines in diffusers' repository format",
        capabilities=["Denoiser"],
    )
    catalogue.family(
        "diffusers-latent",
        "zoo_diffusers.latent:LatentPipeline",
        "latent pipelines in diffusers' repository format: a path model of codes and an autoencoder's decoder",
        capabilities=["Composition"],
        inner=["Denoiser"],
    )
    catalogue.layout(
        "diffusers",
        "zoo_diffusers.layout:entry_table",
        "diffusers pipelines of a network and a scheduler, with or without an autoencoder",
        marker=("model_index.json", "scheduler/scheduler_config.json", "scheduler_config.json"),
    )
    catalogue.exporter(
        "diffusers",
        "zoo_diffusers.export:export",
        "a folder that diffusers' DDPMPipeline and related pipelines can load",
        families=[
            "ddpm",
            "score-sde",
            "flow-matching",
            "rectified-flow",
            "consistency",
            "diffusers-pipeline",
            "diffusers-latent",
        ],
    )
