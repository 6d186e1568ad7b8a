"""The interfaces of objectives, which train a model by gradients or by sufficient statistics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

from torch import Tensor
from typing_extensions import TypeVar

from zoo_core.interfaces.batch import Batch
from zoo_core.interfaces.model import Model
from zoo_core.interfaces.values import X
from zoo_core.randomness import Streams

__all__ = ["Examples", "GradientObjective", "Loss", "StatisticsObjective"]

M = TypeVar("M", default=Any)
"""The model that an objective trains: a family's class, or the capability that it needs."""


class Examples(Protocol):
    """Training data on the model's side, for objectives that look at them before the first step."""

    def __len__(self) -> int: ...

    def first(self) -> Batch[Any]:
        """Returns the whole batch of the first step: the same in every process."""

    def batches(self, size: int | None = None) -> Iterator[Batch[Any]]:
        """Yields every example once, in batches of at most ``size``; in one batch unless given."""


@dataclass(frozen=True)
class Loss:
    """A scalar that one player minimises, and the named terms of which it consists, for the log."""

    value: Tensor
    player: str = "model"
    terms: Mapping[str, Tensor] = field(default_factory=dict)


class GradientObjective(ABC, Generic[M, X]):
    """Yields losses, each for one player; the loop steps that player's optimiser before it asks for the next.

    Code after a ``yield`` therefore runs after the step: it can clip weights, update target networks, or yield further
    critic losses before that of the generator.

    Attributes:
        batches: number of batches of the recipe's size that :meth:`losses` is given at once (five for five critic
            steps), which it separates with :meth:`Batch.chunks` and :meth:`Streams.chunks`.
    """

    batches: int = 1

    def fits(self, model: Model) -> str | None:
        """Says why this objective cannot train a model that has what it needs; ``None`` where it can.

        The reason continues the sentence "objective 'NAME' …".
        """
        return None

    def initialise(self, model: M, data: Examples, seed: int) -> None:
        """Prepares a model before its first step, from the data: biases, data-dependent scales.

        Does nothing unless an objective overrides it; a resumed run does not call it.

        Args:
            model: fresh model, or one with the weights that the recipe starts from; changed in place.
            data: training data; the same in every process.
            seed: seed of the recipe.
        """
        return

    @abstractmethod
    def losses(self, model: M, batch: Batch[X], streams: Streams) -> Iterator[Loss]:
        """Yields the losses of one batch; ``streams`` has one stream per example, ``batch.step`` counts from 0."""

    def state(self) -> dict[str, Tensor]:
        """Returns what the objective itself has learned (a target network), which every checkpoint includes."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restores a :meth:`state` of a checkpoint; called before the next loss is computed."""
        return

    def finish(self, model: M, seed: int) -> None:
        """Measures quantities that depend on the final weights (a normaliser), after training.

        Args:
            model: model with the EMA weights, or the trained model where the recipe has no EMA; changed in place.
            seed: seed of the recipe.
        """
        return


class StatisticsObjective(ABC, Generic[M, X]):
    """Sums expected statistics over the data, then maximises: closed-form maximum likelihood, EM, Baum–Welch.

    Attributes:
        weighs: whether :meth:`statistics` weighs the examples by ``batch.weights``; data with weights are refused by
            those that do not.
    """

    weighs: bool = False

    @abstractmethod
    def initialise(self, model: M, data: Examples, seed: int) -> None:
        """Sets the model's parameters to a starting point.

        Args:
            model: model to initialise, changed in place.
            data: training data; the same in every process.
            seed: integer of this restart that all random numbers depend on.
        """

    @abstractmethod
    def statistics(self, model: M, batch: Batch[X]) -> dict[str, Tensor]:
        """Computes expected sufficient statistics of a batch, which add over batches and machines.

        ``log_likelihood`` (the sum over the batch, nats) and ``count`` are among them.  With weights they are sums of
        weighted terms, and the count is the sum of the weights: an example of weight 2 counts as two equal ones.
        """

    @abstractmethod
    def maximise(self, model: M, statistics: Mapping[str, Tensor]) -> None:
        """Sets the parameters to the maximiser given the summed statistics."""
