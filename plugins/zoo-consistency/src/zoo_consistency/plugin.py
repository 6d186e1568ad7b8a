"""Registers what zoo-consistency offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the family and its objectives."""
    catalogue.family(
        "consistency",
        "zoo_consistency.model:Consistency",
        "consistency models, which sample in one or a few steps (Song et al. 2023)",
        capabilities=["Denoiser"],
    )
    catalogue.objective(
        "consistency-distillation",
        "zoo_consistency.distillation:Distillation",
        "consistency distillation: targets by one ODE step of a frozen teacher (Song et al. 2023)",
        families=["consistency"],
    )
    catalogue.objective(
        "consistency-training",
        "zoo_consistency.training:Training",
        "consistency training without a teacher, with the techniques of iCT (Song & Dhariwal 2024)",
        families=["consistency"],
    )
