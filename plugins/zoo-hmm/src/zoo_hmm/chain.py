r"""The hidden chain of states: forward and backward variables, in scaled numbers and in logarithms.

    p(x_1 … x_T, T) = Σ_z π_{z_1} b_1(z_1) Π_{t>1} A_{z_{t−1} z_t} b_t(z_t) · e_{z_T},        A_ij = (1 − e_i) a_ij,

where b_t(i) is the density of frame t in state i, a_ij the probability of going from i to j if the sequence goes on,
and e_i that of ending after a frame in state i.  Scaled (Rabiner 1989, §V.A), with m_t = max_i b_t(i),

    α_t = (α_{t−1} A) ∘ b_t / m_t / c_t,   Σ_i α_t(i) = 1,     β_{t−1} = A (b_t / m_t ∘ β_t) / c_t,     α_T·β_T = 1,
    log p = Σ_t (log c_t + log m_t) + log α_T·e,   γ_t = α_t ∘ β_t,   Σ_t ξ_t = A ∘ Σ_t α_{t−1}ᵀ (b_t/m_t ∘ β_t / c_t).

All of this holds for any c_t that keep numbers in range: every fourth is computed so that Σ_i α_t(i) = 1, and the
others are 1.  The sum of ξ takes one product of matrices a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_hmm.packed import Packed

__all__ = ["EVERY", "LOST", "Chain", "Smoothed", "backward", "densities", "evidence", "forward"]

EVERY = 4
"""Number of steps after which numbers are scaled."""

LOST = 1e-200
"""Scale c_t below which digits may have been lost to underflow."""


@dataclass(frozen=True)
class Chain:
    """The probabilities of a chain of S states.

    Attributes:
        start: π, ``(S,)``; ``(n, S)`` where each sorted sequence has its own.
        moves: A, whose rows sum to 1 − e, ``(S, S)``.
        end: e, ``(S,)``; ``(n, S)`` where each sorted sequence has its own.
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


def densities(log_b: Tensor, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns b/m and log m ``(F,)`` of log b, all with states as rows, ``(S, F)``.

    A matrix of few rows is multiplied several times as fast as one of few columns.
    """
    top = log_b.amax(0).clamp_min_(-1e300)  # −∞ where no state can have the frame
    return torch.sub(log_b, top, out=out).exp_(), top


def forward(chain: Chain, b: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
    """Returns α ``(S, F)`` and c ``(F,)`` of b/m ``(S, F)``."""
    alpha, scale, before = torch.empty_like(b), b.new_ones(b.shape[1]), None
    tiny, turned = torch.finfo(b.dtype).tiny, chain.moves.mT.contiguous()
    for number, here in enumerate(packed.steps()):
        now = alpha[:, here]
        if before is None:
            torch.mul(b[:, here], chain.start[:, None] if chain.start.ndim == 1 else chain.start.mT, out=now)
        else:
            torch.mm(turned, before[:, : now.shape[1]], out=now)
            now.mul_(b[:, here])
        if number % EVERY == 0:
            c = scale[here]
            torch.sum(now, 0, out=c)
            now.div_(c.clamp_min_(tiny))
        before = now
    return alpha, scale


def evidence(chain: Chain, alpha: Tensor, scale: Tensor, top: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
    """Returns log p of each sorted sequence, ``(n,)``, and which of them lost digits, bool ``(n,)``."""
    finish = _finish(chain, alpha, packed)
    found = finish.log().index_add_(0, packed.rows, scale.log().add_(top))
    if float(torch.minimum(scale.min(), finish.min())) >= LOST:
        return found, torch.zeros_like(packed.order, dtype=torch.bool)
    return found, finish.scatter_reduce(0, packed.rows, scale, "amin") < LOST


def backward(
    chain: Chain, alpha: Tensor, scale: Tensor, b: Tensor, packed: Packed, weights: Tensor | None = None
) -> Tensor:
    """Returns Σ_t ξ_t, ``(S, S)``, and writes γ ``(S, F)`` over ``alpha``, and b_t/m_t ∘ β_t / c_t over ``b``.

    ``weights`` of the sorted sequences, ``(n,)``, multiply their part of ξ.
    """
    beta = (chain.end / _finish(chain, alpha, packed).clamp_min(LOST)[:, None]).mT.contiguous()
    pairs, after = torch.zeros_like(chain.moves), alpha[:, :0]
    for number, here in reversed(list(enumerate(packed.steps()))):
        # A sequence that ends here still has its e/(α_T·e) in β.
        k = after.shape[1]
        torch.mm(chain.moves, after, out=beta[:, :k])
        before, now, there = alpha[:, here], b[:, here], beta[:, : here.stop - here.start]
        pairs.addmm_(before[:, :k], (after if weights is None else after * weights[:k]).mT)
        now.mul_(there)
        before.mul_(there)
        if number % EVERY == 0:
            now.div_(scale[here])
        after = now
    return pairs.mul_(chain.moves)


def _finish(chain: Chain, alpha: Tensor, packed: Packed) -> Tensor:
    """Returns α_T·e of each sorted sequence, ``(n,)``."""
    return (alpha[:, packed.last].mT * chain.end).sum(1)
