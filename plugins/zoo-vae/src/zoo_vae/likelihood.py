r"""Likelihoods p(x | z) = p(x; η(z)) of data given the decoder's output η, independent over dimensions.

Bernoulli, for x in {0, 1}: η is the logit, and

    log p(x; η) = x·η − log(1 + e^η).

Continuous Bernoulli, for x in [0, 1] (Loaiza-Ganem & Cunningham 2019): with λ = 1/(1 + e^−η) the paper has
p(x) = C(λ)·λ^x·(1 − λ)^(1−x) and C(λ) = 2 artanh(1 − 2λ)/(1 − 2λ), which is 0/0 at λ = ½.  In η it is the exponential
distribution cut off at 1, and y = η/2 makes it symmetric:

    log p(x; η) = x·η − A(η),     A(η) = log((e^η − 1)/η) = y + log(sinh y / y),
    E x = A′(η) = ½ + ½(coth y − 1/y),        F⁻¹(u) = log(1 + u·(e^η − 1))/η.

Each has a removable singularity at η = 0, near which its series is used.

Gaussian, for real x: η is the mean, log p(x; η) = −½((x − η)/σ)² − log σ − ½ log 2π.  σ is one number for all
dimensions, fixed or learned (Rybkin et al. 2021).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core.interfaces import Streams

__all__ = ["Bernoulli", "ContinuousBernoulli", "Gaussian", "Likelihood", "log_sinhc", "make_likelihood"]


class Likelihood(nn.Module, ABC):
    """A distribution of one number, given the decoder's output η for it; all methods work elementwise.

    Attributes:
        binary: whether the data must be 0 or 1.
        bounded: whether the data must be in [0, 1].
    """

    binary: bool = False
    bounded: bool = True

    @abstractmethod
    def log_prob(self, x: Tensor, eta: Tensor) -> Tensor:
        """Computes log p(x; η) in nats; ``x`` and ``eta`` broadcast."""

    @abstractmethod
    def mean(self, eta: Tensor) -> Tensor:
        """Computes the mean E x."""

    @abstractmethod
    def draw(self, eta: Tensor, streams: Streams) -> Tensor:
        """Draws x ~ p(x; η) for ``eta`` ``(len(streams), …)``."""


class Bernoulli(Likelihood):
    """The distribution of a black or white pixel; η is the logit of white."""

    binary = True

    def log_prob(self, x: Tensor, eta: Tensor) -> Tensor:
        return x * eta - F.softplus(eta)

    def mean(self, eta: Tensor) -> Tensor:
        return torch.sigmoid(eta)

    def draw(self, eta: Tensor, streams: Streams) -> Tensor:
        return (streams.uniform(*eta.shape[1:]) < self.mean(eta)).to(eta.dtype)


class ContinuousBernoulli(Likelihood):
    """The distribution of grey values in [0, 1], normalised in contrast to a cross-entropy on grey pixels."""

    def log_prob(self, x: Tensor, eta: Tensor) -> Tensor:
        # (x − ½)·η − log(sinh y / y), because x·η − y cancels for large η
        return (x - 0.5) * eta - log_sinhc(0.5 * eta)

    def mean(self, eta: Tensor) -> Tensor:
        y = 0.5 * eta
        small = y.abs() < 0.3
        safe = torch.where(small, torch.ones_like(y), y)
        square = torch.where(small, y, torch.zeros_like(y)).square()
        series = y * (1 / 3 + square * (-1 / 45 + square * (2 / 945 - square / 4725)))
        return 0.5 + 0.5 * torch.where(small, series, 1.0 / torch.tanh(safe) - 1.0 / safe)

    def draw(self, eta: Tensor, streams: Streams) -> Tensor:
        u, decay = streams.uniform(*eta.shape[1:]).to(eta.dtype), eta.abs()
        small = decay < 1e-3
        safe = torch.where(small, torch.ones_like(decay), decay)
        # draws for −|η|, which cannot overflow, and mirrors: x ~ p(·; η) means 1 − x ~ p(·; −η)
        x = torch.where(small, u - 0.5 * decay * u * (1.0 - u), -torch.log1p(u * torch.expm1(-safe)) / safe)
        return torch.where(eta > 0, 1.0 - x, x).clamp(0.0, 1.0)


class Gaussian(Likelihood):
    """The normal distribution of real numbers, with one standard deviation for all dimensions.

    Args:
        sigma: standard deviation σ > 0; its initial value where it is learned.
        learned: whether σ is a parameter of the model.

    Raises:
        ValueError: ``sigma`` is not a positive number.
    """

    bounded = False

    def __init__(self, sigma: float = 1.0, learned: bool = False) -> None:
        super().__init__()
        if isinstance(sigma, bool) or not isinstance(sigma, int | float) or not sigma > 0 or math.isinf(sigma):
            raise ValueError(f"likelihood.sigma = {sigma!r}; expected a positive number")
        log_sigma = torch.tensor(math.log(sigma))
        self.log_sigma: Tensor
        if learned:
            self.log_sigma = nn.Parameter(log_sigma)
        else:
            self.register_buffer("log_sigma", log_sigma)

    def log_prob(self, x: Tensor, eta: Tensor) -> Tensor:
        residual = (x - eta) * torch.exp(-self.log_sigma)
        return -0.5 * residual.square() - self.log_sigma - 0.5 * math.log(2.0 * math.pi)

    def mean(self, eta: Tensor) -> Tensor:
        return eta

    def draw(self, eta: Tensor, streams: Streams) -> Tensor:
        return eta + self.log_sigma.exp() * streams.normal(*eta.shape[1:])


def log_sinhc(y: Tensor) -> Tensor:
    """Computes log(sinh y / y): by its series for small |y|, by |y| + log(1 − e^−2|y|) − log 2|y| elsewhere."""
    small = y.abs() < 0.3
    # where() multiplies the unused branch's gradient by zero, so neither branch may be infinite anywhere
    size = torch.where(small, torch.ones_like(y), y.abs())
    square = torch.where(small, y, torch.zeros_like(y)).square()
    series = square * (1 / 6 + square * (-1 / 180 + square * (1 / 2835 - square / 37800)))
    return torch.where(small, series, size + torch.log1p(-torch.exp(-2.0 * size)) - torch.log(2.0 * size))


Kind = Literal["bernoulli", "continuous-bernoulli", "gaussian"]
_KINDS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "continuous-bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
}


def make_likelihood(spec: Mapping[str, Any]) -> Likelihood:
    """Makes a likelihood from ``{"kind": …}`` and its options: bernoulli, continuous-bernoulli or gaussian.

    Raises:
        ValueError: the kind or an option is unknown.
    """
    options = dict(spec)
    kind = options.pop("kind", None)
    if kind not in _KINDS:
        raise ValueError(f"likelihood.kind = {kind!r}; expected one of {', '.join(_KINDS)}")
    known = {"sigma", "learned"} if kind == "gaussian" else set()
    if unknown := sorted(set(options) - known):
        raise ValueError(
            f"likelihood.{unknown[0]} is no option of {kind}; expected {', '.join(sorted(known)) or 'none'}"
        )
    return _KINDS[kind](**options)
