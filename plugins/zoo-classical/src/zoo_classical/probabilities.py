"""Families whose parameters are the probabilities of several outcomes."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from zoo_classical.estimation import Parameter, prior_of
from zoo_classical.exponential_family import ExponentialFamily
from zoo_classical.intervals import clopper_pearson
from zoo_core.errors import IncompatibleError, ZooError

__all__ = ["Outcomes", "normalised"]


class Outcomes(ExponentialFamily):
    """How often each of k outcomes came in a number of trials: T(x) = the counts, η = log p, A = 0.

    Args:
        trials: number of trials of one sample.
        shape: shape of the table of outcomes.

    The buffer ``probabilities`` has that shape.
    """

    discrete = True
    probabilities: Tensor

    def __init__(self, trials: int, shape: Sequence[int]) -> None:
        super().__init__(outcomes := math.prod(shape))
        self.trials = trials
        uniform = torch.full(tuple(shape), 1.0 / outcomes, dtype=torch.float64)
        self.register_buffer("probabilities", uniform)

    @abstractmethod
    def names(self) -> list[str]:
        """Names the probabilities, in the order of the outcomes."""

    def natural(self) -> Tensor:
        return self.probabilities.double().flatten().log()

    def log_normaliser(self) -> Tensor:
        return torch.zeros_like(self.log_base)

    def mean(self) -> Tensor:
        return self.trials * self.probabilities.double().flatten()

    def set_mean(self, mean: Tensor) -> None:
        self.probabilities.copy_(normalised(mean).view_as(self.probabilities))

    def pseudo(self, prior: Mapping[str, Any]) -> tuple[float, Tensor]:
        """Returns n₀ and S₀ of a Dirichlet prior, ``{"alpha": number or one for each outcome}``; 1 is flat.

        Raises:
            IncompatibleError: there is neither one α for all nor one for each.
        """
        size = len(self.sums)
        alpha = torch.as_tensor(prior_of(prior, {"alpha": 1.0})["alpha"], dtype=torch.float64)
        if alpha.ndim > 1 or alpha.numel() not in (1, size):
            raise IncompatibleError(f"prior alpha has {alpha.numel()} numbers; expected one, or {size}")
        extra = alpha.expand(size) - 1.0
        return float(extra.sum()) / self.trials, extra

    def free(self, level: float) -> Iterator[Parameter]:
        n = float(self.count) * self.trials
        p, counts = self.probabilities.flatten().tolist(), self.sums.tolist()
        for name, share, k in zip(self.names(), p, counts, strict=True):
            stderr = math.sqrt(share * (1.0 - share) / n)
            yield Parameter(name, share, stderr, clopper_pearson(k, n, level))

    def at(self, name: str, value: float) -> Self:
        """Gives one probability a value, and changes the observed frequencies of the others in proportion."""
        if name not in (names := self.names()):
            raise self.unknown(name)
        place, other = names.index(name), copy.deepcopy(self)
        shares = self.sums.clone()
        shares[place] = 0.0
        shares = shares / shares.sum() if bool(shares.sum() > 0) else torch.full_like(shares, 1.0 / (len(names) - 1))
        shares *= 1.0 - value
        shares[place] = value
        other.set_mean(shares)
        return other


def normalised(mean: Tensor) -> Tensor:
    """Divides numbers of at least 0 by their sum.

    Raises:
        ZooError: a number is below 0, which a prior with α below 1 and few examples can cause.
    """
    if bool((mean < 0).any()) or not bool(mean.sum() > 0):
        least = float(mean.min())
        raise ZooError(
            f"a count is {least:.3g} after the prior, so that the posterior has no mode; raise alpha or beta"
        )
    return mean / mean.sum()
