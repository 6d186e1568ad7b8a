r"""Gaussian paths whose α(t) and σ(t) are known in closed form.

| path                    | α(t)      | σ(t)                  | from                                                  |
|-------------------------|-----------|-----------------------|-------------------------------------------------------|
| `LinearPath`            | 1 − t     | t                     | flow matching, rectified flow (Lipman et al. 2023)    |
| `CosinePath`            | cos(πt/2) | sin(πt/2)             | stochastic interpolants (Albergo et al. 2023)         |
| `VariancePreserving`    | e^{−B/2}  | √(1 − e^{−B})         | Song et al. 2021, eq. 33                              |
| `SubVariancePreserving` | e^{−B/2}  | 1 − e^{−B}            | Song et al. 2021, eq. 34                              |
| `VarianceExploding`     | 1         | σ_min·(σ_max/σ_min)^t | Song et al. 2021, eq. 31                              |

with B(t) = ∫₀ᵗ β = β_min·t + (β_max − β_min)·t²/2.  At t = 0 the state is the data, σ(0) = 0, even where the
formula gives σ_min.
"""

from __future__ import annotations

import math

from zoo_core.paths.gaussian import GaussianPath

__all__ = ["CosinePath", "LinearPath", "SubVariancePreserving", "VarianceExploding", "VariancePreserving"]


class LinearPath(GaussianPath):
    """The linear path: α = 1 − t, σ = t.

    Args:
        independent: whether noise and data are drawn independently.
    """

    t_min = 1e-5

    def __init__(self, independent: bool = True) -> None:
        self.independent = independent

    def alpha(self, t: float) -> float:
        return 1.0 - t

    def sigma(self, t: float) -> float:
        return t

    def alpha_dot(self, t: float) -> float:
        return -1.0

    def sigma_dot(self, t: float) -> float:
        return 1.0

    def time_of_log_snr(self, log_snr: float) -> float:
        return 1.0 / (1.0 + math.exp(min(0.5 * log_snr, 700.0)))


class CosinePath(GaussianPath):
    """The cosine (trigonometric) path: α = cos(πt/2), σ = sin(πt/2).

    Args:
        independent: whether noise and data are drawn independently.
    """

    t_min = 1e-5

    def __init__(self, independent: bool = True) -> None:
        self.independent = independent

    def alpha(self, t: float) -> float:
        return math.sin(0.5 * math.pi * (1.0 - t))  # exactly 0 at t = 1

    def sigma(self, t: float) -> float:
        return math.sin(0.5 * math.pi * t)

    def alpha_dot(self, t: float) -> float:
        return -0.5 * math.pi * self.sigma(t)

    def sigma_dot(self, t: float) -> float:
        return 0.5 * math.pi * self.alpha(t)

    def time_of_log_snr(self, log_snr: float) -> float:
        return 2.0 / math.pi * math.atan(math.exp(min(-0.5 * log_snr, 700.0)))


class VariancePreserving(GaussianPath):
    """The variance-preserving path: α² = e^{−B}, σ² = 1 − e^{−B}.

    Args:
        beta_min, beta_max: values of β at t = 0 and t = 1, 0 < beta_min ≤ beta_max.

    Raises:
        ValueError: unless 0 < beta_min ≤ beta_max.
    """

    t_min = 1e-5

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        if not 0.0 < beta_min <= beta_max:
            raise ValueError(f"beta_min = {beta_min} and beta_max = {beta_max}; expected 0 < beta_min ≤ beta_max")
        self.beta_min, self.beta_max = beta_min, beta_max

    def beta(self, t: float) -> float:
        """Returns β(t), linear in t."""
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def integral(self, t: float) -> float:
        """Returns B(t) = ∫₀ᵗ β."""
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t * t

    def alpha(self, t: float) -> float:
        return math.exp(-0.5 * self.integral(t))

    def sigma(self, t: float) -> float:
        return math.sqrt(-math.expm1(-self.integral(t)))

    def alpha_dot(self, t: float) -> float:
        return -0.5 * self.beta(t) * self.alpha(t)

    def sigma_dot(self, t: float) -> float:
        sigma = self.sigma(t)
        return 0.5 * self.beta(t) * math.exp(-self.integral(t)) / sigma if sigma > 0.0 else math.inf

    def time_of_log_snr(self, log_snr: float) -> float:
        # e^B = 1 + e^{−log_snr}
        return self._time_of_integral(_log1p_exp(-log_snr))

    def _time_of_integral(self, B: float) -> float:
        """Returns the root t ≥ 0 of B(t) = B, at most 1."""
        slope = self.beta_max - self.beta_min
        return min(2.0 * B / (self.beta_min + math.sqrt(self.beta_min**2 + 2.0 * slope * B)), 1.0)


class SubVariancePreserving(VariancePreserving):
    """The sub-VP path: α² = e^{−B}, σ = 1 − e^{−B}, at most the variance of the variance-preserving path."""

    def sigma(self, t: float) -> float:
        return -math.expm1(-self.integral(t))

    def sigma_dot(self, t: float) -> float:
        return self.beta(t) * math.exp(-self.integral(t))

    def time_of_log_snr(self, log_snr: float) -> float:
        # σ/α = (1 − e^{−B})/e^{−B/2} = 2·sinh(B/2)
        return self._time_of_integral(2.0 * math.asinh(0.5 * math.exp(min(-0.5 * log_snr, 700.0))))


class VarianceExploding(GaussianPath):
    """The variance-exploding path: α = 1, σ = σ_min·(σ_max/σ_min)^t, and σ = 0 at t = 0.

    Args:
        sigma_min, sigma_max: values of σ at t → 0 and t = 1, 0 < sigma_min < sigma_max.

    Raises:
        ValueError: unless 0 < sigma_min < sigma_max.
    """

    t_min = 1e-5

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0) -> None:
        if not 0.0 < sigma_min < sigma_max:
            raise ValueError(f"sigma_min = {sigma_min} and sigma_max = {sigma_max}; expected 0 < sigma_min < sigma_max")
        self.sigma_min, self.sigma_max = sigma_min, sigma_max
        self._log_ratio = math.log(sigma_max / sigma_min)

    def alpha(self, t: float) -> float:
        return 1.0

    def sigma(self, t: float) -> float:
        return self.sigma_min * math.exp(self._log_ratio * t) if t > 0.0 else 0.0

    def alpha_dot(self, t: float) -> float:
        return 0.0

    def sigma_dot(self, t: float) -> float:
        return self._log_ratio * self.sigma(t)

    def time_of_log_snr(self, log_snr: float) -> float:
        t = (-0.5 * log_snr - math.log(self.sigma_min)) / self._log_ratio
        return min(max(t, 0.0), 1.0)


def _log1p_exp(x: float) -> float:
    """Returns log(1 + e^x) without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
