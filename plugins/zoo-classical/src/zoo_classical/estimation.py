r"""What all families here have in common: they are estimated from sums over the data, with errors and intervals.

Maximum likelihood needs sums over the examples (Σ w·T(x) of an exponential family, XᵀWX of a regression), which add
over batches and machines.  A conjugate prior acts as if some examples had been seen before; a flat one adds nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from zoo_classical.intervals import Interval, wald
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch

__all__ = ["Estimate", "Estimated", "Method", "Parameter", "prior_of"]

Method = Literal["exact", "wald"]


@dataclass(frozen=True)
class Parameter:
    """A parameter with its Fisher standard error, and its exact confidence interval where there is one."""

    name: str
    value: float
    stderr: float
    exact: Interval | None = None


@dataclass(frozen=True)
class Estimate:
    """An estimated parameter.

    Attributes:
        name: name of the parameter.
        value: its estimate.
        stderr: its standard error, √[I(θ̂)⁻¹] with the Fisher information I of all examples.
        low, high: ends of the confidence interval.
        level: probability with which such intervals cover the true value.
        method: ``"exact"``, or ``"wald"`` for value ± z·stderr.
    """

    name: str
    value: float
    stderr: float
    low: float
    high: float
    level: float
    method: Method


class Estimated(ABC):
    """Is estimated from sums over the data: what the objective ``closed-form`` needs of a family.

    Attributes:
        count: number of examples that the estimate is from, or the sum of their weights, ``()``.
    """

    count: Tensor

    def begin(self, batch: Batch[Tensor]) -> None:
        """Sets what the sums are computed about, from the first examples; does nothing unless overridden."""
        return

    @abstractmethod
    def statistics(self, batch: Batch[Tensor]) -> dict[str, Tensor]:
        """Sums over the examples what :meth:`maximise` needs, with ``log_likelihood`` and ``count`` among it.

        Raises:
            IncompatibleError: an example has probability zero under every parameter.
        """

    @abstractmethod
    def maximise(self, statistics: Mapping[str, Tensor], prior: Mapping[str, Any]) -> None:
        """Sets the parameters to the maximum of likelihood times prior, or takes a Newton step towards it.

        Args:
            statistics: sums over all examples.
            prior: parameters of the conjugate prior by name; those that are left out make it flat.

        Raises:
            IncompatibleError: the prior has an unknown parameter.
            ZooError: the maximum does not exist, or is not unique.
        """

    @abstractmethod
    def free(self, level: float) -> Iterator[Parameter]:
        """Yields the parameters, with exact intervals of a level where they are known."""

    def estimates(self, level: float = 0.95, method: Method = "exact") -> tuple[Estimate, ...]:
        """Returns all parameters with standard errors and confidence intervals.

        They describe a maximum of the likelihood; under a prior that is not flat they are approximate.

        Args:
            level: probability with which the intervals cover the true value, in (0, 1).
            method: ``"exact"``, or ``"wald"`` for value ± z·stderr, which is used where there is no exact interval too.

        Raises:
            IncompatibleError: the model has not been fitted, or an argument is out of its range.
        """
        if not 0.0 < level < 1.0 or method not in ("exact", "wald"):
            raise IncompatibleError(f"level = {level}, method = {method!r}; expected a level in (0, 1), exact or wald")
        if not float(self.count) > 0.0:
            raise IncompatibleError("this model has seen no examples, so it has no intervals; train it first")
        found = []
        for one in self.free(level):
            exact = one.exact if method == "exact" else None
            low, high = wald(one.value, one.stderr, level) if exact is None else exact
            how: Method = "wald" if exact is None else "exact"
            found.append(Estimate(one.name, one.value, one.stderr, low, high, level, how))
        return tuple(found)


def prior_of(prior: Mapping[str, Any], flat: Mapping[str, Any]) -> dict[str, Any]:
    """Fills in a prior with the values that make it flat.

    Raises:
        IncompatibleError: the prior has a parameter that ``flat`` does not have.
    """
    if unknown := sorted(set(prior) - set(flat)):
        raise IncompatibleError(f"prior has no parameter {unknown[0]!r}; this family's prior has {', '.join(flat)}")
    return {**flat, **prior}
