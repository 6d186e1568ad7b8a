r"""The data sets that the families are taught with: observations that are written here, and simulated ones.

Of observations that are few, all are for training, so that the estimates are those of the textbook; their test examples
are simulated from the relative frequencies or moments, and show how close a model came to these.  Simulated data are
drawn from a known distribution, for training and for testing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo_classical.counts import Binomial, Multinomial, Poisson
from zoo_classical.exponential import Exponential
from zoo_classical.exponential_family import ExponentialFamily
from zoo_classical.logistic import LogisticRegression
from zoo_classical.normal import Normal
from zoo_classical.tables import Categorical
from zoo_core.interfaces import Condition, DataSet, Streams

__all__ = [
    "coin",
    "coin_throws",
    "customers",
    "die",
    "heights_weights",
    "line",
    "normal_5_2",
    "three_classes",
    "two_bits",
    "two_groups",
    "waiting_times",
]

DIE = (5, 3, 5, 5, 2, 4, 1, 6, 3, 1)
TWO_BITS = ((0, 0), (1, 1), (0, 0), (1, 1), (1, 1), (1, 0), (0, 1), (1, 0), (1, 0), (1, 1))
HEIGHTS_WEIGHTS = (
    (169, 70), (172, 68), (175, 78), (163, 58), (180, 80), (159, 76),
    (158, 52), (173, 69), (180, 75), (155, 50), (187, 90), (170, 66),
)  # fmt: skip
TEST = 1000
"""Number of test examples, unless another is asked for."""


def _streams(name: str, split: str, n: int) -> Streams:
    return Streams(0, f"{name}/{split}", 0, n, dtype=torch.float64)


def _simulated(name: str, split: str, truth: ExponentialFamily, n: int) -> DataSet:
    """Draws a data set, whose first examples are the same for every ``n``."""
    x = truth.draw(_streams(name, split, n)).float()
    return DataSet(name, split, x, space=truth.space, entropy=truth.entropy())


def _observed(name: str, split: str, observed: Tensor, truth: ExponentialFamily, n: int | None) -> DataSet:
    """Returns observations for training, and simulated examples of the distribution fitted to them for testing."""
    truth.begin(DataSet(name, split, observed.float(), space=truth.space).rows(torch.arange(len(observed))))
    weights = torch.ones(len(observed), dtype=torch.float64)
    truth.sums.copy_(truth.total(observed, weights))
    truth.count.copy_(weights.sum())
    truth.fit()
    if split == "test":
        return _simulated(name, split, truth, n or TEST)
    return DataSet(name, split, observed.float()[:n], space=truth.space, entropy=truth.entropy())


def die(split: str, n: int | None = None) -> DataSet:
    """Loads ten throws of a loaded die."""
    truth = Categorical({"face": [str(face) for face in range(1, 7)]})
    return _observed("die", split, torch.tensor(DIE)[:, None] - 1, truth, n)


def two_bits(split: str, n: int | None = None) -> DataSet:
    """Loads ten observations of two bits."""
    return _observed("two-bits", split, torch.tensor(TWO_BITS), Categorical({"first": "01", "second": "01"}), n)


def coin(split: str, n: int | None = None) -> DataSet:
    """Loads one series of ten throws of a coin, of which seven were heads."""
    return _observed("coin", split, torch.tensor([[7]]), Binomial(10, "heads"), n)


def heights_weights(split: str, n: int | None = None) -> DataSet:
    """Loads the height in cm and the weight in kg of twelve people."""
    return _observed("heights-weights", split, torch.tensor(HEIGHTS_WEIGHTS), Normal([2]), n)


def coin_throws(split: str, n: int | None = None) -> DataSet:
    """Simulates throws of a coin, 1 for heads with p = 0.7; 100 for training."""
    truth = Binomial(1, "heads")
    truth.p.fill_(0.7)
    return _simulated("coin-throws", split, truth, n or (100 if split == "train" else TEST))


def customers(split: str, n: int | None = None) -> DataSet:
    """Simulates customers per hour, Poisson with a mean of 3.5; 200 for training."""
    truth = Poisson("customers")
    truth.rate.fill_(3.5)
    return _simulated("customers", split, truth, n or (200 if split == "train" else TEST))


def waiting_times(split: str, n: int | None = None) -> DataSet:
    """Simulates minutes between customers, exponential with a mean of 2; 200 for training."""
    truth = Exponential("minutes")
    truth.rate.fill_(0.5)
    return _simulated("waiting-times", split, truth, n or (200 if split == "train" else TEST))


def three_classes(split: str, n: int | None = None) -> DataSet:
    """Simulates counts of three classes in ten draws, with probabilities 0.5, 0.3 and 0.2; 100 for training."""
    truth = Multinomial(10, "ABC")
    truth.probabilities.copy_(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64))
    return _simulated("three-classes", split, truth, n or (100 if split == "train" else TEST))


def normal_5_2(split: str, n: int | None = None) -> DataSet:
    """Simulates measurements, normal with mean 5 and standard deviation 2; 1,000 for training."""
    truth = Normal([1])
    truth.location.fill_(5.0)
    truth.scale.fill_(2.0)
    return _simulated("normal-5-2", split, truth, n or TEST)


def line(split: str, n: int | None = None) -> DataSet:
    """Simulates y = 2x + 1 + noise, x standard normal, noise of standard deviation 0.5; 100 for training."""
    streams = _streams("line", split, n or (100 if split == "train" else TEST))
    x, noise = streams.normal(1), streams.normal(1)
    y = 2.0 * x + 1.0 + 0.5 * noise
    entropy = 0.5 * math.log(2.0 * math.pi * math.e * 0.25)
    return DataSet("line", split, y.float(), {"inputs": x.float()}, entropy=entropy)


def two_groups(split: str, n: int | None = None) -> DataSet:
    """Simulates classes with log-odds 2a − b + 0.5 of two standard normal inputs; 500 for training."""
    streams = _streams("two-groups", split, n or (500 if split == "train" else TEST))
    truth = LogisticRegression(2)
    truth.coefficients.copy_(torch.tensor([[0.5], [2.0], [-1.0]], dtype=torch.float64))
    x = streams.normal(2)
    y = truth.draw(streams, condition=Condition(inputs=x))
    return DataSet("two-groups", split, y.float(), {"inputs": x.float()}, space=truth.space)
