"""Registers what zoo-metrics offers."""

from __future__ import annotations

from zoo_core import Catalogue, hookimpl

ZOO_API = (1, 0)

_OF_SAMPLES = {
    "fd-mnist-v1": ("frechet:fd_mnist_v1", "Fréchet distance of classifier features, MNIST"),
    "fd-fashion-v1": ("frechet:fd_fashion_v1", "Fréchet distance of classifier features, Fashion-MNIST"),
    "fd-digits-v1": ("frechet:fd_digits_v1", "Fréchet distance of classifier features, digits 8×8"),
    "r-mnist-v1": (
        "frechet:r_mnist_v1",
        "relative Fréchet distance, MNIST: 0 is real data, 1 is data without one class",
    ),
    "r-fashion-v1": (
        "frechet:r_fashion_v1",
        "relative Fréchet distance, Fashion-MNIST: 0 is real data, 1 is data without one class",
    ),
    "r-digits-v1": (
        "frechet:r_digits_v1",
        "relative Fréchet distance, digits 8×8: 0 is real data, 1 is data without one class",
    ),
    "fd-own": ("frechet:OwnDistance", "Fréchet distance of random convolutional features, images of your own"),
    "r-own": (
        "frechet:OwnRelativeDistance",
        "relative Fréchet distance, images of your own: 0 is held-out images, 1 is those without one class",
    ),
    "fid-inception": (
        "inception:InceptionDistance",
        "FID: Fréchet distance of Inception features, RGB images; fetches 91 MiB",
    ),
    "kid": (
        "kernels:KernelInceptionDistance",
        "kernel Inception distance: unbiased squared MMD of classifier features (Bińkowski et al. 2018)",
    ),
    "mmd": (
        "kernels:MaximumMeanDiscrepancy",
        "unbiased squared maximum mean discrepancy of points or grey values (Gretton et al. 2012)",
    ),
    "precision": (
        "neighbours:Precision",
        "precision: share of samples within the manifold of real data (Kynkäänniemi et al. 2019)",
    ),
    "recall": (
        "neighbours:Recall",
        "recall: share of real examples within the manifold of samples (Kynkäänniemi et al. 2019)",
    ),
    "density": (
        "neighbours:Density",
        "density: mean number of real neighbourhoods around a sample, divided by k (Naeem et al. 2020)",
    ),
    "coverage": (
        "neighbours:Coverage",
        "coverage: share of real neighbourhoods that contain a sample (Naeem et al. 2020)",
    ),
    "two-sample-test": (
        "neighbours:TwoSampleTest",
        "leave-one-out accuracy of 1-NN between samples and data; 0.5 is best",
    ),
    "copies": (
        "copies:Copies",
        "share of samples closer to a training example than 99 % of held-out ones; 0.01 is held-out data",
    ),
    "inception-score": (
        "classifier:InceptionScore",
        "Inception Score with the data set's own classifier (Salimans et al. 2016)",
    ),
    "class-accuracy": ("classifier:ClassAccuracy", "share of samples that a classifier assigns to the requested class"),
    "wasserstein": (
        "transport:Wasserstein",
        "exact Wasserstein-2 distance between 2,000 samples and 2,000 data points",
    ),
    "sliced-wasserstein": (
        "transport:SlicedWasserstein",
        "sliced Wasserstein-2 distance between samples and data, points or grey values",
    ),
    "mode-coverage": ("modes:ModeCoverage", "number of modes of a known mixture that samples cover"),
    "high-quality": ("modes:HighQuality", "share of samples within 3σ of a mode of a known mixture"),
}

_OF_DENSITIES = {
    "nll": ("likelihood:NegativeLogLikelihood", "negative log-likelihood of held-out data, in nats"),
    "bits-per-dim": ("likelihood:BitsPerDimension", "negative log-likelihood of held-out data, in bits per dimension"),
    "kl": (
        "densities:KullbackLeibler",
        "Kullback–Leibler divergence KL(data ‖ model) for data of known density, in nats",
    ),
    "js": ("densities:JensenShannon", "Jensen–Shannon divergence for data of known density, in nats"),
    "entropy": ("densities:Entropy", "entropy of the model, −E log p of its own samples, in nats"),
}

_BOUNDS = {
    "elbo": ("importance:elbo", "negative evidence lower bound of held-out data, in nats"),
    "elbo-bits": ("importance:elbo_bits", "negative evidence lower bound of held-out data, in bits per dimension"),
    "iwae-5000": ("importance:iwae_5000", "negative log-likelihood by 5,000 importance samples, in nats"),
    "iwae-5000-bits": (
        "importance:iwae_5000_bits",
        "negative log-likelihood by 5,000 importance samples, in bits per dimension",
    ),
}


_COMPARED = ["sampled", "numeric", "!open", "!black-and-white"]
_SHIPPED = "data:mnist|data:fashion-mnist|data:digits"
_FEATURES = f"{_SHIPPED}|own"
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
    "fd-own": [*_COMPARED, "image", "own"],
    "r-own": [*_COMPARED, "image", "own"],
    "fid-inception": [*_COMPARED, "rgb"],
    "kid": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "mmd": _COMPARED,
    "precision": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "recall": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "density": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "coverage": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "two-sample-test": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "copies": [*_COMPARED, f"{_POINTS}|{_FEATURES}"],
    "inception-score": [*_COMPARED, _SHIPPED],
    "class-accuracy": [*_COMPARED, _SHIPPED, "conditional|one-class|some-classes"],
    "wasserstein": _COMPARED,
    "sliced-wasserstein": _COMPARED,
    "mode-coverage": [*_COMPARED, _MIXTURES],
    "high-quality": [*_COMPARED, _MIXTURES],
    "bits-per-dim": ["image", "!binarises"],
    "kl": [_KNOWN],
    "js": [*_COMPARED, _KNOWN],
    "entropy": ["sampled", "!image", "!own"],
    "elbo": ["importance"],
    "elbo-bits": ["importance", "image", "!binarises"],
    "iwae-5000": ["importance"],
    "iwae-5000-bits": ["importance", "image", "!binarises"],
}
"""Facts that each metric requires of a model, for listings; ``Metric.check`` asks a built model for these facts."""


@hookimpl
def zoo_register(catalogue: Catalogue) -> None:
    """Registers all metrics."""
    for table, needs in ((_OF_SAMPLES, []), (_OF_DENSITIES, ["Density"]), (_BOUNDS, ["Density", "LatentVariable"])):
        for name, (target, summary) in table.items():
            requires = _REQUIRES.get(name, [])
            catalogue.metric(name, f"zoo_metrics.{target}", summary, needs=needs, requires=requires)
    catalogue.plot(
        "copies",
        "zoo_metrics.copies:pairs",
        "the samples that are closest to training images, each above its nearest",
        requires=["sampled", "image", "!black-and-white", _FEATURES],
    )
