"""Chooses the steps and the size of a network for a time budget, by timing a few steps on this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo_core import datasets
from zoo_core.errors import IncompatibleError, ZooError
from zoo_core.interfaces import DataSet, GradientObjective
from zoo_core.loading import build
from zoo_core.processes import Processes
from zoo_core.registry.entry import Entry
from zoo_core.training import checkpoint
from zoo_core.training.examples import TrainingBatches
from zoo_core.training.gradient import GradientRun
from zoo_core.training.recipe import Recipe, objective
from zoo_core.training.recipe_file import NAME, read_recipe
from zoo_core.training.variants import Say

__all__ = ["in_minutes"]

SHARE = 0.9
"""Share of the budget that steps take; the rest is for checkpoints and pictures."""
ENOUGH = 1500
"""Number of steps below which a smaller network is tried."""
EPOCHS = 200
"""Number of times that each example is seen, at most, in more steps than the recipe has."""
_TRIAL_SECONDS = 3.0
_SIZES = ("width", "widths", "hidden", "channels", "features")


def in_minutes(
    entry: Entry,
    folder: Path,
    minutes: float,
    device: str,
    made: Callable[[Mapping[str, Any]], Entry],
    say: Say,
    data: DataSet | None = None,
) -> Entry:
    """Makes an entry that trains in a number of minutes on this machine; a run that has begun keeps its recipe.

    Args:
        entry: entry with a recipe, without a budget.
        folder: folder of the run.
        minutes: time for the steps, above 0.
        device: device to train on.
        made: function that makes the entry with other values, as :func:`zoo_core.training.variants.changed` does.
        say: function that is called with a line about the choice.
        data: examples for training; the recipe's unless given.

    Raises:
        IncompatibleError: the folder has a run on other data.
    """
    if checkpoint.latest(folder / "checkpoints") is not None and (folder / NAME).is_file():
        begun = read_recipe(folder / NAME)
        if (begun.family, begun.recipe["data"]) != (entry.family, entry.recipe["data"]):
            raise IncompatibleError(
                f"{folder} has a run of {begun.id} on other data; choose another --out, or remove it"
            )
        say(f"goes on with {folder / NAME}, whose budget was chosen when the run began")
        return begun
    return made(_budget(entry, minutes, device, say, data))


def _budget(entry: Entry, minutes: float, device: str, say: Say, data: DataSet | None) -> dict[str, Any]:
    """Returns the number of steps that fit, and sizes of the network where it has to be smaller."""
    recipe = Recipe.of(entry.recipe)
    if not isinstance(objective(recipe), GradientObjective):
        say("--minutes changes nothing here: this objective stops when the likelihood no longer grows")
        return {}
    data = data or datasets.load(**recipe.data)
    chosen: dict[str, Any] = {}
    config, seconds = entry.config, _seconds_per_step(entry, data, device)
    while minutes * 60 * SHARE / seconds < ENOUGH:
        smaller = dict(_smaller(config))
        trial = _with_config(entry, config, smaller)
        try:
            faster = _seconds_per_step(trial, data, device)
        except (ZooError, ValueError, RuntimeError):  # a network may need its widths
            break
        if not smaller or faster > 0.9 * seconds:
            break
        config, seconds = trial.config, faster
        chosen |= {f"config.{key}": value for key, value in smaller.items()}
    steps = int(minutes * 60 * SHARE / seconds)
    most = max(recipe.steps, EPOCHS * len(data) // (recipe.batch or 64))
    steps = max(1, min(steps, most))
    size = ", a smaller network" if chosen else ""
    say(f"{steps:,} steps of {seconds * 1000:.0f} ms in about {steps * seconds / 60 / SHARE:.1f} minutes{size}")
    return {**chosen, "steps": steps}


def _seconds_per_step(entry: Entry, data: DataSet, device: str) -> float:
    """Times a few steps in a folder that is thrown away; returns the median of their seconds."""
    recipe = Recipe.of(entry.recipe)
    goal = objective(recipe)
    assert isinstance(goal, GradientObjective)
    processes = Processes(device, recipe.precision)  # type: ignore[arg-type]
    model = build(entry, recipe.seed).to(processes.device)
    with tempfile.TemporaryDirectory() as folder:
        examples = TrainingBatches(model, data, recipe.seed, (recipe.batch or 64) * goal.batches, recipe.augment)
        run = GradientRun(model, goal, recipe, examples, processes, Path(folder))
        run.resume()
        model.train()
        times: list[float] = []
        while len(times) < 3 or sum(times) < _TRIAL_SECONDS:
            began = time.perf_counter()
            run.take_step()
            times.append(time.perf_counter() - began)
            if sum(times) > 10 * _TRIAL_SECONDS:
                break
    return sorted(times)[len(times) // 2]


def _smaller(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the sizes of a config's networks, halved, as multiples of 8."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _smaller(value, f"{prefix}{key}.")
        elif key in _SIZES:
            half = [_half(v) for v in value] if isinstance(value, (list, tuple)) else _half(value)
            if half != value:
                yield f"{prefix}{key}", half


def _half(value: Any) -> Any:
    return max(8, value // 2 // 8 * 8) if isinstance(value, int) and value > 8 else value


def _with_config(entry: Entry, config: Mapping[str, Any], changes: Mapping[str, Any]) -> Entry:
    """Returns the entry with changed values in its config."""
    made: dict[str, Any] = {**config}
    for key, value in changes.items():
        *path, last = key.split(".")
        table = made
        for part in path:
            table[part] = dict(table[part])
            table = table[part]
        table[last] = value
    return replace(entry, config=made)
