"""What zoo-metrics offers."""

from __future__ import annotations

from zoo_core.catalogue import Catalogue
from zoo_core.hookspecs import hookimpl

ZOO_API = (1, 0)

_OF_SAMPLES = {
    "fd-mnist-v1": ("frechet:fd_mnist_v1", "Fréchet distance of features, MNIST"),
    "fd-fashion-v1": ("frechet:fd_fashion_v1", "Fréchet distance of features, Fashion-MNIST"),
    "fd-digits-v1": ("frechet:fd_digits_v1", "Fréchet distance of features, digits 8×8"),
    "r-mnist-v1": ("frechet:r_mnist_v1", "Fréchet distance from real (0) to a class missing (1), MNIST"),
    "r-fashion-v1": ("frechet:r_fashion_v1", "Fréchet distance from real (0) to a class missing (1), Fashion-MNIST"),
    "r-digits-v1": ("frechet:r_digits_v1", "Fréchet distance from real (0) to a class missing (1), digits 8×8"),
    "fid-inception": ("inception:InceptionDistance", "Fréchet distance of Inception's features, RGB; fetches 91 MiB"),
    "kid": ("kernels:KernelInceptionDistance", "kernel distance of features, unbiased"),
    "mmd": ("kernels:MaximumMeanDiscrepancy", "maximum mean discrepancy of points or grey values, unbiased"),
    "precision": ("neighbours:Precision", "the share of samples that could be real"),
    "recall": ("neighbours:Recall", "the share of real examples that could be samples"),
    "density": ("neighbours:Density", "how densely samples lie where real examples do"),
    "coverage": ("neighbours:Coverage", "the share of real examples with a sample nearby"),
    "two-sample-test": ("neighbours:TwoSampleTest", "how well 1-NN tells samples from data; 0.5 is best"),
    "inception-score": (
        "classifier:InceptionScore",
        "exp of what the class says about a sample, by our own classifier",
    ),
    "class-accuracy": ("classifier:ClassAccuracy", "the share of samples of the class that was asked for"),
    "wasserstein": ("transport:Wasserstein", "exact Wasserstein-2 distance of 2,000 points"),
    "sliced-wasserstein": ("transport:SlicedWasserstein", "sliced Wasserstein-2 distance of points or grey values"),
    "mode-coverage": ("modes:ModeCoverage", "how many modes of a known mixture are covered"),
    "high-quality": ("modes:HighQuality", "the share of samples within 3σ of a mode"),
}

_OF_DENSITIES = {
    "nll": ("likelihood:NegativeLogLikelihood", "−E log p of held-out data, in nats"),
    "bits-per-dim": ("likelihood:BitsPerDimension", "−E log p of held-out data, in bits per dimension"),
    "kl": ("densities:KullbackLeibler", "KL(data ‖ model) where the data's density is known, in nats"),
    "js": ("densities:JensenShannon", "Jensen–Shannon divergence where the data's density is known, in nats"),
    "entropy": ("densities:Entropy", "−E log p of the model's own samples, in nats"),
}

_BOUNDS = {
    "elbo": ("importance:elbo", "−ELBO of held-out data, in nats"),
    "elbo-bits": ("importance:elbo_bits", "−ELBO of held-out data, in bits per dimension"),
    "iwae-5000": ("importance:iwae_5000", "−log p by 5,000 importance samples, in nats"),
    "iwae-5000-bits": ("importance:iwae_5000_bits", "−log p by 5,000 importance samples, in bits per dimension"),
}


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers all metrics."""
    for table, needs in ((_OF_SAMPLES, []), (_OF_DENSITIES, ["Density"]), (_BOUNDS, ["Density", "LatentVariable"])):
        for name, (target, summary) in table.items():
            catalogue.metric(name, f"zoo_metrics.{target}", summary, needs=needs)
