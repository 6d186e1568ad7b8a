"""What training improves: gradients or statistics, one interface each, one loop for both."""

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
    """Training data on the model's side: what an objective may look at before the first step."""

    def __len__(self) -> int: ...

    def first(self) -> Batch[Any]:
        """The batch of the first step, whole: the same in every process."""

    def batches(self, size: int | None = None) -> Iterator[Batch[Any]]:
        """Every example once, in batches of at most ``size``; in one batch unless given."""


@dataclass(frozen=True)
class Loss:
    """A scalar that one player descends, and the named terms it is made of (for the log)."""

    value: Tensor
    player: str = "model"
    terms: Mapping[str, Tensor] = field(default_factory=dict)


class GradientObjective(ABC, Generic[M, X]):
    """Yields losses, each for one player; the loop steps that player's optimiser before it asks for the next.

    Code after a ``yield`` therefore runs after the step: weight clipping, target networks and several critic steps per
    generator step need no other place.

    Attributes:
        batches: how many batches of the recipe's size :meth:`losses` wants at once (five critic steps and one of the
            generator: six); it takes them apart with :meth:`Batch.chunks` and :meth:`Streams.chunks`.
    """

    batches: int = 1

    def fits(self, model: Model) -> str | None:
        """Says why this objective cannot train a model that has what it needs; ``None`` where it can.

        The reason continues the sentence "objective 'NAME' …".
        """
        return None

    def initialise(self, model: M, data: Examples, seed: int) -> None:
        """Prepares a model before its first step, from the data: biases, data-dependent scales.

        Does nothing unless an objective says otherwise; a resumed run does not call it.

        Args:
            model: fresh, or with the weights that the recipe starts from; changed in place.
            data: training data; the same in every process.
            seed: seed of the recipe.
        """
        return

    @abstractmethod
    def losses(self, model: M, batch: Batch[X], streams: Streams) -> Iterator[Loss]:
        """Yields the losses of one batch; ``streams`` has one stream per example, ``batch.step`` counts from 0."""

    def state(self) -> dict[str, Tensor]:
        """Gives what the objective itself has learned (a target network): it becomes part of every checkpoint."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from a :meth:`state`, before the first loss after it."""
        return

    def finish(self, model: M, seed: int) -> None:
        """Measures, once training is over, what depends on the weights that ship (a normaliser).

        Args:
            model: moving average of the weights, or the model itself where the recipe has none; changed in place.
            seed: seed of the recipe.
        """
        return


class StatisticsObjective(ABC, Generic[M, X]):
    """Closed-form maximum likelihood, EM, Baum–Welch: sum expected statistics over the data, then maximise."""

    @abstractmethod
    def initialise(self, model: M, data: Examples, seed: int) -> None:
        """Sets the model's parameters to a starting point.

        Args:
            model: changed in place.
            data: training data; the same in every process.
            seed: seed of this restart.
        """

    @abstractmethod
    def statistics(self, model: M, batch: Batch[X]) -> dict[str, Tensor]:
        """Computes expected sufficient statistics of a batch, which add over batches and machines.

        ``log_likelihood`` (the sum over the batch, nats) and ``count`` are among them.
        """

    @abstractmethod
    def maximise(self, model: M, statistics: Mapping[str, Tensor]) -> None:
        """Sets the parameters to the maximiser given the summed statistics."""
