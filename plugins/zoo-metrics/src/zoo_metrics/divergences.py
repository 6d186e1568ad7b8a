r"""Entropies and divergences of densities.

    H(p) = −E_p log p        H(p, q) = −E_p log q        KL(p ‖ q) = E_p log p/q
    JS(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m),    m = (p + q)/2,    between 0 and ln 2

They are computed in closed form where ``torch.distributions`` has one, with a standard error of zero; otherwise as
means over draws of p (and of q), with the standard errors of these means.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

__all__ = ["Estimate", "LogDensity", "cross_entropy", "entropy", "jensen_shannon", "kl", "log_ratio_to_mixture"]


@dataclass(frozen=True)
class Estimate:
    """A number in nats and its standard error, which is zero for closed forms."""

    value: float
    stderr: float = 0.0


class LogDensity(Protocol):
    """The interface of densities for Monte Carlo estimates: models of the zoo and torch distributions have it."""

    def log_prob(self, x: Tensor, /) -> Tensor: ...


def entropy(p: LogDensity, draws: Tensor | None = None) -> Estimate:
    """Computes H(p), from draws of p where there is no closed form.

    Raises:
        ValueError: there is no closed form, and no draws.
    """
    if isinstance(p, Distribution):
        try:
            return Estimate(p.entropy().sum().item())
        except NotImplementedError:
            pass
    return _mean(lambda x: -p.log_prob(x), draws, "entropy")


def cross_entropy(p: LogDensity, q: LogDensity, draws: Tensor | None = None) -> Estimate:
    """Computes H(p, q) = H(p) + KL(p ‖ q), from draws of p where there is no closed form, like :func:`kl`."""
    if isinstance(p, Distribution) and isinstance(q, Distribution):
        try:
            return Estimate((p.entropy() + kl_divergence(p, q)).sum().item())
        except NotImplementedError:
            pass
    return _mean(lambda x: -q.log_prob(x), draws, "cross-entropy")


def kl(p: LogDensity, q: LogDensity, draws: Tensor | None = None) -> Estimate:
    """Computes KL(p ‖ q), from draws of p where there is no closed form; ∞ if a draw has probability 0 under q.

    Raises:
        ValueError: there is no closed form, and no draws.
    """
    if isinstance(p, Distribution) and isinstance(q, Distribution):
        try:
            return Estimate(kl_divergence(p, q).sum().item())
        except NotImplementedError:
            pass
    return _mean(lambda x: p.log_prob(x) - q.log_prob(x), draws, "KL divergence")


def jensen_shannon(p: LogDensity, q: LogDensity, of_p: Tensor, of_q: Tensor) -> Estimate:
    """Computes JS(p, q) from draws of both; even Gaussians have no closed form."""
    one = _mean(lambda x: log_ratio_to_mixture(p.log_prob(x), q.log_prob(x)), of_p, "divergence")
    two = _mean(lambda x: log_ratio_to_mixture(q.log_prob(x), p.log_prob(x)), of_q, "divergence")
    return Estimate((one.value + two.value) / 2, math.hypot(one.stderr, two.stderr) / 2)


def log_ratio_to_mixture(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Computes log p/m for m = (p + q)/2, from log-densities at equal points."""
    return log_p - torch.logaddexp(log_p, log_q) + math.log(2.0)


def _mean(function: Callable[[Tensor], Tensor], draws: Tensor | None, what: str) -> Estimate:
    if draws is None:
        raise ValueError(f"there is no closed form of this {what}; give draws")
    values = function(draws).double()
    return Estimate(values.mean().item(), values.std().item() / math.sqrt(len(values)))
