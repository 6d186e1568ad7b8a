r"""Fidelity and diversity by nearest neighbours.

Around each real example, and around each sample, lies a ball that reaches to its k-th neighbour of its own kind.

    precision   the share of samples inside some real ball         (Kynkäänniemi et al. 2019)
    recall      the share of real examples inside some sample's ball
    density     how many real balls a sample is in, on average, over k          (Naeem et al. 2020)
    coverage    the share of real balls with a sample inside

The *two-sample test* asks whether the nearest neighbour of a point, among samples and real examples together, is of its
own kind (Lopez-Paz & Oquab 2017, 1-NN): right half of the time where they cannot be told apart, always where they can.

Squared distances come from one matrix product for a chunk of rows, about the mean of the real rows:

    ‖x − y‖² = (−2x, ‖x‖², 1)·(y, 1, ‖y‖²).

Whether any of a chunk's distances is below a radius is read off the least difference: that is a pass over floats, which
is quicker than one over truth values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from zoo_metrics.collected import TwoSampleMetric

__all__ = ["Coverage", "Density", "Precision", "Recall", "TwoSampleTest", "fidelity_and_diversity", "nearest_accuracy"]

CHUNK = 1024


def fidelity_and_diversity(fake: Tensor, true: Tensor, k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage of rows ``(n, d)`` against ``(m, d)``."""
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
    """The leave-one-out accuracy of a 1-NN classifier of samples and real examples, equally many."""
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
    """The squared distance of every row to its k-th neighbour; itself is no neighbour."""
    radii = []
    for start, squared in _squared_distances(rows, rows):
        squared.diagonal(start).fill_(torch.inf)
        radii.append(squared.topk(k, dim=1, largest=False).values[:, -1])
    return torch.cat(radii)


def _squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """‖x − y‖² for a chunk of x and all of y, with the index of the chunk's first row."""
    one = x.new_ones(1)
    left = torch.cat([-2.0 * x, x.square().sum(1, keepdim=True), one.expand(len(x), 1)], 1)
    right = torch.cat([y, one.expand(len(y), 1), y.square().sum(1, keepdim=True)], 1).mT
    for start in range(0, len(x), CHUNK):
        yield start, left[start : start + CHUNK] @ right


class Precision(TwoSampleMetric):
    """The share of samples that could be real."""

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
    """The share of real examples that could be samples."""

    name = "recall"


class Density(Precision):
    """How densely the samples lie where real examples do; above 1 where more densely than they."""

    name = "density"
    share = False


class Coverage(Precision):
    """The share of real examples with a sample nearby."""

    name = "coverage"


class TwoSampleTest(TwoSampleMetric):
    """How well a 1-NN classifier tells samples from real examples: 0.5 is best."""

    kind = name = "two-sample-test"
    share = True

    def scores(self, fake: Tensor, true: Tensor) -> Mapping[str, float]:
        return {"two-sample-test": nearest_accuracy(fake, true)}

    def about(self) -> str:
        return "accuracy of 1-NN, leave one out; 0.5 is chance"
