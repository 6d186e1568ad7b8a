"""The capabilities that a model may have.

A model declares *capabilities*: interfaces such as :class:`Density` or :class:`Denoiser`.  A sampler, a metric or an
objective names the capability that it needs, and this determines what fits what, error messages and completion.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic, Literal

from torch import Tensor

from zoo_core.interfaces.composition import Composition
from zoo_core.interfaces.condition import Condition
from zoo_core.interfaces.model import Model
from zoo_core.interfaces.space import SampleSpace
from zoo_core.interfaces.values import X
from zoo_core.paths import GaussianPath, Prediction, PredictionType
from zoo_core.randomness import Streams

__all__ = [
    "CAPABILITIES",
    "Completer",
    "Denoiser",
    "Density",
    "DirectSampler",
    "EnergyBased",
    "LatentVariable",
    "Scorer",
    "Translator",
    "can",
    "capabilities",
    "lacking",
]


class Density(ABC, Generic[X]):
    """Has a density or probability of data; ``Density[Ragged]`` is for samples of open length.

    Attributes:
        log_prob_is: whether :meth:`log_prob` is exact, a lower bound, or an unbiased estimate.
        many_passes: whether :meth:`log_prob` takes many passes through a network: an ODE to be solved, or a bound that
            is a sum over time.
    """

    space: SampleSpace
    log_prob_is: Literal["exact", "bound", "estimate"] = "exact"
    many_passes: bool = False

    @abstractmethod
    def log_prob(self, x: X, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes log p(x) in nats, per sample.

        Args:
            x: data on the model's side, ``(n, *space.shape)``; zeros and ones where the model ``binarises``.
            condition: condition of the samples, one row each.
            streams: random streams for bounds and estimates, one per sample; a fixed seed unless given, so that equal x
                give equal results.

        Returns:
            log p(x), ``(n,)``.
        """


class DirectSampler(ABC, Generic[X]):
    """Can draw samples directly, without an iterative sampler."""

    @abstractmethod
    def draw(self, streams: Streams, *, condition: Condition | None = None) -> X:
        """Draws one sample per stream, ``(len(streams), *space.shape)`` on the model's side."""


class LatentVariable(ABC):
    """Has a latent code z with a prior.

    Attributes:
        invertible: whether encoding is a bijection, so that decode(encode(x)) = x.
    """

    invertible: bool = False

    @abstractmethod
    def draw_latent(self, streams: Streams) -> Tensor:
        """Draws z from the prior, one code per stream."""

    @abstractmethod
    def decode(self, z: Tensor, *, condition: Condition | None = None) -> Tensor:
        """Returns data of latent codes, or the mean where the decoder is a distribution."""

    def encode(self, x: Tensor, *, condition: Condition | None = None) -> Tensor:
        """Returns latent codes of data, or their mean where the encoder is a distribution.

        Raises:
            TypeError: the model has no encoder.
        """
        raise TypeError(f"{type(self).__name__} has no encoder; it can only decode")


class Denoiser(ABC):
    """Can predict data and noise from x_t at every time of a Gaussian path, as path samplers need it.

    Attributes:
        path: Gaussian path x_t = α(t)·x + σ(t)·ε.
        prediction: prediction type of the network (noise, data, v, velocity or score).
        variance: variance of the reverse chain that the model was trained for (ancestral sampling).
    """

    space: SampleSpace
    path: GaussianPath
    prediction: PredictionType
    variance: Literal["fixed_small", "fixed_large", "learned"] = "fixed_small"

    @abstractmethod
    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        """Predicts (x̂, ε̂) from noisy data ``(n, …)`` at times t in [0, 1], one for all or one per sample ``(n,)``."""


class Translator(ABC, Generic[X]):
    """Can translate samples, such as images or voices, from one domain to another.

    The domains are a condition of the model, ``conditions["domain"]``, whose spec names them.
    """

    @abstractmethod
    def translate(self, x: X, *, source: Condition | None, target: Condition, streams: Streams) -> X:
        """Translates ``x`` to the target domain.

        Args:
            x: data on the model's side, ``(n, *space.shape)``.
            source: domain of each sample; ``None`` where it is not known.
            target: domain to which each sample is translated.
            streams: one random stream per sample.

        Raises:
            ConditionError: the model needs the source, and it was not given.
        """


