"""Filters and smooths sequences in the arithmetic that suits them.

Scaled numbers are exact, and quicker than logarithms.  A sequence whose scale c_t is below 1e-200, since the likely
states of a frame cannot be reached, is computed again in logarithms.  A few long sequences are computed in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from zoo_hmm.blocks import Blocks
from zoo_hmm.chain import LOST, Chain, Smoothed, backward, densities, evidence, forward
from zoo_hmm.logarithms import log_forward, log_smoothed
from zoo_hmm.one_thread import one_thread
from zoo_hmm.packed import Packed

__all__ = ["Arithmetic", "filtered", "smoothed"]

Arithmetic = Literal["scaled", "log"]

LONG, FEW = 2000, 8
"""Length from which, and number of sequences up to which, each is computed in blocks."""


@one_thread()
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
        log_alpha, found = log_forward(chain, log_b, packed)
        return found, log_alpha.softmax(1)
    if _is_long(packed):
        return _filtered_in_blocks(chain, log_b, packed)
    b, top = densities(log_b.mT.contiguous())
    alpha, scale = forward(chain, b, packed)
    found, lost = evidence(chain, alpha, scale, top, packed)
    now = alpha.div_(alpha.sum(0).clamp_min_(LOST)).mT
    if bool(lost.any()):
        some, frames = _subset(packed, lost)
        log_alpha, found[lost] = log_forward(chain, log_b[frames], some)
        now[frames] = log_alpha.softmax(1).nan_to_num(0.0)
    return found, now


@one_thread()
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
        return log_smoothed(chain, log_b, packed, weights)
    if _is_long(packed):
        return _smoothed_in_blocks(chain, log_b, packed, weights)
    b, top = densities(log_b.mT.contiguous())
    alpha, scale = forward(chain, b, packed)
    found, lost = evidence(chain, alpha, scale, top, packed)
    if not bool(lost.any()):
        xi = backward(chain, alpha, scale, b, packed, weights)
        return Smoothed(found, alpha.mT, xi)
    gamma, xi = torch.empty_like(log_b), torch.zeros_like(chain.moves)
    for which, way in ((lost, log_smoothed), (~lost, smoothed)):
        if bool(which.any()):
            some, frames = _subset(packed, which)
            part = way(chain, log_b[frames], some, None if weights is None else weights[which])
            found[which], gamma[frames], xi = part.log_likelihood, part.gamma, xi + part.xi
    return Smoothed(found, gamma, xi)


def _is_long(packed: Packed) -> bool:
    return len(packed.counts) >= LONG and packed.counts[0] <= FEW


def _filtered_in_blocks(chain: Chain, log_b: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
    found, parts = log_b.new_empty(packed.counts[0]), []
    for row, mine in _each(packed):
        blocks = Blocks(chain, log_b[mine])
        found[row], now = blocks.log_likelihood, blocks.filtered()
        if blocks.lost:
            log_alpha, found[row : row + 1] = log_forward(chain, log_b[mine], _one(packed, row))
            now = log_alpha.softmax(1).nan_to_num(0.0)
        parts.append((mine, now))
    return found, _together(parts, log_b)


def _smoothed_in_blocks(chain: Chain, log_b: Tensor, packed: Packed, weights: Tensor | None) -> Smoothed:
    found, parts, xi = log_b.new_empty(packed.counts[0]), [], torch.zeros_like(chain.moves)
    for row, mine in _each(packed):
        blocks = Blocks(chain, log_b[mine])
        if blocks.lost:
            again = log_smoothed(chain, log_b[mine], _one(packed, row), None)
            found[row], gamma, moves = again.log_likelihood[0], again.gamma, again.xi
        else:
            found[row], (gamma, moves) = blocks.log_likelihood, blocks.smoothed()
        parts.append((mine, gamma))
        xi += moves if weights is None else weights[row] * moves
    return Smoothed(found, _together(parts, log_b), xi)


def _each(packed: Packed) -> Iterator[tuple[int, Tensor | slice]]:
    """Yields the number of each sorted sequence, and the places of its frames."""
    n = packed.counts[0]
    return ((row, slice(None) if n == 1 else packed.rows == row) for row in range(n))


def _together(parts: Sequence[tuple[Tensor | slice, Tensor]], like: Tensor) -> Tensor:
    """Returns the values of all frames, ``(F, S)``; those of a single sequence are not copied."""
    if len(parts) == 1:
        return parts[0][1]
    whole = torch.empty_like(like)
    for mine, values in parts:
        whole[mine] = values
    return whole


def _one(packed: Packed, row: int) -> Packed:
    """Returns one sorted sequence."""
    return _subset(packed, torch.arange(packed.counts[0], device=packed.rows.device) == row)[0]


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
