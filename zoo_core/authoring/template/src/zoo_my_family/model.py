r"""A flow of affine couplings (Dinh, Sohl-Dickstein & Bengio 2017): an exact density, and samples in one go.

A sample is x = f(z) with z ~ N(0, I) and f invertible, hence

    log p(x) = log N(z; 0, I) + log |det ∂z/∂x|,        z = f⁻¹(x).

f⁻¹ is a chain of layers.  Each leaves a part a of the coordinates alone, and moves and stretches the others, b:

    data → noise:   b ← (b − t(a)) · exp(−s(a)),        log |det| = −Σ s(a)
    noise → data:   b ← b · exp(s(a)) + t(a)

where a small network gives s and t.  Between layers the coordinates are reversed, so that all of them move.

This is a start that passes every test: put your own family in its place.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from zoo_core.interfaces import Condition, Density, DirectSampler, LatentVariable, Model, SampleSpace, Streams

__all__ = ["MyFamily"]


class AffineCoupling(nn.Module):
    """One layer, and its inverse.

    Args:
        dimensions: number of coordinates of a point.
        width: width of the network's hidden layers.
    """

    def __init__(self, dimensions: int, width: int) -> None:
        super().__init__()
        self.kept = dimensions // 2
        self.network = nn.Sequential(
            nn.Linear(self.kept, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 2 * (dimensions - self.kept)),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Brings x one layer nearer to noise; gives log |det| per sample too."""
        a, b = x[:, : self.kept], x[:, self.kept :]
        s, t = self._scale_and_shift(a)
        return torch.cat([a, (b - t) * torch.exp(-s)], dim=1), -s.sum(1)

    def to_data(self, z: Tensor) -> Tensor:
        """Undoes :meth:`forward`."""
        a, b = z[:, : self.kept], z[:, self.kept :]
        s, t = self._scale_and_shift(a)
        return torch.cat([a, b * torch.exp(s) + t], dim=1)

    def _scale_and_shift(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Computes s, which is bounded so that no layer can overflow, and t."""
        s, t = self.network(a).chunk(2, dim=1)
        return 2.0 * torch.tanh(s / 2.0), t


class MyFamily(Model, Density, DirectSampler, LatentVariable):
    """A flow over points.

    Args:
        shape: shape of one sample, ``[dimensions]``, at least two of them.
        layers: number of couplings.
        width: width of each one's network.

    Raises:
        ValueError: a size that is no size.
    """

    invertible = True  # decode(encode(x)) = x

    def __init__(self, shape: list[int], layers: int = 6, width: int = 32) -> None:
        super().__init__()
        if len(shape) != 1 or shape[0] < 2 or layers < 1 or width < 1:
            raise ValueError(
                f"shape = {shape}, layers = {layers}, width = {width}; expected [2] or more, and positive sizes"
            )
        self.space = SampleSpace("points", (shape[0],))
        self.couplings = nn.ModuleList(AffineCoupling(shape[0], width) for _ in range(layers))

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes log p(x) in nats, exact, ``(n,)``."""
        z, log_det = self._to_noise(x)
        return log_det - 0.5 * z.square().sum(1) - 0.5 * z.shape[1] * math.log(2.0 * math.pi)

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        """Draws one sample per stream; all randomness is theirs, so that sample i is the same in every batch."""
        return self.decode(self.draw_latent(streams))

    def draw_latent(self, streams: Streams) -> Tensor:
        """Draws z ~ N(0, I)."""
        return streams.normal(*self.space.sizes)

    def encode(self, x: Tensor, *, condition: Condition | None = None) -> Tensor:
        """Computes z = f⁻¹(x)."""
        return self._to_noise(x)[0]

    def decode(self, z: Tensor, *, condition: Condition | None = None) -> Tensor:
        """Computes x = f(z)."""
        for coupling in reversed(self.couplings):
            z = cast(AffineCoupling, coupling).to_data(z.flip(1))
        return z

    def _to_noise(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Computes z = f⁻¹(x) and log |det ∂z/∂x|."""
        log_det = x.new_zeros(len(x))
        for coupling in self.couplings:
            x, change = coupling(x)
            x, log_det = x.flip(1), log_det + change
        return x, log_det
