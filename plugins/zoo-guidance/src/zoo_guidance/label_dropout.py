r"""Training with labels that are hidden now and then (Ho & Salimans 2022, algorithm 1).

With probability p an example's label y becomes the null class ∅, so that one network learns both p(x | y) and p(x):

    ŷ = ∅ with probability p, else y,        L = the wrapped objective on (x, ŷ).

Classifier-free guidance, x̂ = u + s·(c − u), then needs no second network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from zoo_core import plugins
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Examples, GradientObjective, Loss, Model, Streams
from zoo_core.plugins.catalogue import resolve

__all__ = ["LabelDropout"]

NAME = "label-dropout"


class LabelDropout(GradientObjective):
    """Another objective, on labels some of which are hidden.

    Args:
        objective: the wrapped one, by its registered name; that of the model's recipe unless given.
        options: its constructor's arguments.
        probability: p in [0, 1].

    Raises:
        ValueError: p is outside [0, 1], or the wrapped objective is this one or has no gradient.
    """

    def __init__(
        self, objective: str | None = None, options: Mapping[str, Any] | None = None, probability: float = 0.1
    ) -> None:
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"probability = {probability}; expected a number in [0, 1]")
        self.probability, self.options = probability, dict(options or {})
        self._inner = None if objective is None else _made(objective, self.options)
        if self._inner is not None:
            self.batches = self._inner.batches

    def initialise(self, model: Model, data: Examples, seed: int) -> None:
        self._wrapped(model).initialise(model, data, seed)

    def losses(self, model: Model, batch: Batch[Any], streams: Streams) -> Iterator[Loss]:
        yield from self._wrapped(model).losses(model, self.hidden(model, batch, streams), streams)

    def state(self) -> dict[str, Tensor]:
        return {} if self._inner is None else self._inner.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if self._inner is not None:
            self._inner.restore(state)

    def finish(self, model: Model, seed: int) -> None:
        self._wrapped(model).finish(model, seed)

    def _wrapped(self, model: Model) -> GradientObjective:
        if self._inner is None:
            self._inner = _made(*_of_recipe(model))
        return self._inner

    def hidden(self, model: Model, batch: Batch[Any], streams: Streams) -> Batch[Any]:
        """Gives the batch with some conditions replaced by their nulls, each name by its own draw."""
        if batch.condition is None:
            return batch
        where = {}
        for name in batch.condition:
            if model.conditions[name].null:
                # Streams of their own, so that an objective draws what it would draw without the wrapper.
                purpose = f"{streams.purpose}/hidden {name}"
                own = Streams(streams.seed, purpose, streams.start, len(streams), device=streams.device)
                where[name] = own.uniform(1).squeeze(1) < self.probability
        return replace(batch, condition=batch.condition.hidden(where, model.conditions))


def _made(name: str, options: Mapping[str, Any]) -> GradientObjective:
    if name == NAME:
        raise ValueError(f"objective = {name!r} would wrap itself; name another")
    made = resolve(plugins.load().catalogue.get("objective", name).target)(**options)
    if not isinstance(made, GradientObjective):
        raise ValueError(f"objective = {name!r} has no gradient; only one that descends can be wrapped")
    return made


def _of_recipe(model: Model) -> tuple[str, Mapping[str, Any]]:
    """The name and the options of the objective in the model's recipe; what that one wraps, where it is this one."""
    recipe = model.entry.recipe if model.entry is not None else {}
    name, options = recipe.get("objective"), recipe.get("objective_options", {})
    if name == NAME:
        name, options = options.get("objective"), options.get("options", {})
    if name is None:
        raise IncompatibleError(f"{NAME} wraps another objective, and none is named; say objective = '…'")
    return name, options
