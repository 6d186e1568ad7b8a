"""The source of every random number.

Nothing in the zoo draws from a global generator.  A random number belongs to a *seed*, a *purpose* and an *index* (the
global number of the sample, or of the training example), and is a function of them and of its place among the numbers
of that index:

    bits = Philox-4x32-10(key = SHA-256(seed / purpose), counter = (place, index))

Hence sample ``i`` is the same whatever the batch size, the number of machines or the device: integers are equal bit for
bit, floats up to the rounding of log, sine and cosine.  A resumed run equals an uninterrupted one, and evaluating does
not change training.  JAX's keys serve this purpose too; here a key is made of words that say what it is for.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from functools import cached_property

import torch
from torch import Tensor

from zoo_core.randomness.philox import Philox

__all__ = ["Streams", "generator"]

TILE = 16384
"""Blocks that are computed at once on a CPU: six arrays of 16,384 64-bit integers are 768 kB, and stay in its cache."""

Make = Callable[[Tensor, Tensor, Tensor], None]
"""Writes numbers made from the upper and the lower 32 bits of words into its third argument; all three are
``(2, pairs, rows, columns)``.  Where lower bits were not requested, the second argument must not be read."""


def stable_seed(*labels: object) -> int:
    """Returns a 63-bit seed from the labels, equal on every platform, Python version and run."""
    digest = hashlib.sha256("/".join(map(str, labels)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *labels: object) -> torch.Generator:
    """Returns a CPU generator for ``(seed, *labels)``, for draws that belong to no sample (the order of the data)."""
    return torch.Generator().manual_seed(stable_seed(seed, *labels))


class Streams:
    """One independent random stream for each of a run of samples.

    Each draw takes the next numbers of every stream: k numbers take 2⌈k/4⌉ places, for every distribution and type, so
    that streams which drew equal shapes are at equal places.  Making streams costs nothing per sample.

    Args:
        seed: integer that all random numbers depend on.
        purpose: purpose of the numbers (``"sample"``, ``"train/1200"``); different purposes are independent.
        start: global index of the first sample, at least 0.
        count: number of samples, ``n`` below.
        device: device on which the numbers are computed.
        dtype: floating type of the drawn tensors.  Numbers in float64 have 53 random bits, in float32 the first 24 of
            them; half types are rounded from float32.
        counter: place in the streams at which to begin, in blocks of 128 bits: the attribute ``counter`` of other
            streams, to continue them.
    """

    def __init__(
        self,
        seed: int,
        purpose: str,
        start: int,
        count: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        counter: int = 0,
    ) -> None:
        self.seed, self.purpose, self.counter = seed, purpose, counter
        self.device, self.dtype = torch.device(device), dtype
        self._index: range | Tensor = range(start, start + count)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def start(self) -> int:
        """The global index of the first sample."""
        return self._index.start if isinstance(self._index, range) else int(self._index[0])

    @cached_property
    def indices(self) -> Tensor:
        """The global indices of the samples, int64 ``(n,)`` on ``device``."""
        if isinstance(self._index, range):
            return torch.arange(self._index.start, self._index.stop, device=self.device)
        return self._index

    @cached_property
    def _philox(self) -> Philox:
        return Philox(stable_seed(self.seed, self.purpose), self.device)

    def _of(self, index: range | Tensor, counter: int) -> Streams:
        other = Streams(self.seed, self.purpose, 0, 0, device=self.device, dtype=self.dtype, counter=counter)
        other._index = index
        if "_philox" in self.__dict__:
            other._philox = self._philox
        return other

    def restarted(self) -> Streams:
        """Returns these streams from their beginning."""
        return self._of(self._index, 0)

    def rows(self, index: slice | Tensor) -> Streams:
        """Returns some of the streams, at their current places: for a batch that finished samples leave.

        Args:
            index: slice, tensor of positions ``(m,)``, or mask ``(n,)``.
        """
        if isinstance(index, slice):
            part = self._index[index]
            return self._of(part if isinstance(part, Tensor) or part.step == 1 else self.indices[index], self.counter)
        return self._of(self.indices[index.to(self.device)], self.counter)

    def chunks(self, count: int) -> Iterator[Streams]:
        """Yields ``count`` runs of streams of equal length, in order, at their current places."""
        size = len(self) // count
        for i in range(count):
            yield self.rows(slice(i * size, (i + 1) * size))

    def normal(self, *shape: int) -> Tensor:
        """Returns standard normal draws, ``(n, *shape)``, by Box and Muller's transform of 32 bits for the radius.

        They reach 6.8 standard deviations, and 9.5 in float64.
        """
        return self._float(shape, _box_muller)

    def uniform(self, *shape: int) -> Tensor:
        """Returns draws from U[0, 1), ``(n, *shape)``: multiples of 2⁻²⁴, and of 2⁻⁵³ in float64."""
        return self._float(shape, _uniform)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Returns integers 0 … high − 1, int64 ``(n, *shape)``, equally probable to within high/2⁶⁴.

        The upper half of the product of ``high`` and 64 random bits: Lemire, *Fast random integer generation in an
        interval* (2019), without his rejection step, since every sample must take the same number of bits.

        Raises:
            ValueError: ``high`` is not in 1 … 2³¹.
        """
        if not 1 <= high <= 2**31:
            raise ValueError(f"high = {high}; expected 1 … 2**31")

        def scaled(upper: Tensor, lower: Tensor, out: Tensor) -> None:
            torch.bitwise_right_shift(upper * high + (lower * high >> 32), 32, out=out)

        return self._draw(shape, torch.int64, True, scaled)

    def categorical(self, probabilities: Tensor) -> Tensor:
        """Returns categories by inversion, equal on every device for equal probabilities.

        Args:
            probabilities: probabilities of the k categories along the last axis, up to a factor: ``(k,)`` for one draw
                per stream, or ``(n, *shape, k)`` for ``shape`` draws, each with its own probabilities.

        Returns:
            categories, int64 ``(n, *shape)``.
        """
        shape = tuple(probabilities.shape[1:-1])
        weights = probabilities.to(self.device, torch.float64)
        # Integers whose sum is below 2⁵²: their partial sums are exact, and so equal in every order of addition.
        bits = 51 - (weights.shape[-1] - 1).bit_length()
        weights = (weights / weights.amax(-1, keepdim=True) * 2.0**bits).round_()
        cumulative = weights.cumsum(-1)
        total = cumulative[..., -1]
        u = self._draw(shape, torch.float64, True, _uniform)
        threshold = torch.minimum((u * total).floor_(), total - 1)
        if cumulative.dim() == 1:
            return torch.searchsorted(cumulative, threshold, right=True)
        return torch.searchsorted(cumulative, threshold.unsqueeze(-1), right=True).squeeze(-1)

    def _float(self, shape: tuple[int, ...], make: Make) -> Tensor:
        drawn = self.dtype if self.dtype in (torch.float32, torch.float64) else torch.float32
        return self._draw(shape, drawn, drawn == torch.float64, make).to(self.dtype)

    def _draw(self, shape: tuple[int, ...], dtype: torch.dtype, fine: bool, make: Make) -> Tensor:
        """Draws ``(n, *shape)`` numbers.

        Args:
            shape: shape of the draw of one stream.
            dtype: type of the result.
            fine: whether the lower bits are needed.
            make: function that makes numbers from bits.
        """
        n, size = len(self), math.prod(shape)
        m = -(-size // 4)  # blocks of a row; m more blocks hold the lower bits
        first, self.counter = self.counter, self.counter + 2 * m
        if n * size == 0:
            return torch.empty((n, *shape), dtype=dtype, device=self.device)
        pairs = -(-size // (2 * m))  # 1 where half of a block is enough
        out = torch.empty((n, pairs, 2, m), dtype=dtype, device=self.device)
        each = 2 if fine else 1
        tile = TILE // each if self.device.type == "cpu" else n * m
        wide = min(m, tile)
        tall = min(n, tile // wide)
        scratch = torch.empty(6 * tall * wide * each, dtype=torch.int64, device=self.device)
        places = torch.arange(first, first + m, device=self.device)
        for left in range(0, m, wide):
            column = slice(left, left + wide)
            at = torch.cat([places[column], places[column] + m]) if fine else places[column]
            for top in range(0, n, tall):
                row = slice(top, top + tall)
                words = self._philox.blocks(self.indices[row], at, scratch)[:, :pairs]
                upper, lower = words.chunk(2, -1) if fine else (words, words)
                make(upper, lower, out[row, ..., column].permute(2, 1, 0, 3))
        return out.view(n, -1)[:, :size].contiguous().view(n, *shape)


def _fraction(upper: Tensor, lower: Tensor, dtype: torch.dtype, half: float) -> Tensor:
    """Returns (word + half)/2⁶⁴, or (upper + half)/2³² where the type has fewer bits."""
    if dtype == torch.float64:
        return upper.to(dtype).add_(lower.to(dtype).add_(half).mul_(2.0**-32)).mul_(2.0**-32)
    return upper.to(dtype).add_(half).mul_(2.0**-32)


def _box_muller(upper: Tensor, lower: Tensor, out: Tensor) -> None:
    """Writes two independent normals, √(−2 ln u) (cos φ, sin φ) with u uniform in (0, 1] and φ in [0, 2π)."""
    radius = _fraction(upper[0], lower[0], out.dtype, 0.5).log_().mul_(-2.0).sqrt_()
    angle = _fraction(upper[1], lower[1], out.dtype, 0.0).mul_(2.0 * math.pi)
    torch.mul(radius, angle.cos(), out=out[0])
    torch.mul(radius, angle.sin_(), out=out[1])


def _uniform(upper: Tensor, lower: Tensor, out: Tensor) -> None:
    """Writes the leading 53 or 24 bits of each word as a fraction."""
    if out.dtype == torch.float64:
        out.copy_((upper << 21) | (lower >> 11)).mul_(2.0**-53)
    else:
        out.copy_(upper >> 8).mul_(2.0**-24)
