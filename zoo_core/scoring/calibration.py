r"""Calibrates scores against those of held-out data (Vovk, Gammerman & Shafer 2005).

With n held-out scores, a new score s has the p-value

    p(s) = (1 + #{held-out scores ≥ s})/(n + 1),

which is at most α with a probability of at most α where the new example is usual, whatever the model: then all n + 1
scores are in random order.  For one set of held-out data, the rate of false alarms at α is distributed as
Beta(k, n + 1 − k) with k = ⌊α(n + 1)⌋, about k/(n + 1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError

__all__ = ["p_values", "rate_interval", "usable_rate"]

USUAL_RATE = 0.01
"""Rate of false alarms unless one is given and where the held-out data suffice."""


def p_values(scores: Tensor, held_out: Tensor) -> Tensor:
    """Computes the p-value of each score, ``(n,)``, from held-out scores ``(m,)``."""
    order = held_out.sort().values
    at_least = len(order) - torch.searchsorted(order, scores, right=False)
    return (1 + at_least).double() / (len(order) + 1)


def usable_rate(rate: float | None, n: int) -> float:
    """Checks a rate of false alarms against the number of held-out examples, or chooses one.

    Raises:
        IncompatibleError: the rate is no probability, or no p-value of n held-out examples can be as small.
    """
    least = 1.0 / (n + 1)
    if rate is None:
        return max(USUAL_RATE, least)
    if not 0.0 < rate < 1.0:
        raise IncompatibleError(f"false alarms = {rate:g}; expected a rate between 0 and 1, such as 0.01")
    if rate < least:
        raise IncompatibleError(
            f"false alarms = {rate:g} needs {math.ceil(1 / rate) - 1:,} held-out examples, and there are {n:,}; give "
            f"{math.ceil(1e4 * least) / 1e4:g} or more"
        )
    return rate


def rate_interval(rate: float, n: int, mass: float = 0.95) -> tuple[float, float]:
    """Returns the central interval of the rate of false alarms over sets of n held-out examples."""
    k = math.floor(rate * (n + 1) + 1e-9)
    return _quantile(k, n, (1 - mass) / 2), _quantile(k, n, (1 + mass) / 2)


def _quantile(k: int, n: int, level: float) -> float:
    """Finds x with P(Beta(k, n + 1 − k) ≤ x) = P(Binomial(n, x) ≥ k) = level, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        terms = [
            math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1)
            + j * math.log(middle) + (n - j) * math.log1p(-middle)
            for j in range(k)
        ]  # fmt: skip
        below = math.fsum(math.exp(term) for term in terms)
        low, high = (middle, high) if 1.0 - below < level else (low, middle)
    return (low + high) / 2
