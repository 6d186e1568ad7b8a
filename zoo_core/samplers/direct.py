"""For models that draw in one go."""

from __future__ import annotations

from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Condition, DirectSampler, Model, Observer, Sampler, Streams

__all__ = ["Direct"]


class Direct(Sampler):
    """Asks the model itself."""

    def check(self, model: Model) -> None:
        if not isinstance(model, DirectSampler):
            raise IncompatibleError(f"sampler 'direct' needs DirectSampler, which {type(model).__name__} is not")

    def sample(
        self,
        model: Model,
        streams: Streams,
        *,
        condition: Condition | None = None,
        guidance: float = 1.0,
        observer: Observer | None = None,
    ) -> Tensor:
        self.check(model)
        assert isinstance(model, DirectSampler)
        return model.draw(streams, condition=condition)
