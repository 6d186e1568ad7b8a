"""Registers what zoo-rbm offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)

FAMILIES = ["rbm", "gaussian-rbm"]


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers the families, their objectives, metric and plots."""
    can = ["Density", "DirectSampler", "EnergyBased"]
    catalogue.family(
        "rbm",
        "zoo_rbm.model:BernoulliRBM",
        "restricted Boltzmann machines of black and white images or other bits (Smolensky 1986)",
        capabilities=can,
    )
    catalogue.family(
        "gaussian-rbm",
        "zoo_rbm.model:GaussianRBM",
        "restricted Boltzmann machines of real numbers, normal given the hidden bits (Welling et al. 2004)",
        capabilities=can,
    )
    catalogue.objective(
        "cd",
        "zoo_rbm.contrastive_divergence:ContrastiveDivergence",
        "contrastive divergence: chains of a few sweeps from the data (Hinton 2002)",
        families=FAMILIES,
    )
    catalogue.objective(
        "pcd",
        "zoo_rbm.contrastive_divergence:PersistentContrastiveDivergence",
        "contrastive divergence with chains that go on from step to step (Tieleman 2008)",
        families=FAMILIES,
    )
    catalogue.metric(
        "ais-nll",
        "zoo_rbm.metric:AnnealedLikelihood",
        "negative log-likelihood in nats, its normaliser by annealed importance sampling; with a reverse bound",
        needs=["EnergyBased"],
        families=FAMILIES,
    )
    catalogue.plot(
        "filters",
        "zoo_rbm.plots:filters",
        "the weights of each hidden unit as an image",
        families=FAMILIES,
        requires=["image"],
    )
    catalogue.plot(
        "reconstructions",
        "zoo_rbm.plots:reconstructions",
        "held-out images, each above its mean given hidden bits that it explains",
        families=FAMILIES,
        requires=["image"],
    )