class EnergyBased(ABC, Generic[X]):
    """Has an unnormalised density and a Markov chain for it: p(x) = exp(−F(x))/Z.

    Where such a model is a :class:`Density` too, F(x) + log p(x) = −log Z is the same for every x; the conformance kit
    checks this, and that the chain leaves p invariant.
    """

    space: SampleSpace

    def persistent_chains(self) -> Tensor | None:
        """Returns the states of chains that are stored with the weights, ``(k, *space.shape)``, if any."""
        return None

    @abstractmethod
    def initial_state(self, streams: Streams, *, condition: Condition | None = None) -> X:
        """Draws initial states of chains, one per stream."""

    @abstractmethod
    def free_energy(self, x: X, *, condition: Condition | None = None) -> Tensor:
        """Computes F(x) in nats, ``(n,)``."""

    @abstractmethod
    def gibbs_step(self, x: X, streams: Streams, *, condition: Condition | None = None) -> X:
        """Takes one sweep of a Markov chain that leaves p invariant; states are samples, not their means."""


class Completer(ABC, Generic[X]):
    """Can complete samples exactly: draws from p(x_unknown | x_known).

    Every sample has its own mask: a table lacks other cells in every row.
    """

    def completes(self, known: Tensor) -> str | None:
        """Says why these masks cannot be completed exactly; ``None`` where they can, as all can unless overridden.

        An autoregressive model of one order completes prefixes only.  The reason continues the sentence "this model …".

        Args:
            known: masks of the known coordinates, bool ``(n, *shape)``.
        """
        return None

    @abstractmethod
    def complete(self, x: X, known: Tensor, streams: Streams, *, condition: Condition | None = None) -> X:
        """Draws the unknown coordinates given the known ones.

        Args:
            x: data on the model's side, ``(n, *space.shape)``; the unknown coordinates are not read.  Where the length
                is open, the completed samples have the lengths of ``x``.
            known: mask of the known coordinates of each sample, bool, of the shape of the (padded) numbers of ``x``;
                all of a row may be known, or none.
            streams: random streams, one per sample.
            condition: condition of the samples, one row each.

        Returns:
            Samples, whose known coordinates are those of ``x`` to the bit.
        """


class Scorer(ABC, Generic[X]):
    """Has a statistic of its own that says how unusual an example is, better than −log p does.

    ``zoo score`` compares its values with those of held-out data, so only their order matters.

    Attributes:
        score_is: description of the statistic, which continues the sentence "scored by …".
    """

    score_is: str

    @abstractmethod
    def score(self, x: X, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes how unusual each example is: the greater, the more unusual.

        Args:
            x: data on the model's side, ``(n, *space.shape)``.
            condition: condition of the samples, one row each.
            streams: random streams, one per sample; a fixed seed unless given, so that equal x give equal results.

        Returns:
            numbers, ``(n,)``.
        """


CAPABILITIES: dict[str, type] = {
    c.__name__: c
    for c in (
        Density,
        DirectSampler,
        LatentVariable,
        Denoiser,
        Translator,
        EnergyBased,
        Completer,
        Composition,
        Scorer,
    )
}
"""The capabilities by name, as plugins and listings name them."""


def capabilities(model: object) -> tuple[str, ...]:
    """Names the capabilities of a class, or of an instance without those that it lacks, as in :data:`CAPABILITIES`."""
    kind = model if isinstance(model, type) else type(model)
    lacking = model.lacks() if isinstance(model, Model) else {}
    return tuple(name for name, one in CAPABILITIES.items() if issubclass(kind, one) and name not in lacking)


def can(model: object, capability: type) -> bool:
    """Says whether a model has a capability: its class has it, and the instance does not lack it."""
    return isinstance(model, capability) and capability.__name__ in capabilities(model)


def lacking(model: Model, needs: Iterable[type]) -> str | None:
    """Says which of the needed capabilities a model lacks, and why; ``None`` where it has them all."""
    for capability in needs:
        if not can(model, capability):
            word = capability.__name__
            because = f": {model.lacks()[word]}" if word in model.lacks() else ""
            return f"needs {word}, which {type(model).__name__} is not{because}"
    return None
