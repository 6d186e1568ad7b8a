"""Registers what zoo-guidance offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the noisy classifier with its objective and metric, label dropout, and the guided samplers."""
    catalogue.family(
        "noisy-classifier",
        "zoo_guidance.noisy_classifier:NoisyClassifier",
        "classifiers of noisy data, for classifier guidance of diffusion models (Dhariwal & Nichol 2021)",
        capabilities=[],
    )
    catalogue.objective(
        "noisy-cross-entropy",
        "zoo_guidance.noisy_classifier:NoisyCrossEntropy",
        "cross-entropy of a classifier, averaged over all noise levels",
        families=["noisy-classifier"],
    )
    catalogue.metric(
        "noisy-accuracy",
        "zoo_guidance.noisy_accuracy:NoisyAccuracy",
        "accuracy of a classifier of noisy data, averaged over all noise levels",
        families=["noisy-classifier"],
    )
    catalogue.objective(
        "label-dropout",
        "zoo_guidance.label_dropout:LabelDropout",
        "trains for classifier-free guidance: hides labels at random from any objective (Ho & Salimans 2022)",
        needs=["Denoiser"],
    )
    for name, target, summary in (
        (
            "classifier-guidance",
            "classifier_guidance:ClassifierGuidance",
            "classifier guidance for any sampler, by a classifier of noisy data (Dhariwal & Nichol 2021)",
        ),
        (
            "inpaint",
            "inpainting:Inpaint",
            "inpainting with resampling: draws the unknown part of a sample (RePaint, Lugmayr et al. 2022)",
        ),
        (
            "sdedit",
            "editing:SDEdit",
            "SDEdit: adds noise to an image, and denoises it with any sampler (Meng et al. 2022)",
        ),
        (
            "interpolate",
            "interpolation:Interpolate",
            "interpolation between two samples along great circles in noise space (Song, Meng & Ermon 2021)",
        ),
    ):
        requires = [] if name == "interpolate" else ["!coupled"]
        catalogue.sampler(name, f"zoo_guidance.{target}", summary, needs=["Denoiser"], requires=requires)
