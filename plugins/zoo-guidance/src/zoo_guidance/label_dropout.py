r"""Training with randomly hidden labels, for classifier-free guidance (Ho & Salimans 2022, algorithm 1).

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
    """An objective that hides labels at random from another objective.

    Args:
        objective: registered name of the wrapped objective; the objective of the model's recipe unless given.
        options: constructor arguments of the wrapped objective.
        probability: probability p in [0, 1] of hiding a label.

    Raises:
        ValueError: p is outside [0, 1], or the wrapped objective is label-dropout or no gradient objective.
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
        """Replaces conditions by their nulls at random, independently for each name."""
        if batch.condition is None:
            return batch
        where = {}
        for name in batch.condition:
            if model.conditions[name].null:
                # Separate streams, so that the wrapped objective draws the same numbers as without dropout.
                purpose = f"{streams.purpose}/hidden {name}"
                own = Streams(streams.seed, purpose, streams.start, len(streams), device=streams.device)
                where[name] = own.uniform(1).squeeze(1) < self.probability
        return replace(batch, condition=batch.condition.hidden(where, model.conditions))


def _made(name: str, options: Mapping[str, Any]) -> GradientObjective:
    if name == NAME:
        raise ValueError(f"objective = {name!r} would wrap itself; name another objective")
    made = resolve(plugins.load().catalogue.get("objective", name).target)(**options)
    if not isinstance(made, GradientObjective):
        raise ValueError(f"objective = {name!r} has no gradient; expected a gradient objective")
    return made


def _of_recipe(model: Model) -> tuple[str, Mapping[str, Any]]:
    """Returns name and options of the recipe's objective, or of what it wraps where it is label-dropout."""
    recipe = model.entry.recipe if model.entry is not None else {}
    name, options = recipe.get("objective"), recipe.get("objective_options", {})
    if name == NAME:
        name, options = options.get("objective"), options.get("options", {})
    if name is None:
        raise IncompatibleError(f"{NAME} wraps another objective, and none is named; say objective = '…'")
    return name, options
