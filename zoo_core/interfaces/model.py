"""What a model is, and what it can do.

A model says what it can do by *capability*, not by family: a sampler, a metric or an objective names the capability
that it needs, and everything else (what fits what, error messages, completion, ``zoo info``) follows from that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from zoo_core.entry import Entry
from zoo_core.interfaces.condition import Condition, ConditionSpec
from zoo_core.paths import GaussianPath, Prediction, PredictionType
from zoo_core.randomness import Streams

__all__ = [
    "CAPABILITIES",
    "Denoiser",
    "Density",
    "DirectSampler",
    "EnergyBased",
    "LatentVariable",
    "Model",
    "SampleSpace",
    "Translator",
    "capabilities",
]


@dataclass(frozen=True)
class SampleSpace:
    """Where a model's samples live.

    Attributes:
        kind: what a sample is: ``"image"`` (channels, height, width), ``"points"`` (dimensions,), ``"sequence"``
            (time, features), ``"tokens"`` (time,) of integers, ``"audio"`` (channels, time).
        shape: the shape of one sample, without the batch; ``None`` where an axis may have any length.
        low, high: the range of values *inside* the model; users see [0, 1] in its place.  ``None``: not bounded, and
            the user sees the model's own values.
    """

    kind: Literal["image", "points", "sequence", "tokens", "audio"]
    shape: tuple[int | None, ...]
    low: float | None = None
    high: float | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape of one sample, without the axes that may have any length."""
        return tuple(size for size in self.shape if size is not None)

    def to_user(self, x: Tensor) -> Tensor:
        """The user's side of samples: [0, 1] where the space is bounded, clamped."""
        if self.low is None or self.high is None:
            return x
        return ((x - self.low) / (self.high - self.low)).clamp(0.0, 1.0)

    def from_user(self, x: Tensor) -> Tensor:
        """The model's side of what a user has in [0, 1]."""
        if self.low is None or self.high is None:
            return x
        return self.low + (self.high - self.low) * x


class Model(nn.Module):
    """A generative model: an ``nn.Module`` with a sample space, built from JSON values.

    The constructor's keyword arguments are plain JSON; ``factory(**config)`` and a state dict are the whole model.
    Everything that is learned is a parameter or a buffer, so ``.to()``, EMA and safetensors see it.

    Attributes:
        space: where the samples live.
        conditions: what the model can be conditioned on, by name; empty for an unconditional model.  Asked without a
            condition, a conditional model answers unconditionally or raises ``ConditionError``.
        entry: what the registry says about it, where it was built from an entry.
        players: the parts that objectives train, by name (``{"generator": …, "critic": …}``);
            ``{"model": self}`` unless a family says otherwise.
    """

    space: SampleSpace
    conditions: Mapping[str, ConditionSpec] = {}
    entry: Entry | None = None

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"model": self}

    def started_from(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The state to begin training with, from that of the model that a recipe names as its ``start``.

        The same unless a family says otherwise: a conditional model may start from an unconditional one, whose state
        lacks what reads the condition.  What is returned must fit strictly.
        """
        return state

    @property
    def device(self) -> torch.device:
        """Where the model's parameters are."""
        return next(iter([*self.parameters(), *self.buffers()]), torch.empty(0)).device

    @property
    def dtype(self) -> torch.dtype:
        """The floating type of the model's parameters."""
        for value in [*self.parameters(), *self.buffers()]:
            if value.is_floating_point():
                return value.dtype
        return torch.get_default_dtype()


class Density(ABC):
    """Can say how probable data is.

    Attributes:
        log_prob_is: whether :meth:`log_prob` is exact, a lower bound, or an unbiased estimate.
        discrete: whether it is the log-probability of data on a grid of levels (8-bit images), not a log-density.
        binarises: whether that is of black and white, drawn with the grey level as the probability of white.
        by_ode: whether a differential equation is solved for it: a hundred passes through a network, not one.
    """

    log_prob_is: Literal["exact", "bound", "estimate"] = "exact"
    discrete: bool = False
    binarises: bool = False
    by_ode: bool = False

    @abstractmethod
    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """log p(x) in nats, per sample.

        Args:
            x: data on the model's side, ``(n, *space.shape)``.
            condition: what to condition on.
            streams: randomness for bounds and estimates, one stream per sample; a fixed seed where not given, so that
                the same x gets the same answer.

        Returns:
            ``(n,)``.
        """


class DirectSampler(ABC):
    """Can draw samples in one go, without an iterative sampler."""

    @abstractmethod
    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        """One sample per stream, ``(len(streams), *space.shape)`` on the model's side."""


class LatentVariable(ABC):
    """Has a latent code z with a prior.

    Attributes:
        invertible: whether a code is another name for the data: decode(encode(x)) = x, and no noise is lost.
    """

    invertible: bool = False

    @abstractmethod
    def draw_latent(self, streams: Streams) -> Tensor:
        """z ~ prior, one per stream."""

    @abstractmethod
    def decode(self, z: Tensor, *, condition: Condition | None = None) -> Tensor:
        """The (mean) data of latent codes."""

    def encode(self, x: Tensor, *, condition: Condition | None = None) -> Tensor:
        """The (mean) latent codes of data; models without an encoder (a GAN) say so.

        Raises:
            TypeError: the model has no encoder.
        """
        raise TypeError(f"{type(self).__name__} has no encoder; it can only decode")


class Denoiser(ABC):
    """Can tell data from noise anywhere on a Gaussian path: what every path sampler needs.

    Attributes:
        path: x_t = α(t)·x + σ(t)·ε.
        prediction: the currency of the network's answer.
        variance: the variance of the reverse chain that the model was made for (ancestral sampling).
    """

    path: GaussianPath
    prediction: PredictionType
    variance: Literal["fixed_small", "fixed_large", "learned"] = "fixed_small"

    @abstractmethod
    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        """(x̂, ε̂) for noisy data ``(n, …)`` at one time, or one per sample ``(n,)``, t in [0, 1]."""


class Translator(ABC):
    """Can carry a sample from one domain to another: images, voices."""

    @abstractmethod
    def translate(self, x: Tensor, *, source: Condition, target: Condition, streams: Streams) -> Tensor:
        """``x`` as it would be in the target domain."""


class EnergyBased(ABC):
    """Has an unnormalised density: p(x) ∝ exp(−F(x))."""

    @abstractmethod
    def free_energy(self, x: Tensor) -> Tensor:
        """F(x) in nats, ``(n,)``."""

    @abstractmethod
    def gibbs_step(self, x: Tensor, streams: Streams) -> Tensor:
        """One sweep of the Markov chain that leaves p invariant."""


CAPABILITIES: dict[str, type] = {
    c.__name__: c for c in (Density, DirectSampler, LatentVariable, Denoiser, Translator, EnergyBased)
}
"""The capabilities by name, as plugins and listings name them."""


def capabilities(model: object) -> tuple[str, ...]:
    """The names of what ``model`` (an instance or a class) can do, in the order of :data:`CAPABILITIES`."""
    kind = model if isinstance(model, type) else type(model)
    return tuple(name for name, capability in CAPABILITIES.items() if issubclass(kind, capability))
