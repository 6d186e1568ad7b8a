"""What zoo-metrics offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

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


_COMPARED = ["sampled", "numeric", "!open", "!black-and-white"]
_FEATURES = "data:mnist|data:fashion-mnist|data:digits"
_POINTS = "points|sequence|audio|table"
_MIXTURES = "data:eight-gaussians|data:25-grid|data:two-gaussians-1d"
_KNOWN = f"{_MIXTURES}|data:two-moons|data:swiss-roll|data:two-spirals|data:checkerboard"

_REQUIRES = {
    "fd-mnist-v1": [*_COMPARED, "data:mnist"],
    "fd-fashion-v1": [*_COMPARED, "data:fashion-mnist"],
    "fd-digits-v1": [*_COMPARED, "data:digits"],
    "r-mnist-v1": [*_COMPARED, "data:mnist", "!one-class"],
    "r-fashion-v1": [*_COMPARED, "data:fashion-mnist", "!one-class"],
    "r-digits-v1": [*_COMPARED, "data:digits", "!one-class"],
    "fid-inception": [*_COMPARED, "rgb"],
    "kid": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "mmd": _COMPARED,
    "precision": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "recall": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "density": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "coverage": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "two-sample-test": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "inception-score": [*_COMPARED, _FEATURES],
    "class-accuracy": [*_COMPARED, _FEATURES, "conditional|one-class|some-classes"],
    "wasserstein": _COMPARED,
    "sliced-wasserstein": _COMPARED,
    "mode-coverage": [*_COMPARED, _MIXTURES],
    "high-quality": [*_COMPARED, _MIXTURES],
    "bits-per-dim": ["image", "!binarises"],
    "kl": [_KNOWN],
    "js": [*_COMPARED, _KNOWN],
    "entropy": ["sampled", "!image"],
    "elbo": ["importance"],
    "elbo-bits": ["importance", "image", "!binarises"],
    "iwae-5000": ["importance"],
    "iwae-5000-bits": ["importance", "image", "!binarises"],
}
"""Facts that must be true of a model for each metric; the metrics check the same on a built model."""


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers all metrics."""
    for table, needs in ((_OF_SAMPLES, []), (_OF_DENSITIES, ["Density"]), (_BOUNDS, ["Density", "LatentVariable"])):
        for name, (target, summary) in table.items():
            requires = _REQUIRES.get(name, [])
            catalogue.metric(name, f"zoo_metrics.{target}", summary, needs=needs, requires=requires)
