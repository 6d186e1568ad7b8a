"""Defines toy models with known densities, to test samplers and metrics with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoo_core.interfaces import (
    Condition,
    ConditionSpec,
    Density,
    DirectSampler,
    EnergyBased,
    LatentVariable,
    Model,
    SampleSpace,
    Streams,
    capabilities,
)
from zoo_core.paths import CosinePath
from zoo_core.testing.exact_denoisers import ExactDenoiser

__all__ = ["ExactMixture", "GreyNoise", "MixtureWithChains", "all_toys", "capabilities_of"]


class ExactMixture(ExactDenoiser, DirectSampler):
    """A mixture of two Gaussians with an exact density and an exact denoiser, in float32.

    Args:
        dimensions: dimension of a point.
    """

    def __init__(self, dimensions: int = 2) -> None:
        super().__init__(CosinePath(), [[-1.0] * dimensions, [1.0] * dimensions], [0.6, 0.8], [0.4, 0.6])
        self.float()

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        return self.draw_data(streams)


class MixtureWithChains(ExactMixture, EnergyBased[Tensor]):
    """The mixture as an energy-based model: component and point are drawn in turn, and some points are stored.

    Args:
        dimensions: dimension of a point.
        chains: number of stored points, exact samples.
    """

    def __init__(self, dimensions: int = 2, chains: int = 64) -> None:
        super().__init__(dimensions)
        self.chains: Tensor
        self.register_buffer("chains", self.draw_data(Streams(0, "chains", 0, chains)))

    def persistent_chains(self) -> Tensor:
        return self.chains

    def initial_state(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        return streams.normal(self.means.shape[1])

    def free_energy(self, x: Tensor, *, condition: Condition | None = None) -> Tensor:
        return -self.log_prob(x, condition=condition)

    def gibbs_step(self, x: Tensor, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        component = streams.categorical(self.responsibilities(x))
        return self.means[component] + self.scales[component, None] * streams.normal(x.shape[1])


class GreyNoise(Model, Density, DirectSampler, LatentVariable):
    """Images with independent, uniform pixels in [0, 1] for every label, which all metrics of images can measure.

    Args:
        shape: shape of an image, (channels, height, width).
        classes: number of classes.
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.space = SampleSpace("image", shape, 0.0, 1.0)
        self.conditions = {"label": ConditionSpec.label(classes)}

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        return torch.zeros(len(x), dtype=x.dtype)

    def draw_latent(self, streams: Streams) -> Tensor:
        return streams.uniform(*[int(size or 0) for size in self.space.shape])

    def decode(self, z: Tensor, *, condition: Condition | None = None) -> Tensor:
        return z

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        return self.draw_latent(streams)


def all_toys() -> Mapping[str, Model]:
    """Makes the toy models, by name: points in one and two dimensions, images of 8×8 and 28×28 pixels, and chains."""
    return {
        "exact-mixture-2d": ExactMixture(2).eval(),
        "exact-mixture-1d": ExactMixture(1).eval(),
        "grey-noise-8": GreyNoise((1, 8, 8), 10).eval(),
        "grey-noise-28": GreyNoise((1, 28, 28), 10).eval(),
        "mixture-with-chains": MixtureWithChains().eval(),
    }


def capabilities_of(model: Model) -> tuple[str, ...]:
    """Lists the names of a model's capabilities."""
    return capabilities(model)
