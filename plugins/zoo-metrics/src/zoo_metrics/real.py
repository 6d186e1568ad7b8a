"""The real data that samples are compared with, and the baseline scores of real data.

Samples are compared with the *training* split.  The baselines are scores of the *test* split, measured in the same way
and at the same sample size n: the *floor* of n real test examples, and *one class missing*, n test examples without one
class (or all of these, about nine tenths of n), averaged over the classes.  Subsets are drawn at random with a fixed
seed, since the order of MNIST is not random.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from zoo_core import datasets
from zoo_core.errors import IncompatibleError, UnknownNameError
from zoo_core.interfaces import EnergyBased, Model
from zoo_core.interfaces.dataset import DataSet
from zoo_core.randomness import generator
from zoo_metrics.extractor import extractor_for, features_for, images

__all__ = [
    "FLOOR",
    "MISSING",
    "View",
    "anchors",
    "check",
    "check_count",
    "clusters",
    "coordinates",
    "features",
    "is_whole_training_set",
    "log_probabilities",
    "shipped",
    "size",
    "some",
    "test_split",
]

FLOOR = "floor"
MISSING = "one class missing"
"""The baseline of test examples without one class; of a reader's own data without labels, without one cluster."""
LEAST = 100
LEAST_OWN = 20
"""Least number of samples that are compared with a reader's own data."""
MOST = 10_000
FLOORS = 5
"""Greatest number of disjoint sets of n test examples over which the floor is averaged."""

View = Callable[[DataSet], Tensor]
Scores = Callable[[Tensor], Mapping[str, float]]

SHIPPED = Path(__file__).parent / "anchors.json"


def features(data: DataSet) -> Tensor:
    """Computes the extractor's features, ``(n, 256)``; the features of points are the points in float64."""
    return coordinates(data) if data.levels is None else features_for(data).features(images(data))


def log_probabilities(data: DataSet) -> Tensor:
    """Computes log-probabilities of the classes by the data set's extractor, ``(n, classes)``."""
    return extractor_for(data)(images(data))[1]


def coordinates(data: DataSet) -> Tensor:
    """Returns grey values in [0, 1], or points in float64, ``(n, d)``."""
    return data.tensor.flatten(1).double() if data.levels is None else images(data).flatten(1)


def check(model: Model, data: DataSet) -> None:
    """Raises :class:`IncompatibleError` where a model's samples cannot be compared with this data."""
    if not model.space.is_numeric:
        raise IncompatibleError(
            f"samples are {model.space.words()}: codes, whose differences have no meaning; this metric compares numbers"
        )
    if model.space.open_axis is not None:
        raise IncompatibleError(f"samples are {model.space.words()}; this metric compares samples of one shape")
    space = model.space if data.sample_space == model.space else model.space.user
    if not space.holds(data.sample_space):
        found = data.sample_space.words()
        raise IncompatibleError(f"{data.name} has examples of {found}; the model's samples are {model.space.words()}")
    if model.binarises and isinstance(model, EnergyBased):
        raise IncompatibleError("samples are black and white, and the data are grey: compare likelihoods")
    if data.split == "test" and test_split(data) is not None:
        raise IncompatibleError(f"samples are compared with the training split of {data.name}; this is its test split")


def check_count(n: int, least: int = LEAST) -> None:
    """Raises :class:`IncompatibleError` where there are too few samples for a score with an error."""
    if n < least:
        raise IncompatibleError(f"n = {n}; a comparison of samples with data takes at least {least}")


def size(data: DataSet) -> int:
    """Returns the default number of samples: that of the test examples for the baselines, at most 10,000."""
    test = test_split(data)
    return MOST if test is None else max(LEAST, min(MOST, len(test)))


def some(data: DataSet, n: int, purpose: str) -> DataSet:
    """Chooses at most n examples at random, with a fixed seed."""
    rows = torch.randperm(len(data), generator=generator(0, purpose, data.name))[:n]
    return data.take(rows)


