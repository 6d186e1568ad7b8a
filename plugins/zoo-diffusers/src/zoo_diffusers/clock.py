"""The time embeddings of a ``UNet2DModel``: sines, sines of the log, or a table, and two linear layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_diffusers.settings import Settings

__all__ = ["Embedding", "Table", "make_waves"]


class Sines(nn.Module):
    """The features cos and sin of t·ω_i with ω_i = 10⁴^(−i/(half − shift)), in float32 (Ho et al. 2020, appendix B)."""

    def __init__(self, features: int, cosine_first: bool, shift: float) -> None:
        super().__init__()
        self.features, self.cosine_first, self.shift = features, cosine_first, shift

    def forward(self, t: Tensor) -> Tensor:
        half = self.features // 2
        index = torch.arange(half, dtype=torch.float32, device=t.device)
        phase = t.float()[:, None] * torch.exp(index * (-math.log(10_000.0) / max(half - self.shift, 1e-9)))
        waves = (phase.cos(), phase.sin()) if self.cosine_first else (phase.sin(), phase.cos())
        return F.pad(torch.cat(waves, dim=1), (0, self.features % 2))


class LogSines(nn.Module):
    """The features sin and cos of 2π·w·ln σ with stored Gaussian w (Song et al. 2021, appendix C)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(16.0 * torch.randn(features), requires_grad=False)

    def forward(self, t: Tensor) -> Tensor:
        phase = t.float().log()[:, None] * self.weight.float()[None, :] * 2.0 * math.pi
        return torch.cat([phase.sin(), phase.cos()], dim=1)


class Table(nn.Embedding):
    """A table with a learned row for each entry of the noise schedule; other times take the nearest row."""

    def forward(self, t: Tensor) -> Tensor:
        return super().forward(t.round().long().clamp(0, self.num_embeddings - 1))


class Embedding(nn.Module):
    """Two linear layers with a SiLU between them."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(features, width), nn.Linear(width, width)

    def forward(self, waves: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(waves.to(self.linear_1.weight.dtype))))


def make_waves(s: Settings) -> tuple[nn.Module, int]:
    """Makes a module from times ``(n,)`` to ``(n, features)``; returns it with the number of features."""
    features = s.widths[0]
    if s.time == "fourier":
        return LogSines(features), 2 * features
    if s.time == "learned":
        return Table(s.time_entries, features), features
    return Sines(features, s.cosine_first, s.frequency_shift), features
