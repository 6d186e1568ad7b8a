r"""Feature extractors, frozen, versioned and verified by hash.

``mnist-v1``, ``fashion-v1`` and ``digits-v1`` share one architecture (:mod:`zoo_metrics.extractor.network`).  Each was
trained once on the training images of its data set (:mod:`zoo_metrics.extractor.__main__`) and is stored with the mean
and the covariance of the features of the whole training set.  Distances between features of two networks are not
comparable, so an extractor never changes; a better one gets a new name.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import ChecksumError, IncompatibleError
from zoo_core.interfaces.dataset import DataSet
from zoo_core.loading import weights_file
from zoo_metrics.extractor.network import FEATURES, Classifier
from zoo_metrics.extractor.random_features import RandomFeatures

__all__ = ["FEATURES", "PINNED", "Extractor", "Pinned", "Statistics", "extractor_for", "features_for", "images", "load"]

FOLDER = Path(__file__).parent.parent / "extractors"


@dataclass(frozen=True)
class Pinned:
    """A stored extractor.

    Attributes:
        dataset: data set that it was trained on and is used for.
        side: height and width of its images, in pixels.
        weights, statistics: SHA-256 of ``NAME.safetensors`` and of ``NAME.train.safetensors``.
    """

    dataset: str
    side: int
    weights: str = ""
    statistics: str = ""


PINNED = {
    "mnist-v1": Pinned(
        "mnist",
        28,
        weights="94cee8185a3ab50489baa407765186de76690dba050ab33c05d10d74c8081e30",
        statistics="0da5529a9774df0f8f15c7bc4568c078e9e12eb5f5ee86fc76c0c5827005a2b8",
    ),
    "fashion-v1": Pinned(
        "fashion-mnist",
        28,
        weights="80ef43f0822ee14d3608a767a644ff1ca507a4d6f8c34028e9c411453e2dd5a5",
        statistics="0568186500de8634aea67119e6bb3e815b7fed0007f8ed50045c8bdde020d382",
    ),
    "digits-v1": Pinned(
        "digits",
        8,
        weights="b3bf9ee6bb0aed8a73085d493e6d0faf41ca51cba53e072255cb7d53813904da",
        statistics="182a68f2271587775e46456120f7e519e5f0b16a9bbe4b2f4c16330d17b2bb04",
    ),
}


@dataclass(frozen=True)
class Statistics:
    """Mean and covariance of features over a reference set.

    Attributes:
        n: number of images.
        mean: mean, ``(d,)`` in float64.
        root: matrix R with R Rᵀ = the covariance, ``(d, d)`` in float64, which is half of the work of a Fréchet
            distance.
    """

    n: int
    mean: Tensor
    root: Tensor


class Extractor:
    """An extractor of features and class probabilities of images in [0, 1].

    Args:
        name: name, a key of :data:`PINNED`.
        network: frozen network.
        statistics: statistics of the features of the training set.
    """

    def __init__(self, name: str, network: Classifier, statistics: Statistics) -> None:
        self.name, self.statistics = name, statistics
        self.network = network.eval().requires_grad_(False)
        self._last: tuple[Tensor, tuple[Tensor, Tensor]] | None = None

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Computes features ``(n, 256)`` and log-probabilities ``(n, classes)`` in float32, on the CPU.

        The result for the last tensor is cached, so that several metrics of one batch cost one pass.
        """
        if self._last is None or self._last[0] is not x:
            with torch.inference_mode():
                parts = [self.network(part) for part in torch.split(x.to("cpu", torch.float32), 500)]
            self._last = (x, (torch.cat([f for f, _ in parts]), torch.cat([p for _, p in parts])))
        return self._last[1]

    def features(self, x: Tensor) -> Tensor:
        """Computes features only, ``(n, 256)``."""
        return self(x)[0]


@cache
def load(name: str) -> Extractor:
    """Loads a stored extractor, whose files are verified by their pinned hashes.

    Raises:
        ChecksumError: a file has another hash.
    """
    pinned = PINNED[name]
    network = Classifier(pinned.side)
    network.load_state_dict(_verified(FOLDER / f"{name}.safetensors", pinned.weights), strict=True)
    table = _verified(FOLDER / f"{name}.train.safetensors", pinned.statistics)
    return Extractor(name, network, Statistics(int(table["n"]), table["mean"], table["root"]))


def extractor_for(data: DataSet) -> Extractor:
    """Loads the extractor of a data set.

    Raises:
        IncompatibleError: there is no extractor for the data set.
    """
    for name, pinned in PINNED.items():
        if pinned.dataset == data.name:
            return load(name)
    known = ", ".join(pinned.dataset for pinned in PINNED.values())
    raise IncompatibleError(f"there are features for {known}; none for {data.name}")


def features_for(data: DataSet) -> Extractor | RandomFeatures:
    """Returns the features by which images are compared: of the set's own extractor, or random ones for a reader's own.

    Raises:
        IncompatibleError: the data are registered, and have no extractor.
    """
    if data.split_of is None:
        return extractor_for(data)
    for known, features in _random:
        if known is data.split_of or known == data.split_of:
            return features
    _random.append((data.split_of, RandomFeatures(data.split_of("train"))))
    del _random[:-4]
    return _random[-1][1]


_random: list[tuple[object, RandomFeatures]] = []


def card(name: str) -> dict[str, Any]:
    """Reads the facts about an extractor: accuracy, training, and the files that it was trained on."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def images(data: DataSet) -> Tensor:
    """Converts the images of a data set to float32 in [0, 1], the input of extractors."""
    return data.scaled(0.0, 1.0)


def _verified(path: Path, sha256: str) -> dict[str, Tensor]:
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ChecksumError(f"{path} has sha256 {found}, pinned is {sha256}; reinstall zoo-metrics")
    return weights_file.parse(content, name=str(path))
