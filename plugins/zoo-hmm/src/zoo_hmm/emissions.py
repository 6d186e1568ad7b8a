"""What a state emits: the interface of emissions, and tokens with a table of probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from zoo_core.interfaces import SampleSpace, Streams

__all__ = ["Categorical", "Emissions"]


class Emissions(nn.Module, ABC):
    """The distributions of a frame in each of S states, for each of C classes.

    Attributes:
        space: sample space of a sequence of frames.
    """

    space: SampleSpace

    @abstractmethod
    def log_density(self, frames: Tensor, label: int) -> Tensor:
        """Computes log b(i) of frames ``(F, …)`` in each state of a class, ``(F, S)`` in float64.

        What is missing in a frame does not count; a frame without anything has log b = 0.
        """

    @abstractmethod
    def begin(self, frames: Tensor, states: Tensor, weights: Tensor, label: int, source: torch.Generator) -> None:
        """Sets the parameters of a class to a starting point.

        Args:
            frames: frames, ``(F, …)``.
            states: state of each frame to begin with, int64 ``(F,)``.
            weights: weights of the frames, ``(F,)``.
            label: class.
            source: generator.
        """

    @abstractmethod
    def statistics(self, frames: Tensor, gamma: Tensor, label: int) -> dict[str, Tensor]:
        """Computes expected statistics of a class, which add, with a leading axis of all classes.

        Args:
            frames: frames, ``(F, …)``.
            gamma: weighted probabilities of the states of each frame, ``(F, S)``.
            label: class.
        """

    @abstractmethod
    def maximise(self, statistics: Mapping[str, Tensor]) -> None:
        """Sets the parameters to the maximiser; those of a state that no frame was in stay."""

    @abstractmethod
    def draw(self, labels: Tensor, states: Tensor, streams: Streams, known: Tensor) -> Tensor:
        """Draws a frame per stream, ``(n, …)``, given what is known of it.

        Args:
            labels: classes, int64 ``(n,)``.
            states: states, int64 ``(n,)``.
            streams: random streams, which all draw equally many numbers.
            known: frames with what is not known missing, ``(n, …)``.
        """

    @abstractmethod
    def nothing(self, n: int) -> Tensor:
        """Returns n frames of which all is missing, ``(n, …)``."""

    @abstractmethod
    def free_parameters(self) -> int:
        """Counts the free parameters of one class."""


class Categorical(Emissions):
    """Tokens 0 … V − 1 with probabilities B; a token of −1 is missing.

    Args:
        classes: number C of classes.
        states: number S of states.
        symbols: number V of different tokens, at least 1.

    The buffer ``probabilities`` is ``(C, S, V)``.
    """

    probabilities: Tensor

    def __init__(self, classes: int, states: int, symbols: int) -> None:
        super().__init__()
        self.space = SampleSpace("tokens", (None,), vocabulary=symbols)
        # Before training, each state and class has its own favourite, so that they can be told apart.
        place = torch.arange(classes)[:, None, None] + torch.arange(states)[:, None] + torch.arange(symbols)
        favourite = 1.0 + (place % symbols == 0).double()
        self.register_buffer("probabilities", favourite / favourite.sum(-1, keepdim=True))

    def log_density(self, frames: Tensor, label: int) -> Tensor:
        table = self.probabilities[label].double().log().mT
        # A row of zeros for the missing token, which is at −1.
        return torch.cat([table, torch.zeros_like(table[:1])])[frames]

    def begin(self, frames: Tensor, states: Tensor, weights: Tensor, label: int, source: torch.Generator) -> None:
        """Draws the rows of B from Dirichlet(1, …, 1)."""
        random = -torch.rand(self.probabilities.shape[1:], generator=source, dtype=torch.float64).log()
        self.probabilities[label] = (random / random.sum(-1, keepdim=True)).to(self.probabilities)

    def statistics(self, frames: Tensor, gamma: Tensor, label: int) -> dict[str, Tensor]:
        count = torch.zeros_like(self.probabilities, dtype=torch.float64)
        seen = frames >= 0
        count[label] = count[label].mT.contiguous().index_add_(0, frames[seen], gamma[seen]).mT
        return {"symbols": count}

    def maximise(self, statistics: Mapping[str, Tensor]) -> None:
        count = statistics["symbols"]
        total = count.sum(-1, keepdim=True)
        self.probabilities.copy_(torch.where(total > 0, count / total, self.probabilities))

    def draw(self, labels: Tensor, states: Tensor, streams: Streams, known: Tensor) -> Tensor:
        drawn = streams.categorical(self.probabilities[labels, states])
        return torch.where(known >= 0, known, drawn)

    def nothing(self, n: int) -> Tensor:
        return torch.full((n,), -1, device=self.probabilities.device)

    def free_parameters(self) -> int:
        return self.probabilities.shape[1] * (self.probabilities.shape[2] - 1)
