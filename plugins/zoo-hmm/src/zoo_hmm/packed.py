"""Frames of sequences of different lengths without padding, all of the first time step first, then those of the second.

The rows are sorted by length, the longest first, so that the rows that go on at a time step are the first ones of those
before: a recursion over time takes a shrinking prefix, and nothing is computed for padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Ragged

__all__ = ["Packed", "pack"]


@dataclass(frozen=True)
class Packed:
    """The frames of n sequences, step after step.

    Attributes:
        frames: the F frames, ``(F, …)``.
        counts: numbers of sequences that reach each time step, falling.
        rows: place of each frame's sequence among the sorted ones, int64 ``(F,)``.
        last: place of the last frame of each sorted sequence, int64 ``(n,)``.
        order: row number of each sorted sequence, int64 ``(n,)``.
    """

    frames: Tensor
    counts: tuple[int, ...]
    rows: Tensor
    last: Tensor
    order: Tensor

    def steps(self) -> Iterator[slice]:
        """Yields the places of the frames of each time step."""
        start = 0
        for count in self.counts:
            yield slice(start, start + count)
            start += count

    def previous(self) -> Tensor:
        """Returns the place of the frame before each frame but those of the first step, int64 ``(F − n,)``."""
        n = self.counts[0]
        lengths = torch.tensor(self.counts[:-1], device=self.rows.device)
        back = torch.repeat_interleave(lengths, torch.tensor(self.counts[1:], device=self.rows.device))
        return torch.arange(n, len(self.rows), device=self.rows.device) - back

    def unsorted(self, values: Tensor) -> Tensor:
        """Returns values of the sorted sequences, ``(n, …)``, in the order of the rows."""
        return torch.empty_like(values).index_copy_(0, self.order, values)

    def padded(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """Returns values of the frames, ``(F, …)``, as a padded tensor ``(n, longest, …)`` in the order of the rows."""
        made = values.new_full((len(self.order), len(self.counts), *values.shape[1:]), fill)
        time = torch.repeat_interleave(torch.arange(len(self.counts)), torch.tensor(self.counts)).to(self.rows.device)
        made[self.order[self.rows], time] = values
        return made


def pack(x: Ragged) -> Packed:
    """Packs sequences whose open axis is the first one.

    Raises:
        IncompatibleError: there is no sequence, or one without any frame.
    """
    if not len(x) or int(x.lengths.min()) < 1:
        raise IncompatibleError("a sequence has no frame; expected at least one in each")
    lengths, order = torch.sort(x.lengths, descending=True, stable=True)
    n, longest = len(lengths), int(lengths[0])
    if int(lengths[-1]) == longest:  # nothing is left out of a transposed copy, which is quicker than a look-up
        rows = torch.arange(n, device=lengths.device)
        frames = x.data[:, :longest].transpose(0, 1).flatten(0, 1)
        return Packed(frames, (n,) * longest, rows.repeat(longest), rows + n * (longest - 1), rows)
    mask = torch.arange(longest, device=lengths.device)[:, None] < lengths
    time, rows = mask.nonzero().unbind(1)
    counts = mask.sum(1)
    places = order[rows].mul_(x.data.shape[1]).add_(time)
    frames = x.data.flatten(0, 1).index_select(0, places)
    before = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    last = before[lengths - 1] + torch.arange(len(lengths), device=lengths.device)
    return Packed(frames, tuple(counts.tolist()), rows, last, order)
