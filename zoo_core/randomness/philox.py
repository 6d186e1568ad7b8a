"""Philox-4x32-10: random bits as a function of a key and a counter, for many counters at once.

A counter-based generator keeps no state that must be filled or moved: block number c of row i is

    (x₀, x₁, x₂, x₃) = Philox(key, counter = (c mod 2³², c div 2³², i mod 2³², i div 2³²)),

four words of 32 bits, so all rows are computed together, in any order, on any device, with the same bits.  Ten rounds,
each of two products of 32-bit words and some exclusive ors; it passes all of TestU01's BigCrush for counters as regular
as these.  Equation and constants: Salmon, Moraes, Dror and Shaw, *Parallel random numbers: as easy as 1, 2, 3*
(SC 2011), https://doi.org/10.1145/2063384.2063405; test vectors: the authors' Random123 library.

The words lie in 64-bit integers.  On a CPU numpy does the arithmetic, in the tensors' memory, since torch has no
unsigned shift; elsewhere torch does, with equal bits: a signed shift differs in bits that the next mask removes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Philox"]

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW = 0xFFFFFFFF
ROUNDS = 10

NARROW = 4
"""Greatest number of blocks per row for which rows are filled column by column."""


class Philox:
    """The Philox generator with one key, on one device.

    Args:
        key: key of 64 bits.
        device: device on which the words are computed.
        plain: whether torch's operations are used on a CPU too, to test them against numpy's.
    """

    def __init__(self, key: int, device: torch.device, *, plain: bool = False) -> None:
        self.device = device
        self._numpy = device.type == "cpu" and not plain
        low, high = key & LOW, key >> 32 & LOW
        table = []
        for r in range(ROUNDS):
            # The halves (x₀, x₁) and (x₂, x₃) change places in every round, and their constants with them.
            turn = 1 if r % 2 == 0 else -1
            keys = (high + r * WEYL[1] & LOW, low + r * WEYL[0] & LOW)
            table.append((MULTIPLIERS[::turn], keys[::turn]))
        constants = torch.tensor(table, dtype=torch.int64).view(ROUNDS, 2, 2, 1, 1).to(device)
        self._rounds = list(_unsigned(constants) if self._numpy else map(torch.unbind, constants))

    def blocks(self, rows: Tensor, places: Tensor, scratch: Tensor | None = None) -> Tensor:
        """Computes the blocks at ``places`` of each row.

        Args:
            rows: second halves of the counters, int64 ``(n,)``.
            places: first halves of the counters, int64 ``(m,)``.
            scratch: int64 memory of at least 6nm elements, which are overwritten; allocated unless given.

        Returns:
            ((x₀, x₂), (x₁, x₃)), int64 in [0, 2³²), ``(2, 2, n, m)``; it lies in ``scratch``.
        """
        shape = (2, len(rows), len(places))
        used = 6 * shape[1] * shape[2]
        if scratch is None:
            scratch = torch.empty(used, dtype=torch.int64, device=self.device)
        scratch = scratch[:used].view(3, *shape)
        if self._numpy:
            x, y, spare = _unsigned(scratch)
            self._fill(x, y, _unsigned(rows), _unsigned(places))
            self._mix(np, x, y, spare, [(x, y[::-1])], [(x, spare[::-1])])
        else:
            x, y, spare = scratch.unbind()
            self._fill(x, y, rows, places)
            crossed = [[(x[0], odd[1]), (x[1], odd[0])] for odd in (y, spare)]
            self._mix(_Torch, x, y, spare, *crossed)
        return scratch[:2]

    @staticmethod
    def _fill(x: Any, y: Any, rows: Any, places: Any) -> None:
        low, high = rows & LOW, rows >> 32 & LOW
        if len(places) > NARROW:
            x[0], y[0] = places & LOW, places >> 32 & LOW
            x[1], y[1] = low[:, None], high[:, None]
        else:  # down the columns, since numpy's inner loop would be as short as a row
            for i in range(len(places)):
                x[0, :, i], y[0, :, i] = places[i] & LOW, places[i] >> 32 & LOW
                x[1, :, i], y[1, :, i] = low, high

    def _mix(self, of: Any, x: Any, y: Any, spare: Any, crossed: Any, crossed_spare: Any) -> None:
        """Does the rounds in place; their number is even, so that every word ends in its own memory.

        Args:
            of: numpy, or torch under numpy's names.
            x: even words.
            y: odd words.
            spare: memory for products.
            crossed: halves of ``x``, each with the other half of ``y``.
            crossed_spare: halves of ``x``, each with the other half of ``spare``.
        """
        multiply, shift, xor, mask = of.multiply, of.right_shift, of.bitwise_xor, of.bitwise_and
        for multiplier, key in self._rounds:
            multiply(x, multiplier, out=spare)
            shift(spare, 32, out=x)
            for half, other in crossed:
                xor(half, other, out=half)
            xor(x, key, out=x)
            mask(x, LOW, out=x)
            # The low halves of the products are the next odd words.
            y, spare, crossed, crossed_spare = spare, y, crossed_spare, crossed
        mask(y, LOW, out=y)


class _Torch:
    """torch's functions under numpy's names."""

    multiply, right_shift = torch.mul, torch.bitwise_right_shift
    bitwise_xor, bitwise_and = torch.bitwise_xor, torch.bitwise_and


def _unsigned(tensor: Tensor) -> Any:
    """Returns the tensor's memory as numpy's unsigned integers."""
    return tensor.numpy().view(np.uint64)
