r"""Recipes: the table ``[models.ID.recipe]`` of the registry, with its defaults.

| key                   | meaning                                                                    | unless given |
|-----------------------|----------------------------------------------------------------------------|--------------|
| ``objective``         | name of a registered objective                                             |              |
| ``objective_options`` | arguments of the objective's constructor                                   | none         |
| ``data``              | ``name``, ``split``, ``classes``, ``n`` of the data set                    |              |
| ``seed``              | integer that all random numbers depend on                                  | 0            |
| ``start``             | model whose weights training starts from, a name for ``zoo load``          | fresh ones   |
| ``batch``             | examples in a step, over all processes; of a statistics objective, at once  | 64; all      |
| ``stopped``           | the step or iteration at which the run was ended, before its last          | the last     |
| ``how``               | a sentence about how the weights were made, for the model card             | none         |

and for a gradient objective

| ``steps``             | optimiser steps                                                            | 1000         |
| ``optimiser``         | ``adam``, ``adamw``, ``adamax`` or ``sgd``; ``optimizer`` is read too      | ``adam``     |
| ``lr``, ``betas``     | greatest learning rate; decay rates of the optimiser's moments             | (0.9, 0.99)  |
| ``weight_decay``      | weight decay of ``adamw``                                                  | 0            |
| ``warmup``, ``decay`` | steps of linear warm-up; then ``cosine`` or ``linear`` to zero, or ``none``| 0, cosine    |
| ``clip``              | greatest norm of a player's gradient                                       | none         |
| ``ema``               | decay of the EMA of the weights, which replaces the last weights           | none         |
| ``precision``         | format of matrix products: ``float32``, ``tf32`` (on a GPU), ``bfloat16``  | float32      |
| ``augment``           | ``flip`` (left to right, with probability ½)                               | none         |
| ``players``           | table of ``lr`` and ``betas`` for each player                              | none         |

and for a statistics objective

| ``iterations``        | greatest number of passes over the data                                    | 100          |
| ``tolerance``         | growth of the mean log-likelihood at which to stop, in nats                | 1e-4         |
| ``restarts``          | number of starts, the best of which is kept                                | 1            |
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch

from zoo_core import plugins
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import GradientObjective, StatisticsObjective
from zoo_core.plugins.catalogue import resolve
from zoo_core.registry import schema
from zoo_core.registry.spellings import in_one_spelling

__all__ = ["Recipe", "learning_rate", "objective", "optimiser"]

_OPTIMISERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "sgd": torch.optim.SGD,
}


@dataclass(frozen=True)
class Recipe:
    """A recipe in the form that the training loops read, with the keys of the module's table."""

    objective: str
    data: Mapping[str, Any]
    objective_options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    steps: int = 1000
    batch: int | None = None
    optimiser: str = "adam"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    warmup: int = 0
    decay: str = "cosine"
    clip: float | None = None
    ema: float | None = None
    start: str | None = None
    precision: str = "float32"
    augment: tuple[str, ...] = ()
    players: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stopped: int | None = None
    iterations: int = 100
    tolerance: float = 1e-4
    restarts: int = 1

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Recipe:
        """Reads a recipe from a registry table.

        Raises:
            IncompatibleError: a key is missing, unknown or out of its range.
        """
        table = in_one_spelling(table)
        known = {f.name for f in fields(cls)}
        _require_keys(table, schema.RECIPE, "")
        _require_keys(table["data"], schema.DATA, "data.")
        own = {key: schema.RECIPE[key] for key in ("lr", "betas")}
        for name, player in table.get("players", {}).items():
            if not isinstance(player, Mapping):
                raise IncompatibleError(f"the recipe's players.{name}: expected a table with lr or betas")
            _require_keys(player, own, f"players.{name}.")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items() if k in known}
        recipe = cls(**values)
        recipe.check()
        return recipe

    def check(self) -> None:
        """Raises :class:`IncompatibleError` where a value is out of its range."""
        for key in ("steps", "batch", "iterations", "restarts", "stopped"):
            if getattr(self, key) is not None and getattr(self, key) < 1:
                raise IncompatibleError(f"{key} = {getattr(self, key)}; expected at least 1")
        if self.ema is not None and not 0.0 <= self.ema < 1.0:
            raise IncompatibleError(f"ema = {self.ema}; expected a decay in [0, 1)")
        if len(self.betas) != 2:
            raise IncompatibleError(f"betas = {list(self.betas)}; expected two numbers")
        if set(self.augment) - {"flip"}:
            raise IncompatibleError(f"augment = {list(self.augment)}; expected 'flip' or nothing")


def _require_keys(table: Mapping[str, Any], keys: Mapping[str, schema.Key], prefix: str) -> None:
    """Raises :class:`IncompatibleError` where a key is missing or unknown, or a value has the wrong type."""
    for name, key in keys.items():
        if key.required and name not in table:
            raise IncompatibleError(f"the recipe has no {prefix + name!r}; give it with --set {prefix}{name}=…")
    for name, value in table.items():
        if name not in keys:
            there = ", ".join(sorted(keys))
            raise IncompatibleError(f"the recipe has an unknown key {prefix + name!r}; its keys are {there}")
        if what := keys[name].problem(list(value) if isinstance(value, tuple) else value):
            raise IncompatibleError(f"the recipe's {prefix}{name}: {what}")


def objective(recipe: Recipe) -> GradientObjective[Any, Any] | StatisticsObjective[Any, Any]:
    """Makes the recipe's objective.

    Raises:
        UnknownNameError: there is no such objective.
        IncompatibleError: the objective refuses its options.
    """
    try:
        made = resolve(plugins.load().catalogue.get("objective", recipe.objective).target)(**recipe.objective_options)
    except (TypeError, ValueError) as err:
        raise IncompatibleError(f"objective {recipe.objective!r}: {err}") from err
    assert isinstance(made, (GradientObjective, StatisticsObjective))
    return made


def optimiser(recipe: Recipe, player: str, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Makes the optimiser of one player."""
    settings = {"lr": recipe.lr, "betas": recipe.betas, **recipe.players.get(player, {})}
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=settings["lr"], momentum=settings["betas"][0])
    if recipe.optimiser == "adamw":
        settings["weight_decay"] = recipe.weight_decay
    settings["betas"] = tuple(settings["betas"])
    if recipe.optimiser in ("adam", "adamw") and parameters[0].is_cuda:
        settings["fused"] = True  # one launch in place of a dozen
    made: torch.optim.Optimizer = _OPTIMISERS[recipe.optimiser](parameters, **settings)
    return made


def learning_rate(recipe: Recipe, step: int) -> float:
    """Returns the learning rate at a step as a share of the greatest one: linear warm-up, then the decay."""
    warm = min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else 1.0
    if recipe.decay == "none":
        return warm
    if recipe.decay == "linear":
        return warm * (1.0 - step / recipe.steps)
    return warm * 0.5 * (1.0 + math.cos(math.pi * step / recipe.steps))
