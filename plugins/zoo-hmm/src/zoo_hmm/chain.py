r"""The hidden chain of states: forward and backward variables, in scaled numbers and in logarithms.

    p(x_1 … x_T, T) = Σ_z π_{z_1} b_1(z_1) Π_{t>1} A_{z_{t−1} z_t} b_t(z_t) · e_{z_T},        A_ij = (1 − e_i) a_ij,

where b_t(i) is the density of frame t in state i, a_ij the probability of going from i to j if the sequence goes on,
and e_i that of ending after a frame in state i.  Scaled (Rabiner 1989, §V.A), with m_t = max_i b_t(i),

    α_t = (α_{t−1} A) ∘ b_t / m_t / c_t,   Σ_i α_t(i) = 1,     β_{t−1} = A (b_t / m_t ∘ β_t) / c_t,     α_T·β_T = 1,
    log p = Σ_t (log c_t + log m_t) + log α_T·e,   γ_t = α_t ∘ β_t,   Σ_t ξ_t = A ∘ Σ_t α_{t−1}ᵀ (b_t/m_t ∘ β_t / c_t).

The sum of ξ is one product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_hmm.packed import Packed

__all__ = ["LOST", "Chain", "Smoothed", "backward", "evidence", "forward"]

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


def forward(chain: Chain, log_b: Tensor, packed: Packed) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns α ``(F, S)``, c ``(F,)``, b/m ``(F, S)`` and log m ``(F,)``."""
    log_b = log_b.mT.contiguous()  # a matrix of few rows is multiplied several times as fast as one of few columns
    top = log_b.amax(0).clamp_min_(-1e300)  # −∞ where no state can have the frame
    b = (log_b - top).exp_()
    alpha, scale, before = torch.empty_like(b), torch.empty_like(top), None
    tiny, turned = torch.finfo(b.dtype).tiny, chain.moves.mT.contiguous()
    for here in packed.steps():
        now, c = alpha[:, here], scale[here]
        if before is None:
            torch.mul(b[:, here], chain.start[:, None] if chain.start.ndim == 1 else chain.start.mT, out=now)
        else:
            torch.mm(turned, before[:, : now.shape[1]], out=now)
            now.mul_(b[:, here])
        torch.sum(now, 0, out=c)
        now.div_(c.clamp_min_(tiny))
        before = now
    return alpha.mT, scale, b.mT, top


def evidence(chain: Chain, alpha: Tensor, scale: Tensor, top: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
    """Returns log p of each sorted sequence, ``(n,)``, and which of them lost digits, bool ``(n,)``."""
    finish = (alpha[packed.last] * chain.end).sum(1)
    found = finish.log().index_add_(0, packed.rows, scale.log() + top)
    if float(torch.minimum(scale.min(), finish.min())) >= LOST:
        return found, torch.zeros_like(packed.order, dtype=torch.bool)
    return found, finish.scatter_reduce(0, packed.rows, scale, "amin") < LOST


def backward(
    chain: Chain, alpha: Tensor, scale: Tensor, b: Tensor, packed: Packed, weights: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns γ ``(F, S)``, b_t/m_t ∘ β_t / c_t ``(F, S)``, which is written over ``b``, and Σ_t ξ_t, ``(S, S)``.

    ``weights`` of the sorted sequences, ``(n,)``, multiply their part of ξ.
    """
    ends = (chain.end / (alpha[packed.last] * chain.end).sum(1, keepdim=True).clamp_min(LOST)).mT
    alpha, pulled, after = alpha.mT, b.mT.div_(scale), None
    beta, pairs = torch.empty_like(alpha), torch.zeros_like(chain.moves)
    for here in reversed(list(packed.steps())):
        middle = here.start if after is None else here.start + after.stop - after.start
        if after is not None:
            now, before = pulled[:, after], alpha[:, here.start : middle]
            torch.mm(chain.moves, now, out=beta[:, here.start : middle])
            pairs.addmm_(before, (now if weights is None else now * weights[: now.shape[1]]).mT)
        if middle < here.stop:
            beta[:, middle : here.stop] = ends[:, middle - here.start :][:, : here.stop - middle]
        pulled[:, here].mul_(beta[:, here])
        after = here
    return beta.mul_(alpha).mT, pulled.mT, pairs.mul_(chain.moves)
