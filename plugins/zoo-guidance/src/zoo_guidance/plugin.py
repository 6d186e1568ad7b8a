"""What zoo-guidance offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

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
    catalogue.metric(
        "noisy-accuracy",
        "zoo_guidance.noisy_accuracy:NoisyAccuracy",
        "how often a classifier of noisy data is right, over all angles",
        families=["noisy-classifier"],
    )
    catalogue.objective(
        "label-dropout",
        "zoo_guidance.label_dropout:LabelDropout",
        "trains for guidance: any objective, with labels hidden now and then (Ho & Salimans 2022)",
        needs=["Denoiser"],
    )
    for name, target, summary in (
        (
            "classifier-guidance",
            "classifier_guidance:ClassifierGuidance",
            "any sampler, guided by a classifier of noisy data (Dhariwal & Nichol 2021)",
        ),
        ("inpaint", "inpainting:Inpaint", "fills in what is not known, with resampling (Lugmayr et al. 2022)"),
        ("sdedit", "editing:SDEdit", "edits data: adds noise, which any sampler takes off (Meng et al. 2022)"),
        ("interpolate", "interpolation:Interpolate", "what lies between two samples, on great circles of noise"),
    ):
        requires = [] if name == "interpolate" else ["!coupled"]
        catalogue.sampler(name, f"zoo_guidance.{target}", summary, needs=["Denoiser"], requires=requires)
