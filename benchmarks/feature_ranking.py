"""How well features that know nothing of MNIST rank the zoo's MNIST models, against the extractor trained on it.

python benchmarks/feature_ranking.py       about ten minutes; prints a table, and writes nothing

Each model draws 500 samples in at most 20 steps.  Their relative FD is computed by four kinds of features, with the
floor and the mean of one class missing measured by the same features.  Spearman's correlation with the ranks by
``mnist-v1`` says how far one may trust such features on data of one's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from zoo_core import datasets, registry
from zoo_core.interfaces import Condition
from zoo_core.loading import load
from zoo_core.sampling import quick_sampler, sample
from zoo_metrics import real
from zoo_metrics.extractor import Statistics
from zoo_metrics.extractor import load as extractor
from zoo_metrics.extractor.random_features import GRID, RandomFeatures
from zoo_metrics.frechet import distance_of, statistics_of
from zoo_metrics.moments import Moments

N = 500
COMPONENTS = 100


def samples() -> dict[str, Tensor]:
    """Draws from every MNIST model that has all digits; classes take turns where a model is conditioned on them."""
    drawn = {}
    for entry in registry.load().find(dataset="mnist"):
        if entry.weights is None or entry.sampler is None or "classes" in entry.recipe["data"]:
            continue
        model = load(entry)
        turns = Condition(label=torch.arange(N) % 10) if model.conditions else None
        found = sample(model, N, sampler=quick_sampler(model, 20), condition=turns)
        assert isinstance(found, Tensor)
        drawn[entry.id] = found
        print(f"drawn: {entry.id}", flush=True)
    return drawn


def main() -> None:
    """Prints r of every model by each kind of features, and the correlations of their ranks."""
    train, test = datasets.load("mnist", "train"), datasets.load("mnist", "test")
    reference = real.some(train, 10_000, "reference").scaled(0.0, 1.0)
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))
    images, labels = test.scaled(0.0, 1.0)[order], test.columns["label"][order]
    flat = reference.flatten(1)
    basis = torch.linalg.svd(flat[:4000] - flat.mean(0), full_matrices=False)[2][:COMPONENTS]
    fixed = RandomFeatures(train)
    views: dict[str, Callable[[Tensor], Tensor]] = {
        "mnist-v1": extractor("mnist-v1").features,
        fixed.name: fixed.features,
        f"a copy of {GRID}×{GRID} pixels": lambda x: fixed.features(x)[:, : GRID * GRID],
        f"{COMPONENTS} principal components": lambda x: (x.flatten(1) - flat.mean(0)) @ basis.mT,
    }
    drawn = samples()
    ranked: dict[str, list[float]] = {}
    for name, view in views.items():
        known = statistics_of(view(reference))

        distance = partial(_distance, view, known)
        floor = np.mean([distance(images[i * N : (i + 1) * N]) for i in range(5)])
        missing = np.mean([distance(images[labels != c][:N]) for c in range(10)])
        ranked[name] = [float((distance(x) - floor) / (missing - floor)) for x in drawn.values()]
        correlation = spearmanr(ranked["mnist-v1"], ranked[name])[0]
        print(f"{name:28} Spearman {correlation:.3f} over {len(drawn)} models", flush=True)
    for place, name in enumerate(drawn):
        print(f"{name:22}", *(f"{values[place]:9.2f}" for values in ranked.values()))


def _distance(view: Callable[[Tensor], Tensor], known: Statistics, x: Tensor) -> float:
    return distance_of(known, Moments.of(view(x)))


if __name__ == "__main__":
    main()
