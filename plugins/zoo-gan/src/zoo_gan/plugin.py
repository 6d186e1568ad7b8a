"""What zoo-gan offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)

OBJECTIVES = {
    "gan-minimax": ("Minimax", "the two-player game on log D, as it stands (Goodfellow et al. 2014)"),
    "gan-non-saturating": ("NonSaturating", "the generator ascends log D of its samples (Goodfellow et al. 2014)"),
    "gan-least-squares": ("LeastSquares", "squared errors in place of log D (Mao et al. 2017)"),
    "wgan": ("Wasserstein", "Wasserstein-1 with clipped critic weights (Arjovsky et al. 2017)"),
    "wgan-gp": ("WassersteinGP", "Wasserstein-1 with a gradient penalty (Gulrajani et al. 2017)"),
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
