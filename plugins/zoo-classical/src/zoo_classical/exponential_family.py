r"""Exponential families, whose log-density is linear in a statistic T(x):

    log p(x) = log h(x) + η·T(x) − A.

Hence the sums n = Σ w, S = Σ w·T(x) and Σ w·log h(x) are all that the data say about the parameters, and a model keeps
them: likelihood curves and confidence intervals need no data.  With μ = E T(x),

    log-likelihood             ℓ = Σ log h + η·S − nA,
    maximum likelihood         μ = S/n,
    conjugate prior            p(θ) ∝ exp(η·S₀ − n₀A), so the posterior's mode has μ = (S + S₀)/(n + n₀),
    entropy                    H = A − η·μ − E log h,
    KL(p‖q)                    (η_p − η_q)·μ_p − A_p + A_q       (Wainwright & Jordan 2008).

A probability of 0 has η = −∞, and 0·∞ counts as 0 in these sums.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from zoo_classical.estimation import Estimated
from zoo_core.errors import IncompatibleError, ZooError
from zoo_core.interfaces import Batch, Condition, DataSet, Density, DirectSampler, Model, Streams

__all__ = ["ExponentialFamily", "dot"]


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Computes Σ a·b over the last axis, where 0·∞ = 0."""
    return torch.where(a == 0, 0.0, a * b).sum(-1)