def test_split(data: DataSet) -> DataSet | None:
    """Loads the test split with the same classes; ``None`` for data that have none."""
    try:
        if data.split_of is not None:
            return data.split_of("test")
        whole = datasets.load(data.name, "test")
    except UnknownNameError:
        return None
    if data.y is None or whole.y is None:
        return whole
    classes = torch.unique(data.y)
    return whole if len(classes) == len(torch.unique(whole.y)) else whole.only(classes.tolist())


def is_whole_training_set(data: DataSet) -> bool:
    """Says whether the data are the whole training set of their extractor."""
    if data.split_of is not None:
        return False
    return data.split == "train" and data.levels is not None and len(data) == extractor_for(data).statistics.n


def anchors(scores: Scores, view: View, data: DataSet, n: int) -> dict[str, dict[str, float]]:
    """Measures the scores of real test examples, by the names of the score and of the baseline.

    Args:
        scores: function from rows to scores by name.
        view: function from a data set to its rows, such as features.
        data: reference set that the scores compare with.
        n: sample size.

    Returns:
        baselines by score; empty if there are fewer than n test examples, as other sample sizes are not comparable.
    """
    test = test_split(data) if data.split == "train" else None
    if test is None or len(test) < n:
        return {}
    chosen = some(test, len(test), "anchors")
    rows = _viewed(view, chosen, test)
    sets = [scores(rows[i * n : (i + 1) * n]) for i in range(min(FLOORS, len(rows) // n))]
    found = {name: {FLOOR: sum(s[name] for s in sets) / len(sets)} for name in sets[0]}
    parts = chosen.y if chosen.y is not None or data.split_of is None else clusters(rows)
    classes = [] if parts is None else torch.unique(parts).tolist()
    if parts is not None and len(classes) > 1:
        without = [scores(rows[parts != c][:n]) for c in classes]
        for name in found:
            found[name][MISSING] = sum(s[name] for s in without) / len(without)
    return found


def clusters(rows: Tensor, count: int = 10, rounds: int = 20) -> Tensor:
    """Divides rows ``(n, d)`` into clusters by k-means, int64 ``(n,)``: what "one class missing" means without classes.

    Args:
        rows: features or points.
        count: number of clusters, fewer where that would leave less than five rows to one.
        rounds: number of Lloyd's iterations, from centres far apart.
    """
    rows = rows.double()
    count = max(2, min(count, len(rows) // 5))
    centres = rows[:1]
    while len(centres) < count:  # the row farthest from all centres so far
        far = torch.cdist(rows, centres).amin(1).argmax()
        centres = torch.cat([centres, rows[far : far + 1]])
    for _ in range(rounds):
        nearest = torch.cdist(rows, centres).argmin(1)
        found = [rows[nearest == c] for c in range(count)]
        centres = torch.stack([r.mean(0) if len(r) else centres[c] for c, r in enumerate(found)])
    return torch.cdist(rows, centres).argmin(1)


_latest: dict[str, tuple[Tensor, Tensor]] = {}


def _viewed(view: View, chosen: DataSet, test: DataSet) -> Tensor:
    """Computes ``view(chosen)``, and caches it for the current test split.

    A comparison needs the same baselines for every model, and the features of 10,000 images take seconds.
    """
    name = f"{view.__module__}.{view.__qualname__}"
    if name not in _latest or not torch.equal(_latest[name][0], test.tensor):
        _latest[name] = (test.tensor, view(chosen))
    return _latest[name][1]


@cache
def shipped() -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    """Reads stored baselines of ``python -m zoo_metrics.anchors``: kind/data set/n → score → baseline → value."""
    table: dict[str, dict[str, dict[str, float]]] = (
        json.loads(SHIPPED.read_text(encoding="utf-8")) if SHIPPED.is_file() else {}
    )
    return table
