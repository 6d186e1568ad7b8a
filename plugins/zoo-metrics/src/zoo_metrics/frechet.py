r"""The Fréchet distance between the features of samples and of data (Heusel et al. 2017).

For Gaussians it is

    FD = ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁ Σ₂)^½.

With Σ₁ = R Rᵀ, the eigenvalues of Σ₁Σ₂ are those of the symmetric RᵀΣ₂R, so the last term is Σ √λ(RᵀΣ₂R), which is real
and defined for singular covariances; R is computed once for a reference set.

The FD of n samples is biased upwards by about c/n, so values are comparable only at equal n.  Two baselines are
measured with real test images: the *floor*, and the FD with *one class missing*, averaged over the classes.  The
relative score

    r = (FD − floor)/(FD of one class missing − floor)

is 0 for real images and 1 for real images without one class.  Its standard error is a jackknife over ten blocks of
samples and ignores the errors of the baselines.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Metric, Model, Result, Streams
from zoo_core.interfaces.dataset import DataSet
from zoo_metrics import extractor as extractors
from zoo_metrics import real
from zoo_metrics.extractor import Extractor, Statistics
from zoo_metrics.extractor.random_features import NAME, RandomFeatures
from zoo_metrics.moments import Moments

__all__ = [
    "FrechetDistance",
    "OwnDistance",
    "OwnRelativeDistance",
    "RelativeDistance",
    "frechet_distance",
    "root_of",
    "statistics_of",
]

BLOCKS = 10
OWN_MOST = 10_000
"""Greatest number of a reader's own training images that samples are compared with."""


def root_of(covariance: Tensor) -> Tensor:
    """Computes R with R Rᵀ = the covariance, by its eigenvectors, also for singular covariances."""
    values, vectors = torch.linalg.eigh(covariance.double())
    return vectors * values.clamp_min(0).sqrt()


def frechet_distance(reference: Statistics, mean: Tensor, covariance: Tensor) -> float:
    """Computes the FD between a reference and Gaussian moments in float64."""
    mean, covariance = mean.double(), covariance.double()
    inner = torch.linalg.eigvalsh(reference.root.mT @ covariance @ reference.root).clamp_min(0).sqrt().sum()
    shift = (reference.mean - mean).square().sum()
    return float(shift + reference.root.square().sum() + covariance.trace() - 2 * inner)


@dataclass(frozen=True)
class Blocks:
    """Moments of the samples, in blocks by index modulo ten.

    Attributes:
        data: reference set.
        blocks: moments of each block, for the jackknife.
        memo: computed results, for the metrics that share this state.
    """

    data: DataSet
    blocks: tuple[Moments, ...]
    memo: dict[str, Any] = field(default_factory=dict, compare=False)


class FrechetDistance(Metric[Blocks]):
    """The Fréchet distance of the features of one extractor.

    Args:
        extractor: name of the extractor.
    """

    uses = "samples"

    def __init__(self, extractor: str) -> None:
        self.extractor = extractor

    def shares(self) -> Hashable:
        return ("moments", self.extractor)

    def dimension(self, data: DataSet) -> int:
        """Returns the number of features of a data set's images."""
        return extractors.FEATURES

    def size(self, data: DataSet) -> int:
        return real.size(data)

    def check(self, model: Model, data: DataSet) -> None:
        made_for = extractors.PINNED[self.extractor].dataset
        if data.name != made_for:
            raise IncompatibleError(f"the features of {self.extractor} are for {made_for}, not for {data.name}")
        real.check(model, data)

    def features(self, x: Tensor, data: DataSet) -> Tensor:
        """Computes the features of images in [0, 1] that are compared with a data set, ``(n, dimension)``."""
        return extractors.load(self.extractor)(x)[0]

    def view(self, data: DataSet) -> Tensor:
        """Computes the features of a data set, ``(n, dimension)``."""
        return real.features(data)

    def reference(self, data: DataSet) -> Statistics:
        """Returns the statistics that samples are compared with."""
        return statistics(data, extractors.load(self.extractor))

    def init(self, model: Model, data: DataSet) -> Blocks:
        self.check(model, data)
        return Blocks(data, tuple(Moments.empty(self.dimension(data)) for _ in range(BLOCKS)))

    def update(self, state: Blocks, model: Model, batch: Batch, streams: Streams) -> Blocks:
        features = self.features(batch.x, state.data)
        block_of = torch.arange(streams.start, streams.start + len(batch)) % BLOCKS
        new = [Moments.of(features[block_of == b]) for b in range(BLOCKS)]
        return self.merge(state, Blocks(state.data, tuple(new)))

    def merge(self, a: Blocks, b: Blocks) -> Blocks:
        return Blocks(a.data, tuple(x.merge(y) for x, y in zip(a.blocks, b.blocks, strict=True)))

    def compute(self, state: Blocks) -> Result:
        return self.result(state, *self.measured(state))

    def result(self, state: Blocks, distance: float, stderr: float, anchors: Mapping[str, float]) -> Result:
        """Makes the result from the distance, its standard error and the baselines."""
        return Result(distance, stderr, _whole(state).n, "", "lower", anchors, self.protocol(state))

    def measured(self, state: Blocks) -> tuple[float, float, Mapping[str, float]]:
        """Computes distance, standard error and baselines, once for all metrics that share the state."""
        if "measured" not in state.memo:
            reference = self.reference(state.data)
            whole = _whole(state)
            real.check_count(whole.n, real.LEAST if state.data.split_of is None else real.LEAST_OWN)
            value = distance_of(reference, whole)
            left_out = torch.tensor([distance_of(reference, whole.without(b)) for b in state.blocks])
            stderr = math.sqrt((BLOCKS - 1) * left_out.double().var(correction=0).item())

            def scores(features: Tensor) -> dict[str, float]:
                return {"fd": distance_of(reference, Moments.of(features))}

            anchors = real.anchors(scores, self.view, state.data, whole.n)
            state.memo["measured"] = (value, stderr, anchors.get("fd", {}))
        found: tuple[float, float, Mapping[str, float]] = state.memo["measured"]
        return found

    def protocol(self, state: Blocks) -> str:
        """Describes the settings that the number depends on."""
        return f"features {self.extractor}, {state.data.levels} levels, {len(state.data):,} training images"


