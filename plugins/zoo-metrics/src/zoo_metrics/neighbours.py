r"""Fidelity and diversity by nearest neighbours.

The ball around each real example and each sample reaches to its k-th nearest neighbour in its own set.

    precision   the share of samples inside some ball of a real example    (Kynkäänniemi et al. 2019)
    recall      the share of real examples inside some ball of a sample
    density     the mean number of real examples' balls that contain a sample, divided by k  (Naeem et al. 2020)
    coverage    the share of real examples' balls that contain a sample

The *two-sample test* is the leave-one-out accuracy of a 1-NN classifier between samples and real examples (Lopez-Paz &
Oquab 2017): 0.5 for equal distributions, 1 for sets that can be separated.

Squared distances, with the mean of the real rows subtracted, are one matrix product for a chunk of rows:

    ‖x − y‖² = (−2x, ‖x‖², 1)·(y, 1, ‖y‖²).

Whether any distance of a chunk is below a radius is tested by the least difference, since a minimum over floats is
quicker than a pass over truth values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from zoo_metrics.collected import TwoSampleMetric

__all__ = ["Coverage", "Density", "Precision", "Recall", "TwoSampleTest", "fidelity_and_diversity", "nearest_accuracy"]

CHUNK = 1024


def fidelity_and_diversity(fake: Tensor, true: Tensor, k: int = 5) -> dict[str, float]:
    """Computes precision, recall, density and coverage of samples ``(n, d)`` against real rows ``(m, d)``."""
    centre = true.mean(0)
    fake, true = fake - centre, true - centre
    true_radius, fake_radius = _radii(true, k), _radii(fake, k)
    precise = torch.empty(len(fake), dtype=torch.bool)
    recalled = torch.zeros(len(true), dtype=torch.bool)
    covered = torch.zeros(len(true), dtype=torch.bool)
    inside = 0
    for start, squared in _squared_distances(fake, true):
        rows = slice(start, start + len(squared))
        recalled |= (squared - fake_radius[rows, None]).amin(0) < 0
        beyond = squared.sub_(true_radius)
        precise[rows] = beyond.amin(1) < 0
        covered |= beyond.amin(0) < 0
        inside += int(torch.count_nonzero(beyond < 0))
    return {
        "precision": precise.double().mean().item(),
        "recall": recalled.double().mean().item(),
        "density": inside / (k * len(fake)),
        "coverage": covered.double().mean().item(),
    }


def nearest_accuracy(fake: Tensor, true: Tensor) -> float:
    """Computes the leave-one-out accuracy of a 1-NN classifier between equal numbers of samples and real rows."""
    count = min(len(fake), len(true))
    centre = true.mean(0)
    rows = torch.cat([fake[:count], true[:count]]) - centre
    right = 0
    for start, squared in _squared_distances(rows, rows):
        squared.diagonal(start).fill_(torch.inf)
        own = torch.arange(start, start + len(squared)) < count
        right += int(((squared.argmin(1) < count) == own).sum())
    return right / (2 * count)


def _radii(rows: Tensor, k: int) -> Tensor:
    """Computes the squared distance of every row to its k-th nearest other row."""
    radii = []
    for start, squared in _squared_distances(rows, rows):
        squared.diagonal(start).fill_(torch.inf)
        radii.append(squared.topk(k, dim=1, largest=False).values[:, -1])
    return torch.cat(radii)


def _squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yields ‖x − y‖² for a chunk of x and all of y, with the index of the chunk's first row."""
    one = x.new_ones(1)
    left = torch.cat([-2.0 * x, x.square().sum(1, keepdim=True), one.expand(len(x), 1)], 1)
    right = torch.cat([y, one.expand(len(y), 1), y.square().sum(1, keepdim=True)], 1).mT
    for start in range(0, len(x), CHUNK):
        yield start, left[start : start + CHUNK] @ right


class Precision(TwoSampleMetric):
    """The share of samples that lie in the ball of a real example."""

    kind = "neighbours"
    name = "precision"
    direction = "higher"
    share = True
    k = 5

    def scores(self, fake: Tensor, true: Tensor) -> Mapping[str, float]:
        return fidelity_and_diversity(fake, true, self.k)

    def about(self) -> str:
        return f"k = {self.k}"


class Recall(Precision):
    """The share of real examples that lie in the ball of a sample."""

    name = "recall"


class Density(Precision):
    """The mean number of balls of real examples that contain a sample, divided by k; it may exceed 1."""

    name = "density"
    share = False


class Coverage(Precision):
    """The share of real examples whose ball contains a sample."""

    name = "coverage"


class TwoSampleTest(TwoSampleMetric):
    """The accuracy of a 1-NN classifier between samples and real examples; 0.5 is best."""

    kind = name = "two-sample-test"
    share = True

    def scores(self, fake: Tensor, true: Tensor) -> Mapping[str, float]:
        return {"two-sample-test": nearest_accuracy(fake, true)}

    def about(self) -> str:
        return "accuracy of 1-NN, leave one out; 0.5 is chance"
