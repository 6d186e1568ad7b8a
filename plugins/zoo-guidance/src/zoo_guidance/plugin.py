"""What zoo-guidance offers."""

from __future__ import annotations

from zoo_core.catalogue import Catalogue
from zoo_core.hookspecs import hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the noise-aware classifier, the objectives, and the samplers that steer other samplers."""
    catalogue.family(
        "noisy-classifier",
        "zoo_guidance.noisy_classifier:NoisyClassifier",
        "classifiers of noisy data, which guide models on a path (Dhariwal & Nichol 2021)",
        capabilities=[],
    )
    catalogue.objective(
        "noisy-cross-entropy",
        "zoo_guidance.noisy_classifier:NoisyCrossEntropy",
        "cross-entropy at every angle between data and noise",
        families=["noisy-classifier"],
    )
    catalogue.objective(
        "label-dropout",
        "zoo_guidance.label_dropout:LabelDropout",
        "another objective, with labels hidden now and then (Ho & Salimans 2022)",
        needs=["Denoiser"],
    )
