"""How samples come out of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from zoo_core.interfaces.condition import Condition, ConditionSpec
from zoo_core.interfaces.model import Model
from zoo_core.randomness import Streams

__all__ = ["Frame", "Observer", "Sampler"]


@dataclass(frozen=True)
class Frame:
    """One moment of an iterative sampler, for films and progress bars.

    Attributes:
        step: 1 … steps.
        steps: how many there are.
        state: the current state, ``(n, …)`` on the model's side.
        data: what the sampler now believes the data to be; the state itself where there is no such belief.
    """

    step: int
    steps: int
    state: Tensor
    data: Tensor


Observer = Callable[[Frame], None]


class Sampler(ABC):
    """Draws samples.  The constructor's keyword arguments are its options (``steps=50``); they are JSON values.

    Sample ``i`` depends on its own stream only: a sampler must not let batch-mates influence each other.
    """

    @abstractmethod
    def check(self, model: Model) -> None:
        """Raises :class:`~zoo_core.errors.IncompatibleError`, with the reason, where this sampler does not fit."""

    def conditions(self, model: Model) -> Mapping[str, ConditionSpec]:
        """What samples can be conditioned on: what the model can, unless the sampler brings more (a classifier)."""
        return model.conditions

    @abstractmethod
    def sample(
        self,
        model: Model,
        streams: Streams,
        *,
        condition: Condition | None = None,
        guidance: float = 1.0,
        observer: Observer | None = None,
    ) -> Tensor:
        """One sample per stream, ``(len(streams), *model.space.shape)`` on the model's side.

        Args:
            model: what to sample from.
            streams: one random stream per sample, on the model's device and dtype.
            condition: what to condition on, one row per sample.
            guidance: how strongly; 1 is the conditional model itself, 0 the unconditional one.
            observer: is shown every step.
        """
