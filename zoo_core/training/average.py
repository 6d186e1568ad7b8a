"""The moving average of the weights, which is what is shipped."""

from __future__ import annotations

import copy

import torch

from zoo_core.interfaces import Model

__all__ = ["Average"]


class Average:
    """θ̄ ← θ̄ + (1 − d)·(θ − θ̄) with d = min(decay, (1 + step)/(10 + step)); buffers are taken over as they are.

    Args:
        model: what is averaged.
        decay: d in the long run; ``None`` for no averaging.

    Attributes:
        model: the average; the trained model itself without averaging.
    """

    def __init__(self, model: Model, decay: float | None) -> None:
        self.decay = decay
        self.model = model if decay is None else copy.deepcopy(model).requires_grad_(False)

    def update(self, model: Model, step: int) -> None:
        """Takes the weights after ``step`` (from 0) into account."""
        if self.decay is None:
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        new = [p.detach() for p in model.parameters()]
        torch._foreach_lerp_(list(self.model.parameters()), new, 1.0 - decay)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)
