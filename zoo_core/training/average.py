"""The exponential moving average (EMA) of the weights, which a run publishes in place of the last weights."""

from __future__ import annotations

import copy

import torch

from zoo_core.interfaces import Model

__all__ = ["Average"]


class Average:
    """The EMA θ̄ ← θ̄ + (1 − d)·(θ − θ̄) with d = min(decay, (1 + step)/(10 + step)); buffers are copied.

    Args:
        model: model whose weights are averaged.
        decay: decay d after the first steps, in [0, 1); ``None`` for no averaging.

    Attributes:
        model: model with the EMA weights; the trained model itself without averaging.
    """

    def __init__(self, model: Model, decay: float | None) -> None:
        self.decay = decay
        self.model = model if decay is None else copy.deepcopy(model).requires_grad_(False)

    def update(self, model: Model, step: int) -> None:
        """Updates the EMA with the weights after ``step``, which counts from 0."""
        if self.decay is None:
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        new = [p.detach() for p in model.parameters()]
        torch._foreach_lerp_(list(self.model.parameters()), new, 1.0 - decay)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)
