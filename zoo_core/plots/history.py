"""Plots the training curves of a run: ``zoo plot ./runs/NAME/model training``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Model
from zoo_core.plots.draw import INK, subplots
from zoo_core.registry.entry import FromFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["training"]


def training(model: Model, figure: Figure, seed: int) -> None:
    """Draws every term of the run's ``log.jsonl``, which lies next to the folder of the loaded model."""
    origin = model.entry.origin if model.entry else None
    log = origin.path.parent / "log.jsonl" if isinstance(origin, FromFolder) else None
    if log is None or not log.is_file():
        raise IncompatibleError("training curves need the run's folder: zoo plot ./runs/NAME/model training")
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    names = list(dict.fromkeys(name for row in rows for name in row if name != "step"))
    for axes, name in zip(subplots(figure, 1, len(names), size=3.5), names, strict=True):
        points = [(row["step"], row[name]) for row in rows if name in row]
        axes.plot(*zip(*points, strict=True), color=INK, linewidth=1)
        axes.set_title(name)
        axes.set_xlabel("step")
