"""Trains a family on a reader's own data in one call, as ``zoo train --family FAMILY --data PATH`` does."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo_core.datasets import sources
from zoo_core.datasets.sources import Reading
from zoo_core.datasets.sources.arrays import from_array
from zoo_core.datasets.sources.tables import from_frame
from zoo_core.interfaces import Model
from zoo_core.training.budget import in_minutes
from zoo_core.training.choice import for_data
from zoo_core.training.run import Options, train
from zoo_core.training.target import Target

__all__ = ["fit", "target_of"]


def fit(
    family: str,
    data: Any,
    *,
    labels: Any = None,
    label: str | None = None,
    weight: str | None = None,
    leave_out: tuple[str, ...] = (),
    size: tuple[int, int] | None = None,
    held_out: float | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    seed: int = 0,
    out: str | Path | None = None,
    **changes: Any,
) -> Model:
    """Trains a family on data of your own, by the recipe of that family whose data are most like them.

    Args:
        family: name of a family, or the beginning of model ids, such as ``"gmm"``; ``zoo families`` lists them.
        data: path of a folder, archive or file; an array or tensor of points ``(n, d)``, images or sequences; or a
            pandas table.
        labels: class of each example of an array, ``(n,)``.
        label, weight, leave_out: columns of a table that hold the class or the weight, or are not read.
        size: height and width of pictures, in pixels.
        held_out: share of the examples that is not trained on; a tenth unless given.
        minutes: time to train in, which sets the number of steps; the recipe's steps unless given.
        device: device to train on, ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"``.
        seed: seed of all random numbers.
        out: folder of the run, which can be continued; a temporary one unless given.
        changes: other values of the recipe (``steps=500``), and of the config with ``config={"components": 4}``.

    Returns:
        The trained model in evaluation mode; ``zoo_core.sample`` draws from it in the user's units.

    Raises:
        DataError: the data cannot be read.
        IncompatibleError: the family does not fit the data.
    """
    target = target_of(data, labels, Reading(label, leave_out, size, weight=weight), held_out)
    config = changes.pop("config", {})
    wanted = {**changes, **{f"config.{key}": value for key, value in config.items()}, "seed": seed}
    entry = for_data(family, target, wanted)
    examples = target.examples(entry.recipe)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(out) if out is not None else Path(scratch)
        if minutes is not None:

            def made(more: Mapping[str, Any]) -> Any:
                return for_data(family, target, {**more, **wanted})

            entry = in_minutes(entry, folder, minutes, device, made, lambda line: None, examples)
        return train(entry, folder, Options(device, samples_every=0, quiet=True), examples)


def target_of(data: Any, labels: Any = None, how: Reading | None = None, held_out: float | None = None) -> Target:
    """Returns data of a user's own as a target: a path, an array, a tensor or a pandas table."""
    if isinstance(data, Target):
        return data
    if isinstance(data, (str, Path)):
        return Target.own(data, how, held_out)
    share = sources.HELD_OUT if held_out is None else held_out
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        found = from_frame(data, "the table", how or Reading())
    else:
        values = data.detach().cpu().numpy() if hasattr(data, "detach") else np.asarray(data)
        found = from_array(values, None if labels is None else np.asarray(labels), "the array")
    table = {"name": "array" if found.kind != "table" else "table", "held_out": share, "reader": dict(found.reader)}
    return Target.found(found, table)
