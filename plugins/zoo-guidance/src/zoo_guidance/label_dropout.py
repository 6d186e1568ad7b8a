r"""Training with labels that are hidden now and then (Ho & Salimans 2022, algorithm 1).

With probability p an example's label y becomes the null class ∅, so that one network learns both p(x | y) and p(x):

    ŷ = ∅ with probability p, else y,        L = the wrapped objective on (x, ŷ).

Classifier-free guidance, x̂ = u + s·(c − u), then needs no second network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from zoo_core import plugins
from zoo_core.catalogue import resolve
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, Condition, GradientObjective, Loss, Model, Streams

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

    def losses(self, model: Model, batch: Batch, streams: Streams) -> Iterator[Loss]:
        if self._inner is None:
            self._inner = _made(*_of_recipe(model))
        yield from self._inner.losses(model, self.hidden(model, batch, streams), streams)

    def hidden(self, model: Model, batch: Batch, streams: Streams) -> Batch:
        """The batch with some labels as the null class, which is the number of classes; one without labels as it is."""
        if batch.condition is None or "label" not in batch.condition:
            return batch
        classes = model.conditions["label"].classes
        assert classes is not None
        # Of their own, so that an objective draws what it would draw without the wrapper.
        own = Streams(streams.seed, f"{streams.purpose}/labels", streams.start, len(streams), device=streams.device)
        hide = own.uniform(1).squeeze(1) < self.probability
        label = torch.where(hide, classes, batch.condition["label"])
        return replace(batch, condition=Condition(**{**batch.condition.values, "label": label}))


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
