"""Values of open length (sentences, recordings, event sequences): padded tensors *with* the lengths of their rows.

Samples of a fixed shape are ordinary tensors ``(n, *shape)``.  Where one axis of the sample space is open, samples are
a :class:`Ragged`: one padded tensor and the length of each row.  Padding is not data, and no code may depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor
from typing_extensions import TypeVar

__all__ = ["Ragged", "Values", "X", "cat", "finite_rows", "map_values"]


class Ragged:
    """Rows of different lengths, padded to a common tensor.

    Args:
        data: padded values, ``(n, …, longest, …)``.
        lengths: length of each row along ``axis``, int64 ``(n,)``, 0 … longest.
        axis: axis of ``data`` along which rows end at different places, at least 1.

    Raises:
        ValueError: the lengths do not fit the data.
    """

    def __init__(self, data: Tensor, lengths: Tensor, axis: int = 1) -> None:
        if not 1 <= axis < data.ndim:
            raise ValueError(f"axis = {axis}; expected 1 … {data.ndim - 1}, an axis of data {tuple(data.shape)}")
        if lengths.shape != (len(data),) or lengths.is_floating_point():
            raise ValueError(f"lengths have shape {tuple(lengths.shape)}; expected {len(data)} integers, one per row")
        longest = data.shape[axis]
        if len(lengths) and not 0 <= int(lengths.min()) <= int(lengths.max()) <= longest:
            raise ValueError(f"lengths reach {int(lengths.min())} … {int(lengths.max())}; expected 0 … {longest}")
        self.data, self.lengths, self.axis = data, lengths.long(), axis

    @classmethod
    def of(cls, rows: Sequence[Tensor], axis: int = 1) -> Ragged:
        """Pads rows, each ``(…, length, …)`` without the batch axis, to one tensor.

        Args:
            rows: tensors, at least one, of one type and with equal axes except for the open one.
            axis: open axis of the batch, which is ``axis - 1`` of each row.

        Raises:
            ValueError: there is no row, or rows differ in more than the open axis.
        """
        if not rows:
            raise ValueError("there are no rows to pad; expected at least one")
        first = rows[0]
        if not 1 <= axis <= first.ndim:
            raise ValueError(
                f"axis = {axis}; expected 1 … {first.ndim}, an axis of rows {tuple(first.shape)} in a batch"
            )
        lengths = torch.tensor([row.shape[axis - 1] if row.ndim == first.ndim else 0 for row in rows])
        shape = list(first.shape)
        shape[axis - 1] = int(lengths.max())
        data = first.new_zeros((len(rows), *shape))
        for i, row in enumerate(rows):
            fits = (*shape[: axis - 1], int(lengths[i]), *shape[axis:])
            if tuple(row.shape) != fits or row.dtype != first.dtype:
                raise ValueError(
                    f"row {i} has shape {tuple(row.shape)} of {row.dtype}; expected {tuple(first.shape)} of "
                    f"{first.dtype} as row 0, with any length along axis {axis - 1}"
                )
            data[i].narrow(axis - 1, 0, row.shape[axis - 1]).copy_(row)
        return cls(data, lengths.to(data.device), axis)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, rows: Tensor | slice) -> Ragged:
        """Selects some rows, and cuts the padding to the longest of them."""
        lengths = self.lengths[rows]
        longest = int(lengths.max()) if len(lengths) else 0
        return Ragged(self.data[rows].narrow(self.axis, 0, longest), lengths, self.axis)

    def __iter__(self) -> Iterator[Tensor]:
        """Yields the rows without their padding."""
        for row, length in zip(self.data, self.lengths.tolist(), strict=True):
            yield row.narrow(self.axis - 1, 0, length)

    def __repr__(self) -> str:
        longest = self.data.shape[self.axis]
        return f"Ragged({len(self)} rows, {tuple(self.data.shape)}, lengths up to {longest}, {self.dtype})"

    @property
    def mask(self) -> Tensor:
        """The mask of data as opposed to padding, bool ``(n, longest)``."""
        places = torch.arange(self.data.shape[self.axis], device=self.lengths.device)
        return places < self.lengths[:, None]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the padded tensor."""
        return tuple(self.data.shape)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the values."""
        return self.data.dtype

    @property
    def device(self) -> torch.device:
        """The device of the values."""
        return self.data.device

    def is_floating_point(self) -> bool:
        """Says whether the values are real numbers and not integers."""
        return self.data.is_floating_point()

    def map(self, function: Callable[[Tensor], Tensor]) -> Ragged:
        """Applies a function that keeps the shape, number by number, to the padded tensor."""
        return Ragged(function(self.data), self.lengths, self.axis)

    def to(self, where: torch.device | torch.dtype | str) -> Ragged:
        """Moves values to a device or converts them to a type; moves the lengths with them."""
        data = self.data.to(where)
        return Ragged(data, self.lengths.to(data.device), self.axis)

    def cpu(self) -> Ragged:
        """Moves values to the CPU."""
        return self.to("cpu")

    def clone(self) -> Ragged:
        """Copies values and lengths."""
        return Ragged(self.data.clone(), self.lengths.clone(), self.axis)

    def padded_with(self, value: float) -> Ragged:
        """Fills the padding with ``value``; the conformance kit checks that results do not depend on the padding."""
        shape = [1] * self.data.ndim
        shape[0], shape[self.axis] = self.mask.shape
        return Ragged(self.data.masked_fill(~self.mask.view(shape), value), self.lengths, self.axis)


Values: TypeAlias = Tensor | Ragged
"""Samples or examples: a tensor ``(n, *shape)``, or a :class:`Ragged` where an axis is open."""

X = TypeVar("X", bound=Values, default=Tensor)
"""The type of a family's samples: ``Tensor`` unless the family declares ``Ragged``."""


def cat(parts: Sequence[Values]) -> Values:
    """Joins batches, row after row.

    Args:
        parts: batches, at least one, which are all tensors or all ragged along one axis.

    Raises:
        ValueError: tensors and ragged values are mixed.
    """
    tensors = [part for part in parts if isinstance(part, Tensor)]
    ragged = [part for part in parts if isinstance(part, Ragged)]
    if tensors and ragged:
        raise ValueError("some batches have a fixed length and some an open one; a sampler gives one or the other")
    if tensors:
        return torch.cat(tensors)
    axis = ragged[0].axis
    longest = max(part.data.shape[axis] for part in ragged)
    padded = []
    for part in ragged:
        shape = list(part.data.shape)
        shape[axis] = longest - shape[axis]
        padded.append(torch.cat([part.data, part.data.new_zeros(shape)], axis))
    return Ragged(torch.cat(padded), torch.cat([part.lengths for part in ragged]), axis)


def map_values(values: X, function: Callable[[Tensor], Tensor]) -> X:
    """Applies a function that keeps the shape to a tensor, or to the numbers of a ragged batch."""
    mapped = values.map(function) if isinstance(values, Ragged) else function(cast(Tensor, values))
    return cast(X, mapped)


def finite_rows(values: Values, *, missing: bool = False) -> Tensor:
    """Says of each row whether all of its numbers are finite, bool ``(n,)``; padding does not count.

    Args:
        values: samples or examples.
        missing: whether NaN is a missing value, and allowed.
    """
    data = values.padded_with(0).data if isinstance(values, Ragged) else values
    finite = ~torch.isinf(data) if missing else torch.isfinite(data)
    return finite.flatten(1).all(1) if data.ndim > 1 else finite
