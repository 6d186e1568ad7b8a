"""What a model is, and what it can do.

A model says what it can do by *capability*, not by family: a sampler, a metric or an objective names the capability
that it needs, and everything else (what fits what, error messages, completion, ``zoo info``) follows from that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal

import torch
from torch import Tensor, nn

from zoo_core.interfaces.batch import Batch
from zoo_core.interfaces.condition import Condition
from zoo_core.interfaces.condition_spec import ConditionSpec
from zoo_core.interfaces.space import SampleSpace
from zoo_core.interfaces.values import X
from zoo_core.paths import GaussianPath, Prediction, PredictionType
from zoo_core.randomness import Streams

if TYPE_CHECKING:
    from zoo_core.registry.entry import Entry

__all__ = [
    "CAPABILITIES",
    "Denoiser",
    "Density",
    "DirectSampler",
    "EnergyBased",
    "LatentVariable",
    "Model",
    "Translator",
    "can",
    "capabilities",
]


class Model(nn.Module):
    """A generative model: an ``nn.Module`` with a sample space, built from JSON values.

    The constructor's keyword arguments are plain JSON; ``factory(**config)`` and a state dict are the whole model.
    Everything that is learned is a parameter or a buffer, so ``.to()``, EMA and safetensors see it.

    Attributes:
        space: the set that samples belong to.
        conditions: what the model can be conditioned on, by name; empty for an unconditional model.  Asked without a
            condition, a conditional model answers unconditionally or raises ``ConditionError``.
        discrete: whether its probabilities are of values on a grid (8-bit images, tokens), not densities of numbers.
        binarises: whether they are of black and white.  Training and evaluation then draw white with the grey level as
            its probability, and the model is given zeros and ones.
        entry: what the registry says about it, where it was built from an entry.
        players: the parts that objectives train, by name (``{"generator": …, "critic": …}``);
            ``{"model": self}`` unless a family says otherwise.
    """

    space: SampleSpace
    conditions: Mapping[str, ConditionSpec] = {}
    discrete: bool = False
    binarises: bool = False
    entry: Entry | None = None

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"model": self}

    def lacks(self) -> Mapping[str, str]:
        """Names the capabilities of the class that this instance does not have, each with the reason.

        A small Boltzmann machine has an exact density and a large one has not: both are of one class, and the large one
        says ``{"Density": "the normaliser of 200 hidden units is not known"}``.
        """
        return {}

    def start(self, batch: Batch[Any], streams: Streams) -> None:
        """Sets what begins from data (the scales of ActNorm), with the first batch; a second call changes nothing.

        Does nothing unless a family says otherwise.

        Args:
            batch: batch of the first step, whole: the same in every process.
            streams: one random stream per example.
        """
        return

    def started_from(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Gives the state to begin training with, from that of the model that a recipe names as its ``start``.

        The same unless a family says otherwise: a conditional model may start from an unconditional one, whose state
        lacks what reads the condition.  What is returned must fit strictly.
        """
        return state

    @property
    def state_dtype(self) -> torch.dtype:
        """The type of samples and random numbers: float64 for a model in float64, else float32."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

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


class Density(ABC, Generic[X]):
    """Can say how probable data is.  ``Density[Ragged]`` is that of a family whose samples have open lengths.

    Attributes:
        log_prob_is: whether :meth:`log_prob` is exact, a lower bound, or an unbiased estimate.
        many_passes: whether it takes a hundred passes through a network and not one: an equation to be solved, or a
            bound that is a sum over time.
    """

    space: SampleSpace
    log_prob_is: Literal["exact", "bound", "estimate"] = "exact"
    many_passes: bool = False

    @abstractmethod
    def log_prob(self, x: X, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes log p(x) in nats, per sample.

        Args:
            x: data on the model's side, ``(n, *space.shape)``; zeros and ones where the model ``binarises``.
            condition: what to condition on.
            streams: randomness for bounds and estimates, one stream per sample; a fixed seed where not given, so that
                the same x gets the same answer.

        Returns:
            ``(n,)``.
        """


