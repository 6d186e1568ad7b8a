"""Where every random number comes from.

Nothing in the zoo draws from a global generator.  A random number belongs to a *seed*, a *purpose* and an *index*
(the global number of the sample, or of the training example), and a stable hash of the three seeds its generator:

    generator_i = mt19937(SHA-256(seed / purpose / i))

Hence sample ``i`` is the same whatever the batch size, the number of machines or the device (numbers are drawn on the
CPU and moved), a resumed run equals an uninterrupted one, and evaluating does not disturb training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["Streams", "generator"]


def stable_seed(*labels: object) -> int:
    """A 63-bit seed from the labels: the same on every platform, Python version and run."""
    digest = hashlib.sha256("/".join(map(str, labels)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *labels: object) -> torch.Generator:
    """One CPU generator for ``(seed, *labels)``: for draws that belong to no sample, such as a data order."""
    return torch.Generator().manual_seed(stable_seed(seed, *labels))


class Streams:
    """One independent random stream for each of a run of samples.

    Args:
        seed: the user's seed.
        purpose: what the numbers are for (``"sample"``, ``"train/1200"``); different purposes are independent.
        start: the global index of the first sample.
        count: the number of samples, ``n`` below.
        device: where the drawn tensors go.
        dtype: the floating type of the drawn tensors (the drawing itself is done in ``dtype`` on the CPU, except for
            half types, which are drawn in float32 and rounded).
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
    ) -> None:
        self.seed, self.purpose, self.start = seed, purpose, start
        self.device, self.dtype = torch.device(device), dtype
        self._generators = [generator(seed, purpose, i) for i in range(start, start + count)]

    def __len__(self) -> int:
        return len(self._generators)

    def again(self) -> Streams:
        """The same streams from their beginning."""
        return Streams(self.seed, self.purpose, self.start, len(self), device=self.device, dtype=self.dtype)

    def chunks(self, count: int) -> Iterator[Streams]:
        """``count`` runs of streams of equal length, in order; they go on where this one is."""
        size = len(self) // count
        for i in range(count):
            part = Streams(self.seed, self.purpose, self.start + i * size, 0, device=self.device, dtype=self.dtype)
            part._generators = self._generators[i * size : (i + 1) * size]
            yield part

    def _fill(self, draw: str, shape: Sequence[int], *args: float) -> Tensor:
        drawn_as = self.dtype if self.dtype in (torch.float32, torch.float64) else torch.float32
        out = torch.empty((len(self), *shape), dtype=drawn_as)
        for row, source in zip(out, self._generators, strict=True):
            getattr(row, draw)(*args, generator=source)
        return out.to(self.device, self.dtype)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal draws, ``(n, *shape)``."""
        return self._fill("normal_", shape)

    def uniform(self, *shape: int) -> Tensor:
        """Draws from U[0, 1), ``(n, *shape)``."""
        return self._fill("uniform_", shape)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Integers 0 … high - 1 with equal probability, int64 ``(n, *shape)``."""
        out = torch.empty((len(self), *shape), dtype=torch.int64)
        for row, source in zip(out, self._generators, strict=True):
            row.random_(0, high, generator=source)
        return out.to(self.device)

    def categorical(self, probabilities: Tensor) -> Tensor:
        """One category per stream from ``probabilities`` ``(k,)`` or ``(n, k)``, int64 ``(n,)``, by inversion."""
        cumulative = probabilities.double().cumsum(-1).cpu().expand(len(self), -1).contiguous()
        u = torch.stack([torch.rand((), dtype=torch.float64, generator=g) for g in self._generators])
        index = torch.searchsorted(cumulative, (u * cumulative[:, -1]).unsqueeze(1), right=True).squeeze(1)
        return index.clamp_(max=cumulative.shape[-1] - 1).to(self.device)
