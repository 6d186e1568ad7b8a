"""Draws from models that can sample directly, without an iterative method."""

from __future__ import annotations

from typing import Any

from zoo_core.interfaces import Call, DirectSampler, Sampler, Values

__all__ = ["Direct"]


class Direct(Sampler[DirectSampler[Any]]):
    """Calls the model's own ``draw``."""

    name = "direct"
    needs = (DirectSampler,)

    def draw(self, model: DirectSampler[Any], call: Call) -> Values:
        drawn: Values = model.draw(call.streams, condition=call.condition)
        return drawn
