"""Registers what zoo-score-sde offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)

FAMILIES = ["score-sde", "ncsn"]


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the families, their objectives and the Langevin sampler."""
    catalogue.family(
        "score-sde",
        "zoo_score_sde.model:ScoreSDE",
        "score-based models of the VP, VE and sub-VP SDEs (Song et al. 2021)",
        capabilities=["Density", "Denoiser"],
    )
    catalogue.family(
        "ncsn",
        "zoo_score_sde.ncsn:NCSN",
        "noise-conditional score networks (Song & Ermon 2019)",
        capabilities=["Density", "Denoiser"],
    )
    for name, target, summary in (
        (
            "denoising-score-matching",
            "DenoisingScoreMatching",
            "denoising score matching: regression on the added noise (Vincent 2011)",
        ),
        (
            "explicit-score-matching",
            "ExplicitScoreMatching",
            "explicit score matching: squared error to the exact score of a known density",
        ),
        (
            "sliced-score-matching",
            "SlicedScoreMatching",
            "sliced score matching, by random projections (Song et al. 2019)",
        ),
    ):
        catalogue.objective(name, f"zoo_score_sde.objective:{target}", summary, families=FAMILIES)
    catalogue.sampler(
        "langevin",
        "zoo_score_sde.langevin:Langevin",
        "Langevin dynamics on a differentiable density: MALA, or without Metropolis correction",
        needs=["Density"],
        requires=["points|image", "exact", "!many-passes", "!discrete", "!binarises"],
    )
