"""Forward and backward variables in logarithms, where nothing underflows; several times as slow as scaled numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_hmm.chain import Chain, Smoothed
from zoo_hmm.packed import Packed

__all__ = ["log_forward", "log_smoothed"]


def log_forward(chain: Chain, log_b: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
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


def log_smoothed(chain: Chain, log_b: Tensor, packed: Packed, weights: Tensor | None) -> Smoothed:
    """Runs forward and backward; ``weights`` of the sorted sequences multiply their part of ``xi``."""
    alpha, evidence = log_forward(chain, log_b, packed)
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
