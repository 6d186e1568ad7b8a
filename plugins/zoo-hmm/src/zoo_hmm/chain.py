r"""The hidden chain of states: forward and backward variables, in scaled numbers and in logarithms.

    p(x_1 … x_T, T) = Σ_z π_{z_1} b_1(z_1) Π_{t>1} A_{z_{t−1} z_t} b_t(z_t) · e_{z_T},        A_ij = (1 − e_i) a_ij,

where b_t(i) is the density of frame t in state i, a_ij the probability of going from i to j if the sequence goes on,
and e_i that of ending after a frame in state i.  Scaled (Rabiner 1989, §V.A), with m_t = max_i b_t(i),

    α_t = (α_{t−1} A) ∘ b_t / m_t / c_t,   Σ_i α_t(i) = 1,     β_{t−1} = A (b_t / m_t ∘ β_t) / c_t,     α_T·β_T = 1,
    log p = Σ_t (log c_t + log m_t) + log α_T·e,   γ_t = α_t ∘ β_t,   Σ_t ξ_t = A ∘ Σ_t α_{t−1}ᵀ (b_t/m_t ∘ β_t / c_t).

The sum of ξ is one product of matrices.  A sequence whose c_t is below 1e-200, since all of its frame's likely states
cannot be reached, is computed again in logarithms, where nothing underflows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zoo_hmm.packed import Packed

__all__ = ["Arithmetic", "Chain", "Smoothed", "filtered", "smoothed"]

Arithmetic = Literal["scaled", "log"]

LOST = 1e-200
"""Scale c_t below which digits may have been lost to underflow."""


@dataclass(frozen=True)
class Chain:
    """The probabilities of a chain of S states.

    Attributes:
        start: π, ``(S,)``.
        moves: A, whose rows sum to 1 − e, ``(S, S)``.
        end: e, ``(S,)``.
    """

    start: Tensor
    moves: Tensor
    end: Tensor


@dataclass(frozen=True)
class Smoothed:
    """What whole sequences say about their states.

    Attributes:
        log_likelihood: log p of each sorted sequence, ``(n,)``.
        gamma: p(z_t = i | x) of each frame, ``(F, S)``.
        xi: expected count of moves from i to j, weighted, ``(S, S)``.
    """

    log_likelihood: Tensor
    gamma: Tensor
    xi: Tensor


def filtered(chain: Chain, log_b: Tensor, packed: Packed, arithmetic: Arithmetic = "scaled") -> tuple[Tensor, Tensor]:
    """Runs forward.

    Args:
        chain: chain of states.
        log_b: log b_t(i), ``(F, S)`` in float64.
        packed: places of the frames.
        arithmetic: ``scaled``, or ``log`` which takes longer and is for comparison.

    Returns:
        log p of each sorted sequence, ``(n,)``, and p(z_t = i | x_1 … x_t), ``(F, S)``.
    """
    if arithmetic == "log":
        log_alpha, evidence = _log_forward(chain, log_b, packed)
        return evidence, log_alpha.softmax(1)
    alpha, scale, _, top = _forward(chain, log_b, packed)
    evidence, lost = _evidence(chain, alpha, scale, top, packed)
    if bool(lost.any()):
        some, frames = _subset(packed, lost)
        log_alpha, evidence[lost] = _log_forward(chain, log_b[frames], some)
        alpha[frames] = log_alpha.softmax(1).nan_to_num(0.0)
    return evidence, alpha


def smoothed(
    chain: Chain,
    log_b: Tensor,
    packed: Packed,
    weights: Tensor | None = None,
    arithmetic: Arithmetic = "scaled",
) -> Smoothed:
    """Runs forward and backward.

    Args:
        chain: chain of states.
        log_b: log b_t(i), ``(F, S)`` in float64.
        packed: places of the frames.
        weights: weights of the sorted sequences in ``xi``, ``(n,)``; 1 unless given.
        arithmetic: ``scaled``, or ``log`` which takes longer and is for comparison.
    """
    if arithmetic == "log":
        return _log_smoothed(chain, log_b, packed, weights)
    alpha, scale, b, top = _forward(chain, log_b, packed)
    evidence, lost = _evidence(chain, alpha, scale, top, packed)
    beta = torch.empty_like(alpha)
    ends = chain.end / (alpha[packed.last] @ chain.end).clamp_min(LOST)[:, None]
    turned, after = chain.moves.mT.contiguous(), None
    pulled = b.div_(scale[:, None])  # b_t/(m_t c_t), and then times β_t
    for here in reversed(list(packed.steps())):
        count = here.stop - here.start
        goes_on = 0 if after is None else after.stop - after.start
        if after is not None:
            torch.mm(pulled[after], turned, out=beta[here][:goes_on])
        beta[here][goes_on:] = ends[goes_on:count]
        pulled[here].mul_(beta[here])
        after = here
    n = packed.counts[0]
    before = alpha[packed.previous()]
    if weights is not None:
        before = before * weights[packed.rows[n:], None]
    gamma = alpha * beta
    if bool(lost.any()):
        keep = ~lost[packed.rows]
        xi = chain.moves * (before[keep[n:]].mT @ pulled[n:][keep[n:]])
        some, frames = _subset(packed, lost)
        again = _log_smoothed(chain, log_b[frames], some, None if weights is None else weights[lost])
        evidence[lost], gamma[frames] = again.log_likelihood, again.gamma
        return Smoothed(evidence, gamma, xi + again.xi)
    return Smoothed(evidence, gamma, chain.moves * (before.mT @ pulled[n:]))


def _forward(chain: Chain, log_b: Tensor, packed: Packed) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns α ``(F, S)``, c ``(F,)``, b/m ``(F, S)`` and log m ``(F,)``."""
    top = log_b.amax(1).clamp_min(-1e300)  # −∞ where no state can have the frame
    b = (log_b - top[:, None]).exp_()
    alpha, scale, before = torch.empty_like(b), torch.empty_like(top), None
    for here in packed.steps():
        now = alpha[here]
        if before is None:
            torch.mul(b[here], chain.start, out=now)
        else:
            torch.mm(before[: len(now)], chain.moves, out=now)
            now.mul_(b[here])
        torch.sum(now, 1, out=scale[here])
        scale[here].clamp_min_(torch.finfo(b.dtype).tiny)
        now.div_(scale[here][:, None])
        before = now
    return alpha, scale, b, top


