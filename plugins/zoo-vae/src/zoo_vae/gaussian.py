r"""The diagonal Gaussian of the latent code: the posterior q(z | x) = N(μ, diag σ²) beside the prior N(0, I).

    z = μ + σ·ε,  ε ~ N(0, I)                                         (Kingma & Welling 2014, §2.4)
    KL(q ‖ N(0, I)) = Σ_j ½(μ_j² + σ_j² − 1) − log σ_j                 (ibid., appendix B)
    log q(z | x) = Σ_j −½ε_j² − log σ_j − ½ log 2π

The last line is written in ε, not in z: (z − μ)/σ loses digits where σ is small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

__all__ = ["DiagonalGaussian", "standard_log_prob"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True)
class DiagonalGaussian:
    """One Gaussian per example.

    Attributes:
        mean: μ, ``(n, latent)``.
        log_sigma: log σ, ``(n, latent)``.
    """

    mean: Tensor
    log_sigma: Tensor

    @property
    def sigma(self) -> Tensor:
        """σ, ``(n, latent)``."""
        return self.log_sigma.exp()

    def at(self, noise: Tensor) -> Tensor:
        """z = μ + σ·ε for standard normal ``noise`` ``(…, n, latent)``; differentiable in μ and σ."""
        return self.mean + self.sigma * noise

    def log_prob_at(self, noise: Tensor) -> Tensor:
        """log q(z | x) at z = μ + σ·ε, in nats, ``(…, n)``."""
        return (-0.5 * noise.square() - self.log_sigma - _HALF_LOG_TWO_PI).sum(-1)

    def kl(self) -> Tensor:
        """KL(q ‖ N(0, I)) of every dimension, in nats, ``(n, latent)``."""
        return 0.5 * (self.mean.square() + (2.0 * self.log_sigma).exp() - 1.0) - self.log_sigma


def standard_log_prob(z: Tensor) -> Tensor:
    """log N(z; 0, I) in nats, ``(…,)`` for z ``(…, latent)``."""
    return (-0.5 * z.square() - _HALF_LOG_TWO_PI).sum(-1)