class Relative(FrechetDistance):
    """Divides the FD by that of one class missing, both above the floor."""

    headline = True

    def result(self, state: Blocks, distance: float, stderr: float, anchors: Mapping[str, float]) -> Result:
        n = _whole(state).n
        if real.MISSING not in anchors:
            raise IncompatibleError(
                f"n = {n:,} samples exceed the test images, the baselines of r; use -n {self.size(state.data)}"
            )
        floor, missing = anchors[real.FLOOR], anchors[real.MISSING]
        width = missing - floor
        named = {"FD": distance, "FD floor": floor, f"FD {real.MISSING}": missing}
        return Result((distance - floor) / width, stderr / width, n, "", "lower", named, self.protocol(state))


class RelativeDistance(Relative):
    """The relative FD r, which is 0 for real images and 1 for real images without one class."""

    def check(self, model: Model, data: DataSet) -> None:
        super().check(model, data)
        if data.y is None or len(torch.unique(data.y)) < 2:
            raise IncompatibleError(f"no class can be missing from {data.name}, which has one; use fd-{self.extractor}")


class OwnDistance(FrechetDistance):
    """The FD of a reader's own images, whose features are those of fixed random filters."""

    def __init__(self) -> None:
        super().__init__(NAME)

    def check(self, model: Model, data: DataSet) -> None:
        if data.split_of is None or data.levels is None:
            raise IncompatibleError(f"the features of {NAME} are for images of your own, not for {data.name}")
        real.check(model, data)

    def dimension(self, data: DataSet) -> int:
        return _random(data).dimension

    def size(self, data: DataSet) -> int:
        test = real.test_split(data)
        return real.MOST if test is None else max(real.LEAST_OWN, min(real.MOST, len(test)))

    def features(self, x: Tensor, data: DataSet) -> Tensor:
        return _random(data).features(x)

    def reference(self, data: DataSet) -> Statistics:
        return statistics_of(real.features(real.some(data, OWN_MOST, "reference")))


class OwnRelativeDistance(Relative, OwnDistance):
    """The relative FD r of a reader's own images: 0 is held-out images, 1 is those without one class or cluster."""


def _random(data: DataSet) -> RandomFeatures:
    found = extractors.features_for(data)
    assert isinstance(found, RandomFeatures)
    return found


def statistics(data: DataSet, extractor: Extractor) -> Statistics:
    """Returns the statistics of a reference set, stored for a whole training set, otherwise computed."""
    if real.is_whole_training_set(data):
        return extractor.statistics
    return statistics_of(extractor(extractors.images(data))[0])


def statistics_of(features: Tensor) -> Statistics:
    """Computes the statistics of the features of a reference set, ``(n, d)``."""
    moments = Moments.of(features)
    return Statistics(moments.n, moments.mean(), root_of(moments.covariance()))


def distance_of(reference: Statistics, moments: Moments) -> float:
    """Computes the FD between a reference and summed features."""
    return frechet_distance(reference, moments.mean(), moments.covariance())


def _whole(state: Blocks) -> Moments:
    total = state.blocks[0]
    for block in state.blocks[1:]:
        total = total.merge(block)
    return total


def fd_mnist_v1() -> FrechetDistance:
    return FrechetDistance("mnist-v1")


def fd_fashion_v1() -> FrechetDistance:
    return FrechetDistance("fashion-v1")


def fd_digits_v1() -> FrechetDistance:
    return FrechetDistance("digits-v1")


def r_mnist_v1() -> RelativeDistance:
    return RelativeDistance("mnist-v1")


def r_fashion_v1() -> RelativeDistance:
    return RelativeDistance("fashion-v1")


def r_digits_v1() -> RelativeDistance:
    return RelativeDistance("digits-v1")