class ExponentialFamily(Model, Density, DirectSampler, Estimated):
    """A distribution log p(x) = log h(x) + η·T(x) − A, computed in float64.

    Args:
        terms: number k of the numbers in T(x).

    Attributes:
        scalar: name of the only parameter, the buffer of a family that has one; empty for the others.

    The buffers ``count`` ``()``, ``sums`` ``(k,)`` and ``log_base`` ``()`` have n, S and Σ log h of the training data.
    """

    scalar: str = ""
    sums: Tensor
    log_base: Tensor

    def __init__(self, terms: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("sums", torch.zeros(terms, dtype=torch.float64))
        self.register_buffer("log_base", torch.zeros((), dtype=torch.float64))

    @abstractmethod
    def holds(self, x: Tensor) -> Tensor:
        """Says which samples belong to the support, bool ``(n,)``."""

    @abstractmethod
    def sufficient(self, x: Tensor) -> Tensor:
        """Computes T(x), ``(n, k)`` in float64, of samples in the support."""

    @abstractmethod
    def natural(self) -> Tensor:
        """Computes η, ``(k,)``."""

    @abstractmethod
    def log_normaliser(self) -> Tensor:
        """Computes A, ``()``."""

    @abstractmethod
    def mean(self) -> Tensor:
        """Computes μ = E T(x), ``(k,)``."""

    @abstractmethod
    def set_mean(self, mean: Tensor) -> None:
        """Sets the parameters to those with E T(x) = ``mean``.

        Raises:
            ZooError: no parameters of the family have this mean.
        """

    @abstractmethod
    def pseudo(self, prior: Mapping[str, Any]) -> tuple[float, Tensor]:
        """Returns n₀ and S₀ of a conjugate prior; zeros for a flat one.

        Raises:
            IncompatibleError: the prior has an unknown parameter.
        """

    def at(self, name: str, value: float) -> Self:
        """Returns the most likely distribution among those in which one parameter has a value.

        Its other parameters maximise the likelihood of the training data given this one.

        Args:
            name: name of a parameter, as :meth:`estimates` has it.
            value: value of the parameter.

        Raises:
            IncompatibleError: there is no such parameter.
        """
        if name != self.scalar:
            raise self.unknown(name)
        other = copy.deepcopy(self)
        getattr(other, name).fill_(value)
        return other

    def log_base_measure(self, x: Tensor) -> Tensor:
        """Computes log h(x), ``(n,)``; 0 unless overridden."""
        return torch.zeros(len(x), dtype=torch.float64, device=x.device)

    def expected_log_base(self) -> Tensor:
        """Computes E log h(x), ``()``; 0 unless overridden."""
        return torch.zeros((), dtype=torch.float64, device=self.sums.device)

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes the exact log p(x) in nats, ``(n,)`` in float64; −∞ outside of the support."""
        inside = self.holds(x)
        value = self.log_base_measure(x) + dot(self.sufficient(x), self.natural()) - self.log_normaliser()
        return torch.where(inside, value, -torch.inf)

    def entropy(self) -> float:
        """Computes the entropy −E log p(x), in nats."""
        return float(self.log_normaliser() - dot(self.mean(), self.natural()) - self.expected_log_base())

    def kl(self, other: Self) -> float:
        """Computes KL(self ‖ other) in nats; infinite where ``other`` has probability 0 and this has not.

        Raises:
            IncompatibleError: ``other`` is a distribution of another kind or of other samples.
        """
        self._require_alike(other)
        mean = self.mean()
        mine = dot(mean, self.natural()) - self.log_normaliser()
        return max(float(mine - dot(mean, other.natural()) + other.log_normaliser()), 0.0)

    def log_likelihood(self) -> float:
        """Computes the log-likelihood of all training examples, in nats, from their sums."""
        return float(self.log_base + dot(self.sums, self.natural()) - self.count * self.log_normaliser())

    def curve(self, name: str, values: Tensor) -> Tensor:
        """Computes the profile log-likelihood along one parameter, in nats.

        Args:
            name: name of the parameter.
            values: values of the parameter, ``(n,)``.
        """
        found = [self.at(name, value).log_likelihood() for value in values.tolist()]
        return torch.tensor(found, dtype=torch.float64)

    def statistics(self, batch: Batch[Tensor]) -> dict[str, Tensor]:
        """Sums w, w·T(x), w·log h(x) and w·log p(x)."""
        x = batch.x
        if not bool((inside := self.holds(x)).all()):
            wrong = x[~inside][0].tolist()
            raise IncompatibleError(
                f"an example is {wrong}, which has probability 0 for every {type(self).__name__}; leave it out"
            )
        weights = torch.ones(len(x), dtype=torch.float64, device=x.device)
        if batch.weights is not None:
            weights = batch.weights.double()
        return {
            "count": weights.sum(),
            "sums": self.total(x, weights),
            "log_base": weights @ self.log_base_measure(x),
            "log_likelihood": dot(weights, self.log_prob(x)),
        }

    def total(self, x: Tensor, weights: Tensor) -> Tensor:
        """Computes Σ w·T(x), ``(k,)``."""
        return weights @ self.sufficient(x)

    def maximise(self, statistics: Mapping[str, Tensor], prior: Mapping[str, Any]) -> None:
        for name in ("count", "sums", "log_base"):
            getattr(self, name).copy_(statistics[name])
        self.fit(prior)

    def fit(self, prior: Mapping[str, Any] | None = None) -> None:
        """Sets the parameters to the mode of the posterior of the kept sums; without a prior, to maximum likelihood.

        Raises:
            IncompatibleError: the prior has an unknown parameter.
            ZooError: the mode does not exist.
        """
        count, sums = self.pseudo(prior or {})
        if not float(total := self.count + count) > 0.0:
            raise ZooError(f"n = {float(total):g} with the prior; expected more than 0: give more examples")
        self.set_mean((self.sums + sums.to(self.sums)) / total)

    def unknown(self, name: str) -> IncompatibleError:
        """Makes the error for a parameter that the family does not have."""
        names = ", ".join(one.name for one in self.free(0.95))
        return IncompatibleError(f"there is no parameter {name!r}; the parameters are {names}")

    @classmethod
    def config_for(cls, config: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Adapts a config to other data, for families of points; the others need whole numbers as they are.

        Raises:
            IncompatibleError: the family's samples are rows of categories, counts or positive numbers.
        """
        if "shape" not in config:
            raise IncompatibleError(
                f"{cls.__name__} takes numbers as they are, and tables are standardised; register {data.name} as a "
                "data set of a plugin"
            )
        return super().config_for(config, data, shape)

    def _require_alike(self, other: object) -> None:
        if type(other) is not type(self) or self.space != other.space:
            raise IncompatibleError(
                f"KL between {type(self).__name__} and {type(other).__name__} of other samples; expected equal kinds"
            )
