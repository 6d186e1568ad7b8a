r"""Models of which everything is known, to try samplers and metrics on.

The mixture Σ_j w_j N(m_j, s_j² I) stays a mixture on a Gaussian path,

    p(x_t) = Σ_j w_j N(α m_j, (α² s_j² + σ²) I),
    E[x | x_t, j] = m_j + α s_j²/(α² s_j² + σ²)·(x_t − α m_j),

so its denoiser is exact: what a path sampler draws with it should have the mixture's density.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from zoo_core.interfaces import (
    Condition,
    ConditionSpec,
    Denoiser,
    Density,
    DirectSampler,
    GaussianPath,
    LatentVariable,
    Model,
    Prediction,
    SampleSpace,
    Streams,
    capabilities,
)

__all__ = ["ExactMixture", "GreyNoise", "all_toys", "capabilities_of"]


class CosinePath(GaussianPath):
    """α = cos(πt/2), σ = sin(πt/2)."""

    def alpha(self, t: float) -> float:
        return math.cos(math.pi * t / 2)

    def sigma(self, t: float) -> float:
        return math.sin(math.pi * t / 2)


class ExactMixture(Model, Density, DirectSampler, Denoiser):
    """Two clouds, with an exact density and an exact denoiser.

    Args:
        dimensions: of a point.
    """

    means: Tensor
    scales: Tensor
    weights: Tensor

    def __init__(self, dimensions: int = 2) -> None:
        super().__init__()
        self.space = SampleSpace("points", (dimensions,))
        self.path, self.prediction = CosinePath(), "data"
        self.register_buffer("means", torch.tensor([[-1.0], [1.0]]).expand(2, dimensions).contiguous())
        self.register_buffer("scales", torch.tensor([0.6, 0.8]))
        self.register_buffer("weights", torch.tensor([0.4, 0.6]))

    def _log_joint(self, x: Tensor, alpha: float | Tensor, sigma: float | Tensor) -> Tensor:
        variance = alpha**2 * self.scales.to(x) ** 2 + sigma**2
        squared = (x[:, None] - self._shifted(alpha, x)).square().sum(2)
        d = x.shape[1]
        return self.weights.to(x).log() - 0.5 * squared / variance - 0.5 * d * (2 * math.pi * variance).log()

    def _shifted(self, alpha: float | Tensor, x: Tensor) -> Tensor:
        alpha = alpha[:, :, None] if isinstance(alpha, Tensor) else alpha
        return alpha * self.means.to(x)[None]

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        return torch.logsumexp(self._log_joint(x, 1.0, 0.0), dim=1)

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        j = streams.categorical(self.weights)
        return self.means.to(streams.dtype)[j] + self.scales.to(streams.dtype)[j, None] * streams.normal(
            self.means.shape[1]
        )

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        alpha, sigma = self.path.coefficients(t, like=x_t)
        share = torch.softmax(self._log_joint(x_t, alpha, sigma), dim=1)
        variance = self.scales.to(x_t) ** 2
        gain = alpha * variance / (alpha**2 * variance + sigma**2)
        gain = gain if gain.ndim == 2 else gain[None]
        data = (
            share[:, :, None]
            * (self.means.to(x_t)[None] + gain[:, :, None] * (x_t[:, None] - self._shifted(alpha, x_t)))
        ).sum(1)
        return Prediction(data, (x_t - alpha * data) / sigma)


class GreyNoise(Model, Density, DirectSampler, LatentVariable):
    """Images whose pixels are independent and uniform, whatever the label: every metric of images can be had of it.

    Args:
        shape: of an image, in [0, 1].
        classes: of labels.
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.space = SampleSpace("image", shape, 0.0, 1.0)
        self.conditions = {"label": ConditionSpec(classes=classes)}

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        return torch.zeros(len(x), dtype=x.dtype)

    def draw_latent(self, streams: Streams) -> Tensor:
        return streams.uniform(*[int(size or 0) for size in self.space.shape])

    def decode(self, z: Tensor, *, condition: Condition | None = None) -> Tensor:
        return z

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        return self.draw_latent(streams)


def all_toys() -> Mapping[str, Model]:
    """The models by name: points in one and two dimensions, images of the sizes of the core's data sets."""
    return {
        "exact-mixture-2d": ExactMixture(2).eval(),
        "exact-mixture-1d": ExactMixture(1).eval(),
        "grey-noise-8": GreyNoise((1, 8, 8), 10).eval(),
        "grey-noise-28": GreyNoise((1, 28, 28), 10).eval(),
    }


def capabilities_of(model: Model) -> tuple[str, ...]:
    """What a model can do, by name."""
    return capabilities(model)
