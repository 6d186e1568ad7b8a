"""For models that draw in one go."""

from __future__ import annotations

from typing import Any

from zoo_core.interfaces import Call, DirectSampler, Sampler, Values

__all__ = ["Direct"]


class Direct(Sampler[DirectSampler[Any]]):
    """Asks the model itself."""

    name = "direct"
    needs = (DirectSampler,)

    def draw(self, model: DirectSampler[Any], call: Call) -> Values:
        drawn: Values = model.draw(call.streams, condition=call.condition)
        return drawn
