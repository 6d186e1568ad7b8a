r"""The variational bound of a DDPM, term by term (Ho et al. 2020, eqs. 5–8 and 13).

    −log p(x) ≤ L = L_T + Σ_{k=1}^{T−1} L_k + L_0,
    L_T = KL(q(x_{T−1} | x) ‖ N(0, I)),
    L_k = KL(q(x_{k−1} | x_k, x) ‖ p(x_{k−1} | x_k)),
    L_0 = −log p(x | x_0),

with p's variance Σ_k fixed or learned.  For ``fixed_small``, Σ_0 = β̃_0 would be zero, and β̃_1 replaces it as in the
reference implementations.  For data of ``levels`` grey levels L_0 is the probability of the level under
the discretised Gaussian (its ends reach to ±∞), by the exact normal distribution function.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo_core.interfaces import Condition, Streams
from zoo_core.paths import broadcast, to_prediction

if TYPE_CHECKING:
    from zoo_ddpm.model import DDPM

__all__ = ["bound_terms", "discretised_gaussian_log_prob", "prior_term", "variational_bound"]


def variational_bound(model: DDPM, x: Tensor, streams: Streams, *, condition: Condition | None = None) -> Tensor:
    """Computes all terms L_0 … L_{T−1}, L_T in nats, with one noise draw per term.

    Args:
        model: DDPM whose bound is computed.
        x: data on the model's side, ``(n, …)``.
        streams: one stream per sample; T normal draws of the shape of a sample are taken.
        condition: condition of the data, one row per sample.

    Returns:
        terms, ``(n, T + 1)``, whose sum over the second axis bounds −log p(x).
    """
    terms = []
    with torch.no_grad():
        for k in range(model.path.steps):
            index = torch.full((len(x),), k, device=x.device)
            terms.append(bound_terms(model, x, index, streams.normal(*x.shape[1:]), condition=condition))
        terms.append(prior_term(model, x))
    return torch.stack(terms, dim=1)


def bound_terms(
    model: DDPM,
    x: Tensor,
    index: Tensor,
    noise: Tensor,
    *,
    stop_mean: bool = False,
    condition: Condition | None = None,
) -> Tensor:
    """Computes L_k at one table entry per sample, ``(n,)`` in nats.

    Args:
        model: DDPM whose bound is computed.
        x: data, ``(n, …)``.
        index: table entry k of each sample, 0 … T − 1, ``(n,)``.
        noise: noise ε of x_k, in the shape of x.
        stop_mean: whether no gradient passes through the mean (Nichol & Dhariwal 2021, §3.1).
        condition: condition of the data, one row per sample.
    """
    path = model.path
    t = (index + 1).double() / path.steps
    x_k = path.diffuse(x, noise, t)
    output, mix = model.answer(x_k, index, condition=condition)
    if stop_mean:
        output = output.detach()
    data = to_prediction(path, model.prediction, x_k, t, output).data
    if model.space.low is not None and not stop_mean:
        data = data.clamp(model.space.low, model.space.high)

    log_beta, log_posterior = (
        broadcast(torch.tensor(v, dtype=x.dtype, device=x.device), x) for v in _log_variances(model, index.tolist())
    )
    if mix is not None:
        log_variance = mix * log_beta + (1.0 - mix) * log_posterior
    else:
        log_variance = log_beta if model.variance == "fixed_large" else log_posterior
    # Both means share the x_k term, so they differ by the data coefficient times (x − x̂).
    coefficient = torch.tensor([_data_coefficient(model, k) for k in index.tolist()], dtype=x.dtype, device=x.device)
    gap = broadcast(coefficient, x) * (x - data)
    kl = 0.5 * (
        log_variance - log_posterior + (log_posterior - log_variance).exp() - 1.0 + gap.square() * (-log_variance).exp()
    )
    if model.levels is None:
        decoder = 0.5 * (math.log(2.0 * math.pi) + log_variance + gap.square() * (-log_variance).exp())
    else:
        decoder = -discretised_gaussian_log_prob(x, data, log_variance, model.levels)
    return torch.where(broadcast(index == 0, x), decoder, kl).flatten(1).sum(dim=1)


def prior_term(model: DDPM, x: Tensor) -> Tensor:
    """Computes L_T, the divergence of the last noisy state from pure noise, ``(n,)`` in nats."""
    alpha, variance = model.path.alpha(1.0), model.path.sigma(1.0) ** 2
    return 0.5 * ((alpha * x).square() + variance - 1.0 - math.log(variance)).flatten(1).sum(dim=1)


def discretised_gaussian_log_prob(x: Tensor, mean: Tensor, log_variance: Tensor, levels: int) -> Tensor:
    """Computes log P of the grey level of ``x`` under a Gaussian cut into ``levels`` bins (Ho et al. 2020, eq. 13).

    The levels span [−1, 1], and their probabilities sum to one.  They are computed in float64 in the lower tail, where
    differences of the normal distribution function do not cancel.

    Returns:
        log-probabilities in nats, in the shape of ``x``.
    """
    x, mean = x.double(), mean.double()
    scale = (-0.5 * log_variance.double()).exp()
    half = 1.0 / (levels - 1)
    upper = torch.where(x > 1.0 - half, math.inf, (x - mean + half) * scale)
    lower = torch.where(x < -1.0 + half, -math.inf, (x - mean - half) * scale)
    flip = lower + upper > 0  # mirror the bin into the lower tail
    low, high = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    mass = torch.special.ndtr(high) - torch.special.ndtr(low)
    return mass.clamp_min(1e-300).log().to(log_variance.dtype)


def _log_variances(model: DDPM, indices: list[int]) -> tuple[list[float], list[float]]:
    """Returns log β_k and log β̃_k at some table entries."""
    return [math.log(_beta(model, k)) for k in indices], [
        math.log(_posterior_variance(model, max(k, 1))) for k in indices
    ]


def _beta(model: DDPM, k: int) -> float:
    path = model.path
    return 1.0 - path.alpha_bar(path.time(k)) / path.alpha_bar(path.time(k - 1))


def _posterior_variance(model: DDPM, k: int) -> float:
    path = model.path
    return _beta(model, k) * (1.0 - path.alpha_bar(path.time(k - 1))) / (1.0 - path.alpha_bar(path.time(k)))


def _data_coefficient(model: DDPM, k: int) -> float:
    path = model.path
    return math.sqrt(path.alpha_bar(path.time(k - 1))) * _beta(model, k) / (1.0 - path.alpha_bar(path.time(k)))
