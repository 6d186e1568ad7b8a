r"""Computes quantiles of the normal, gamma, χ², beta and Student t distributions, for confidence intervals.

A quantile is found by bisection of the distribution function, to the last bits of a float64:

    gamma(a):   P(a, x), the regularised incomplete gamma function,        χ²_ν = 2·gamma(ν/2);
    beta(a, b): I_x(a, b), by the continued fraction of Lentz (Press et al. 2007, §6.4);
    t_ν:        x² = ν(1 − y)/y with y ~ beta(ν/2, 1/2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch

__all__ = ["beta", "chi_square", "gamma", "normal", "student"]

_TINY = 1e-300
_HALVINGS = 200
"""Enough to reach neighbouring float64 numbers from any start."""
_TERMS = 10_000


def normal(p: float) -> float:
    """Returns the p-quantile of the standard normal distribution, p in (0, 1)."""
    return float(torch.special.ndtri(torch.tensor(p, dtype=torch.float64)))


@cache
def gamma(p: float, a: float) -> float:
    """Returns the p-quantile of the gamma distribution of shape a > 0 and rate 1."""
    shape = torch.tensor(a, dtype=torch.float64)

    def tail(x: float) -> float:
        value = torch.tensor(x, dtype=torch.float64)
        # The smaller of both tails has all its digits.
        below = float(torch.special.gammainc(shape, value))
        return below - p if p < 0.5 else (1.0 - p) - float(torch.special.gammaincc(shape, value))

    high = max(1.0, a)
    while tail(high) < 0.0:
        high *= 2.0
    return _root(tail, 0.0, high)


def chi_square(p: float, freedom: float) -> float:
    """Returns the p-quantile of the χ² distribution with ``freedom`` > 0 degrees of freedom."""
    return 2.0 * gamma(p, freedom / 2.0)


@cache
def beta(p: float, a: float, b: float) -> float:
    """Returns the p-quantile of the beta distribution, a, b > 0."""
    return _root(lambda x: _beta_cdf(x, a, b) - p, 0.0, 1.0)


@cache
def student(p: float, freedom: float) -> float:
    """Returns the p-quantile of Student's t distribution with ``freedom`` > 0 degrees of freedom."""
    if p < 0.5:
        return -student(1.0 - p, freedom)
    y = beta(2.0 * (1.0 - p), freedom / 2.0, 0.5)
    return math.sqrt(freedom * (1.0 - y) / y) if y > 0.0 else math.inf


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Finds the root of a function that rises from below 0 at ``low`` to above 0 at ``high``."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if rising(middle) < 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _beta_cdf(x: float, a: float, b: float) -> float:
    """Computes the regularised incomplete beta function I_x(a, b)."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1.0) / (a + b + 2.0):
        return math.exp(log_front) * _continued_fraction(x, a, b) / a
    return 1.0 - math.exp(log_front) * _continued_fraction(1.0 - x, b, a) / b


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Evaluates the continued fraction of I_x(a, b), which converges where x < (a + 1)/(a + b + 2)."""
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _TERMS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away(1.0 + numerator * d)
            c = _away(1.0 + numerator / c)
            value *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return value


def _away(value: float) -> float:
    """Returns a divisor that is not zero."""
    return value if abs(value) > _TINY else _TINY
