r"""Computes confidence intervals with exact coverage, and Wald's approximate ones.

A two-sided interval of level 1 − α has α/2 in each tail; q(p) is a quantile of the distribution that is named.

* probability, k of n (Clopper & Pearson 1934): beta(k, n − k + 1) at α/2 to beta(k + 1, n − k) at 1 − α/2;
* Poisson mean, s events in n counts (Garwood 1936): gamma(s) at α/2 to gamma(s + 1) at 1 − α/2, over n;
* exponential rate λ̂ = n/Σx: 2λΣx ~ χ² with 2n degrees of freedom;
* normal mean: (x̄ − μ)/(s/√n) ~ t with n − 1 degrees of freedom, s² being the unbiased variance;
* normal variance: (n − 1)s²/σ² ~ χ² with n − 1 degrees of freedom;
* Wald: θ̂ ± z·stderr, with the Fisher standard error.

The first two cover with at least 1 − α, since counts are discrete; the next three with 1 − α; Wald's only for large n.
"""

from __future__ import annotations

import math

from zoo_classical import quantiles

__all__ = ["Interval", "clopper_pearson", "exponential_rate", "garwood", "student", "variance", "wald"]

Interval = tuple[float, float]


def clopper_pearson(successes: float, trials: float, level: float) -> Interval:
    """Returns the interval of a probability, given ``successes`` of ``trials``."""
    tail, failures = (1.0 - level) / 2.0, trials - successes
    low = quantiles.beta(tail, successes, failures + 1.0) if successes > 0 else 0.0
    high = quantiles.beta(1.0 - tail, successes + 1.0, failures) if failures > 0 else 1.0
    return low, high


def garwood(events: float, count: float, level: float) -> Interval:
    """Returns the interval of a Poisson mean, given the number of events in ``count`` observations."""
    tail = (1.0 - level) / 2.0
    low = quantiles.gamma(tail, events) if events > 0 else 0.0
    return low / count, quantiles.gamma(1.0 - tail, events + 1.0) / count


def exponential_rate(total: float, count: float, level: float) -> Interval:
    """Returns the interval of an exponential rate, given the sum of ``count`` waiting times."""
    tail = (1.0 - level) / 2.0
    return quantiles.gamma(tail, count) / total, quantiles.gamma(1.0 - tail, count) / total


def student(value: float, stderr: float, freedom: float, level: float) -> Interval:
    """Returns the interval of a mean or coefficient of normal data.

    Args:
        value: estimate.
        stderr: its standard error from the unbiased variance (over the degrees of freedom, not over n).
        freedom: degrees of freedom of that variance; without any the interval is the whole line.
        level: probability of covering.
    """
    if freedom <= 0.0:
        return -math.inf, math.inf
    reach = quantiles.student(0.5 + level / 2.0, freedom) * stderr
    return value - reach, value + reach


def variance(squares: float, freedom: float, level: float) -> Interval:
    """Returns the interval of a variance of normal data, given the sum of squared residuals."""
    if freedom <= 0.0:
        return 0.0, math.inf
    tail = (1.0 - level) / 2.0
    low, high = (squares / quantiles.chi_square(p, freedom) for p in (1.0 - tail, tail))
    return low, high


def wald(value: float, stderr: float, level: float) -> Interval:
    """Returns value ± z·stderr."""
    reach = quantiles.normal(0.5 + level / 2.0) * stderr
    return value - reach, value + reach
