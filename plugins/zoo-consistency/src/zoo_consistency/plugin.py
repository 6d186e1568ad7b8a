"""What zoo-consistency offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the family and its objectives."""
    catalogue.family(
        "consistency",
        "zoo_consistency.model:Consistency",
        "consistency models: data from noise in one step, or a few (Song et al. 2023)",
        capabilities=["Denoiser"],
    )
    catalogue.objective(
        "consistency-distillation",
        "zoo_consistency.distillation:Distillation",
        "consistency along one step of a frozen teacher's ODE (Song et al. 2023)",
        families=["consistency"],
    )
    catalogue.objective(
        "consistency-training",
        "zoo_consistency.training:Training",
        "consistency without a teacher, with the schedules of iCT (Song & Dhariwal 2024)",
        families=["consistency"],
    )