class DirectSampler(ABC, Generic[X]):
    """Can draw samples in one go, without an iterative sampler."""

    @abstractmethod
    def draw(self, streams: Streams, *, condition: Condition | None = None) -> X:
        """Draws one sample per stream, ``(len(streams), *space.shape)`` on the model's side."""


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
        prediction: what the network predicts (noise, data, v, velocity or score).
        variance: the variance of the reverse chain that the model was made for (ancestral sampling).
    """

    space: SampleSpace
    path: GaussianPath
    prediction: PredictionType
    variance: Literal["fixed_small", "fixed_large", "learned"] = "fixed_small"

    @abstractmethod
    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        """(x̂, ε̂) for noisy data ``(n, …)`` at one time, or one per sample ``(n,)``, t in [0, 1]."""


class Translator(ABC, Generic[X]):
    """Can carry a sample from one domain to another: images, voices.

    The domains are a condition of the model, ``conditions["domain"]``, whose spec names them.
    """

    @abstractmethod
    def translate(self, x: X, *, source: Condition | None, target: Condition, streams: Streams) -> X:
        """Carries ``x`` into the target domain.

        Args:
            x: data on the model's side, ``(n, *space.shape)``.
            source: where each sample comes from; ``None`` where that is not known.
            target: the domain that each sample goes to.
            streams: one random stream per sample.

        Raises:
            ConditionError: the model needs to know the source and was not told.
        """


class EnergyBased(ABC, Generic[X]):
    """Has an unnormalised density and a Markov chain for it: p(x) = exp(−F(x))/Z.

    Where such a model is a :class:`Density` too, F(x) + log p(x) = −log Z is the same for every x; the conformance kit
    checks it, and that the chain leaves p as it is.
    """

    space: SampleSpace

    def persistent_chains(self) -> Tensor | None:
        """Gives the states of chains that ship with the weights, ``(k, *space.shape)``; ``None`` without any."""
        return None

    @abstractmethod
    def initial_state(self, streams: Streams, *, condition: Condition | None = None) -> X:
        """Draws where chains begin, one state per stream."""

    @abstractmethod
    def free_energy(self, x: X, *, condition: Condition | None = None) -> Tensor:
        """Computes F(x) in nats, ``(n,)``."""

    @abstractmethod
    def gibbs_step(self, x: X, streams: Streams, *, condition: Condition | None = None) -> X:
        """Takes one sweep of a Markov chain that leaves p invariant; states are samples, not their means."""


class Completer(ABC, Generic[X]):
    """Can fill in what is not known of a sample, exactly: draws from p(x_unknown | x_known)."""

    @abstractmethod
    def complete(self, x: X, known: Tensor, streams: Streams, *, condition: Condition | None = None) -> X:
        """Draws the unknown coordinates given the known ones.

        Args:
            x: data, ``(n, *space.shape)``; what is not known is not read.
            known: which coordinates are, bool ``space.shape``, the same for all samples.
            streams: one stream per sample.
            condition: what to condition on.
        """


CAPABILITIES: dict[str, type] = {
    c.__name__: c for c in (Density, DirectSampler, LatentVariable, Denoiser, Translator, EnergyBased, Completer)
}
"""The capabilities by name, as plugins and listings name them."""


def capabilities(model: object) -> tuple[str, ...]:
    """Names what ``model`` can do, in the order of :data:`CAPABILITIES`: a class, or an instance less what it lacks."""
    kind = model if isinstance(model, type) else type(model)
    lacking = model.lacks() if isinstance(model, Model) else {}
    return tuple(name for name, one in CAPABILITIES.items() if issubclass(kind, one) and name not in lacking)


def can(model: object, capability: type) -> bool:
    """Says whether this very model has a capability: its class has it, and the instance does not lack it."""
    return isinstance(model, capability) and capability.__name__ in capabilities(model)


def lacking(model: Model, needs: Iterable[type]) -> str | None:
    """Says which of some capabilities a model does not have, and why; ``None`` where it has them all."""
    for capability in needs:
        if not can(model, capability):
            word = capability.__name__
            because = f": {model.lacks()[word]}" if word in model.lacks() else ""
            return f"needs {word}, which {type(model).__name__} is not{because}"
    return None
