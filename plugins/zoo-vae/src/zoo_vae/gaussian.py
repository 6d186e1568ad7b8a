r"""The diagonal Gaussian posterior q(z | x) = N(μ, diag σ²) of a latent code with prior N(0, I).

    z = μ + σ·ε,  ε ~ N(0, I)                                         (Kingma & Welling 2014, §2.4)
    KL(q ‖ N(0, I)) = Σ_j ½(μ_j² + σ_j² − 1) − log σ_j                 (Kingma & Welling 2014, appendix B)
    log q(z | x) = Σ_j −½ε_j² − log σ_j − ½ log 2π

The last line is written in ε, not in z, since (z − μ)/σ loses digits where σ is small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

__all__ = ["DiagonalGaussian", "standard_log_prob"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True)
class DiagonalGaussian:
    """A diagonal Gaussian per example.

    Attributes:
        mean: means μ, ``(n, latent)``.
        log_sigma: logarithms of the standard deviations σ, ``(n, latent)``.
    """

    mean: Tensor
    log_sigma: Tensor

    @property
    def sigma(self) -> Tensor:
        """The standard deviations σ, ``(n, latent)``."""
        return self.log_sigma.exp()

    def at(self, noise: Tensor) -> Tensor:
        """Computes z = μ + σ·ε for standard normal ``noise`` ``(…, n, latent)``, differentiably in μ and σ."""
        return self.mean + self.sigma * noise

    def log_prob_at(self, noise: Tensor) -> Tensor:
        """Computes log q(z | x) at z = μ + σ·ε, in nats, ``(…, n)``."""
        return (-0.5 * noise.square() - self.log_sigma - _HALF_LOG_TWO_PI).sum(-1)

    def kl(self) -> Tensor:
        """Computes KL(q ‖ N(0, I)) of every dimension, in nats, ``(n, latent)``."""
        return 0.5 * (self.mean.square() + (2.0 * self.log_sigma).exp() - 1.0) - self.log_sigma


def standard_log_prob(z: Tensor) -> Tensor:
    """Computes log N(z; 0, I) in nats, ``(…,)`` for z ``(…, latent)``."""
    return (-0.5 * z.square() - _HALF_LOG_TWO_PI).sum(-1)
