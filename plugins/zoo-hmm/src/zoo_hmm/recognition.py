"""How often the class with the greatest p(c | x) is the right one: recognition of words by their likelihoods."""

from __future__ import annotations

import math
from typing import Any

import torch

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, DataSet, Metric, Model, Result, Streams
from zoo_hmm.model import HiddenMarkov

__all__ = ["Recognised"]


class Recognised(Metric[tuple[int, int, float]]):
    """The share of held-out sequences that are recognised, in percent; chance is that of the commonest class."""

    uses = "data"

    def check(self, model: Model, data: DataSet) -> None:
        super().check(model, data)
        if not isinstance(model, HiddenMarkov) or "label" not in model.conditions:
            raise IncompatibleError("recognition needs a hidden Markov model with a chain for each class")
        if data.y is None:
            raise IncompatibleError(f"recognition needs a column label, which {data.name} has not")

    def init(self, model: Model, data: DataSet) -> tuple[int, int, float]:
        assert data.y is not None
        return 0, 0, 100.0 * torch.bincount(data.y).max().item() / len(data)

    def update(
        self, state: tuple[int, int, float], model: Model, batch: Batch[Any], streams: Streams
    ) -> tuple[int, int, float]:
        assert isinstance(model, HiddenMarkov)
        assert batch.condition is not None
        right = int((model.classify(batch.x).argmax(1) == batch.condition["label"]).sum())
        return state[0] + right, state[1] + len(batch), state[2]

    def merge(self, a: tuple[int, int, float], b: tuple[int, int, float]) -> tuple[int, int, float]:
        return a[0] + b[0], a[1] + b[1], a[2]

    def compute(self, state: tuple[int, int, float]) -> Result:
        right, n, chance = state
        # Laplace's estimate, so that the error of a share of 100 % is not 0.
        p = (right + 1) / (n + 2)
        stderr = 100.0 * math.sqrt(p * (1 - p) / n)
        return Result(100.0 * right / n, stderr, n, "%", "higher", {"chance": chance}, "by p(c | x)")
