r"""One long sequence in √T blocks, which are computed side by side: 3√T steps in place of 2T.

With D_t = diag(b_t/m_t) and the product Q = D_1 A D_2 ⋯ A D_L of a block, which is of S×S numbers whatever the block's
length, the distribution of states before each block, and the likelihood of all that follows it, are

    p ← p Q A / norm,        e ← A Q e / norm,

from block to block.  Then forward and backward variables of all blocks are those of as many sequences, with p as their
starts and e as their ends.  The normaliser of α A between two blocks is a factor of the likelihood and of their ξ.
(A prefix sum of matrices: Blelloch 1990; Särkkä & García-Fernández 2021.)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo_hmm.chain import LOST, Chain, backward, evidence, forward
from zoo_hmm.packed import Packed

__all__ = ["Blocks"]


EVERY = 4
"""Steps after which a product is scaled."""


class Blocks:
    """The forward variables of one sequence, block by block.

    Args:
        chain: chain of states, with one start and one end.
        log_b: log b_t(i) in the order of time, ``(T, S)`` in float64.

    Attributes:
        log_likelihood: log p of the sequence, a tensor without axes.
        lost: whether digits were lost to underflow, so that nothing else here is right.
    """

    def __init__(self, chain: Chain, log_b: Tensor) -> None:
        length, device = len(log_b), log_b.device
        size = math.isqrt(length - 1) + 1
        count = -(-length // size)
        places = torch.arange(count * size, device=device).view(count, size).mT.flatten()
        self.places = places[places < length]
        rest = length - (count - 1) * size
        counts = tuple(count if t < rest else count - 1 for t in range(size))
        rows = self.places // size
        last = torch.cat(
            [(torch.arange(1, count, device=device) * size) - 1, torch.tensor([length - 1], device=device)]
        )
        where = torch.empty(length, dtype=torch.int64, device=device)
        where[self.places] = torch.arange(length, device=device)
        self.packed = Packed(self.places, counts, rows, where[last], torch.arange(count, device=device))
        log_b = log_b.mT.contiguous()[:, self.places].mT
        self.chain = _between(chain, (log_b - log_b.amax(1, keepdim=True).clamp_min(-1e300)).exp_(), self.packed)
        self.alpha, self.scale, self.b, of = forward(self.chain, log_b, self.packed)
        each, lost = evidence(self.chain, self.alpha, self.scale, of, self.packed)
        finish = (self.alpha[self.packed.last] * self.chain.end).sum(1).log()
        self.norm = (self.alpha[self.packed.last[:-1]] @ chain.moves).sum(1)
        self.log_likelihood = (each - finish).sum() + self.norm.log().sum() + finish[-1]
        self.lost = bool(lost.any()) or not bool(torch.isfinite(self.log_likelihood)) or bool((self.norm < LOST).any())

    def filtered(self) -> Tensor:
        """Returns p(z_t = i | x_1 … x_t) in the order of time, ``(T, S)``."""
        return torch.empty_like(self.alpha).index_copy_(0, self.places, self.alpha)

    def smoothed(self) -> tuple[Tensor, Tensor]:
        """Returns γ in the order of time, ``(T, S)``, and Σ_t ξ_t, ``(S, S)``; can be called once."""
        gamma, pulled, inside = backward(self.chain, self.alpha, self.scale, self.b, self.packed)
        count = self.packed.counts[0]
        between = (self.alpha[self.packed.last[:-1]] / self.norm[:, None]).mT @ pulled[1:count]
        ordered = torch.empty_like(gamma.mT).index_copy_(1, self.places, gamma.mT).mT
        return ordered, inside + self.chain.moves * between


def _between(chain: Chain, b: Tensor, packed: Packed) -> Chain:
    """Returns the chain with the starts and the ends of all blocks, ``(blocks, S)``."""
    steps = list(packed.steps())
    product = torch.diag_embed(b[steps[0]])
    for step, here in enumerate(steps[1:]):
        k = here.stop - here.start
        moved = (product[:k] @ chain.moves).mul_(b[here][:, None])
        if step % EVERY == 0:
            moved /= moved.sum((1, 2), keepdim=True).clamp_min(LOST)
        product[:k] = moved
    onward = product @ chain.moves
    starts, ends = [chain.start], [chain.end]
    for one in onward[:-1]:
        ahead = starts[-1] @ one
        starts.append(ahead / ahead.sum().clamp_min(LOST))
    for one in (chain.moves @ product).flip(0)[:-1]:
        back = one @ ends[-1]
        ends.append(back / back.sum().clamp_min(LOST))
    return Chain(torch.stack(starts), chain.moves, torch.stack(ends[::-1]))
