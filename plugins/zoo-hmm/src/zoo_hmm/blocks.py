r"""Cuts one long sequence into blocks of √(T/2) frames, which are computed side by side: 5√T steps in place of 2T.

With D_t = diag(b_t/m_t) and the product Q = D_1 A D_2 ⋯ A D_L of a block, which is of S×S numbers whatever the block's
length, the distribution of states before each block, and the likelihood of all that follows it, are

    p ← p Q A / norm,        e ← A Q e / norm,

from block to block.  Then forward and backward variables of all blocks are those of as many sequences, with p as their
starts and e as their ends.  The normaliser of α A between two blocks is a factor of the likelihood and of their ξ.
(A prefix sum of matrices: Blelloch 1990; Särkkä & García-Fernández 2021.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from zoo_hmm.chain import EVERY, LOST, Chain, backward, densities, evidence, forward
from zoo_hmm.packed import Packed

__all__ = ["Blocks"]


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
        size = math.isqrt(length // 2) + 1
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
        self.b = log_b.mT.contiguous()[:, self.places]
        _, top = densities(self.b, out=self.b)
        self.chain, apart = _between(chain, self.b, counts)
        self.alpha, self.scale = forward(self.chain, self.b, self.packed)
        each, lost = evidence(self.chain, self.alpha, self.scale, top, self.packed)
        ends = self.alpha[:, self.packed.last].mT
        norm = (ends[:-1] @ chain.moves).sum(1)
        self.before = ends[:-1] / norm[:, None]
        finish = (ends * self.chain.end).sum(1).log()
        self.log_likelihood = (each - finish).sum() + norm.log().sum() + finish[-1]
        self.lost = apart or bool(lost.any()) or not bool(torch.isfinite(self.log_likelihood))

    def filtered(self) -> Tensor:
        """Returns p(z_t = i | x_1 … x_t) in the order of time, ``(T, S)``."""
        return self._in_order(self.alpha / self.alpha.sum(0).clamp_min_(LOST), torch.empty_like(self.alpha))

    def smoothed(self) -> tuple[Tensor, Tensor]:
        """Returns γ in the order of time, ``(T, S)``, and Σ_t ξ_t, ``(S, S)``; nothing else here holds afterwards."""
        inside = backward(self.chain, self.alpha, self.scale, self.b, self.packed)
        between = self.before.mT @ self.b[:, 1 : self.packed.counts[0]].mT
        return self._in_order(self.alpha, self.b), inside + self.chain.moves * between

    def _in_order(self, values: Tensor, room: Tensor) -> Tensor:
        return room.mT.index_copy_(0, self.places, values.mT)


def _between(chain: Chain, b: Tensor, counts: Sequence[int]) -> tuple[Chain, bool]:
    """Returns the chain with the starts and the ends of all blocks, ``(blocks, S)``, and whether digits were lost."""
    states, count, turned = len(b), counts[0], chain.moves.mT.contiguous()
    # Entry (j, i, k) is Q_ij of block k, so that a step is one product of a matrix of few rows.
    product, other = (b.new_zeros(states, states, count) for _ in range(2))
    product.diagonal().copy_(b[:, :count].mT)
    shorter, start = None, count
    for step, k in enumerate(counts[1:]):
        if k < count and shorter is None:  # the last block is complete; what it goes on with is not used
            shorter = product[:, :, -1].clone()
        torch.mm(turned, product.view(states, -1), out=other.view(states, -1))
        other[:, :, :k].mul_(b[:, None, start : start + k])
        if step % EVERY == 0:
            other.div_(other.sum((0, 1)).clamp_min_(LOST))
        product, other, start = other, product, start + k
    if shorter is not None:
        product[:, :, -1] = shorter
    blocks = product.permute(2, 0, 1).contiguous()
    starts, least = _carried(chain.start, (turned @ blocks)[:-1])
    ends, smallest = _carried(chain.end, (blocks @ turned).mT.flip(0)[:-1])
    return Chain(starts, chain.moves, ends.flip(0)), not min(least, smallest) >= LOST


def _carried(first: Tensor, matrices: Tensor) -> tuple[Tensor, float]:
    """Returns a vector and its products with one matrix after the other, each scaled, and the least sum before it."""
    found, totals = [first], [first.sum()]
    for one in matrices:
        carried = one @ found[-1]
        totals.append(carried.sum())
        found.append(carried / totals[-1])
    return torch.stack(found), float(torch.stack(totals).min())
