"""What training improves: gradients or statistics, one interface each, one loop for both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from zoo_core.interfaces.condition import Condition
from zoo_core.interfaces.model import Model
from zoo_core.randomness import Streams

__all__ = ["Batch", "GradientObjective", "Loss", "StatisticsObjective"]


@dataclass(frozen=True)
class Batch:
    """Training examples on the model's side, ``(n, *space.shape)``, with what they are conditioned on."""

    x: Tensor
    condition: Condition | None = None

    def __len__(self) -> int:
        return len(self.x)

    def chunks(self, count: int) -> Iterator[Batch]:
        """``count`` batches of equal size, in order; the length must be a multiple of it."""
        size = len(self) // count
        for start in range(0, size * count, size):
            rows = None if self.condition is None else self.condition.rows(start, start + size)
            yield Batch(self.x[start : start + size], rows)


@dataclass(frozen=True)
class Loss:
    """A scalar that one player descends, and the named terms it is made of (for the log)."""

    value: Tensor
    player: str = "model"
    terms: Mapping[str, Tensor] = field(default_factory=dict)


class GradientObjective(ABC):
    """Yields losses, each for one player; the loop steps that player's optimiser before it asks for the next.

    Code after a ``yield`` therefore runs after the step: weight clipping, target networks and several critic steps per
    generator step need no other place.

    Attributes:
        batches: how many batches of the recipe's size :meth:`losses` wants at once (five critic steps and one of the
            generator: six); it takes them apart with :meth:`Batch.chunks` and :meth:`Streams.chunks`.
    """

    batches: int = 1

    @abstractmethod
    def losses(self, model: Model, batch: Batch, streams: Streams) -> Iterator[Loss]:
        """The losses of one batch; ``streams`` has one stream per example."""

    def state(self) -> dict[str, Tensor]:
        """What the objective itself has learned (a target network): part of every checkpoint.  Nothing, mostly."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from a :meth:`state`, before the first loss after it."""
        return

    def finish(self, model: Model, seed: int) -> None:
        """Measures, once training is over, what depends on the weights that ship (a normaliser).  Nothing, mostly.

        Args:
            model: the moving average, or the model itself where the recipe has none; changed in place.
            seed: of the recipe.
        """
        return


class StatisticsObjective(ABC):
    """Closed-form maximum likelihood, EM, Baum–Welch: sum expected statistics over the data, then maximise."""

    @abstractmethod
    def initialise(self, model: Model, data: Tensor, seed: int) -> None:
        """Sets the model's parameters to a starting point, from ``data`` ``(n, …)``."""

    @abstractmethod
    def statistics(self, model: Model, batch: Batch) -> dict[str, Tensor]:
        """Expected sufficient statistics of a batch, which add over batches and machines.

        ``log_likelihood`` (the sum over the batch, nats) and ``count`` are among them.
        """

    @abstractmethod
    def maximise(self, model: Model, statistics: Mapping[str, Tensor]) -> None:
        """Sets the parameters to the maximiser given the summed statistics."""
