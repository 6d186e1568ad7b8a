"""Registers what zoo-gan offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)

OBJECTIVES = {
    "gan-minimax": ("Minimax", "minimax game on log D for both generator and critic (Goodfellow et al. 2014)"),
    "gan-non-saturating": (
        "NonSaturating",
        "non-saturating loss: the generator maximises log D of its samples (Goodfellow et al. 2014)",
    ),
    "gan-least-squares": (
        "LeastSquares",
        "least-squares GAN: squared errors of the critic's score to targets 0 and 1 (Mao et al. 2017)",
    ),
    "wgan": ("Wasserstein", "Wasserstein GAN with clipped critic weights (Arjovsky et al. 2017)"),
    "wgan-gp": ("WassersteinGP", "Wasserstein GAN with a gradient penalty on the critic (Gulrajani et al. 2017)"),
}


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the family and its objectives."""
    catalogue.family(
        "gan",
        "zoo_gan.model:GAN",
        "generative adversarial networks (Goodfellow et al. 2014)",
        capabilities=["DirectSampler", "LatentVariable"],
    )
    for name, (objective, summary) in OBJECTIVES.items():
        catalogue.objective(name, f"zoo_gan.objective:{objective}", summary, families=["gan"])