def _evidence(chain: Chain, alpha: Tensor, scale: Tensor, top: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
    """Returns log p of each sorted sequence, ``(n,)``, and which of them lost digits, bool ``(n,)``."""
    finish = alpha[packed.last] @ chain.end
    evidence = finish.log().index_add_(0, packed.rows, scale.log() + top)
    least = finish.scatter_reduce(0, packed.rows, scale, "amin")
    return evidence, least < LOST


def _subset(packed: Packed, which: Tensor) -> tuple[Packed, Tensor]:
    """Returns some sorted sequences, chosen by a mask ``(n,)``, and a mask of their frames ``(F,)``."""
    frames = which[packed.rows]
    place = frames.cumsum(0) - 1
    rows = (which.cumsum(0) - 1)[packed.rows[frames]]
    counts = [int(frames[here].sum()) for here in packed.steps()]
    some = Packed(
        packed.frames[frames], tuple(c for c in counts if c), rows, place[packed.last[which]], torch.arange(len(rows))
    )
    return some, frames


def _log_forward(chain: Chain, log_b: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
    """Returns log p(x_1 … x_t, z_t = i), ``(F, S)``, and log p of each sorted sequence, ``(n,)``."""
    alpha, moves, before = torch.empty_like(log_b), chain.moves.log(), None
    for here in packed.steps():
        now = alpha[here]
        if before is None:
            now.copy_(log_b[here] + chain.start.log())
        else:
            now.copy_(torch.logsumexp(before[: len(now), :, None] + moves, 1) + log_b[here])
        before = now
    return alpha, torch.logsumexp(alpha[packed.last] + chain.end.log(), 1)


def _log_smoothed(chain: Chain, log_b: Tensor, packed: Packed, weights: Tensor | None) -> Smoothed:
    alpha, evidence = _log_forward(chain, log_b, packed)
    beta, moves, after = torch.empty_like(log_b), chain.moves.log(), None
    beta[packed.last] = chain.end.log()
    xi = torch.zeros_like(moves)
    for here in reversed(list(packed.steps())):
        if after is not None:
            k = after.stop - after.start
            onward = moves + (log_b[after] + beta[after])[:, None]
            beta[here][:k] = torch.logsumexp(onward, 2)
            pair = (alpha[here][:k, :, None] + onward - evidence[:k, None, None]).exp()
            xi += pair.sum(0) if weights is None else torch.einsum("n,nij->ij", weights[:k], pair)
        after = here
    gamma = (alpha + beta - evidence[packed.rows, None]).exp()
    return Smoothed(evidence, gamma, xi)
