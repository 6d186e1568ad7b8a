"""Draws a registered plot of a model into a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from zoo_core import plugins
from zoo_core.errors import IncompatibleError, PluginError
from zoo_core.files.notes import write_noted
from zoo_core.interfaces import Model, Values
from zoo_core.lookup import compatibility
from zoo_core.plugins.catalogue import resolve
from zoo_core.saving.provenance import Provenance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SUFFIXES", "draw", "show_samples"]

_TIMELESS: dict[str, dict[str, str | None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""Metadata of each format that would otherwise hold the time."""

SUFFIXES = tuple(_TIMELESS)
INK = "#1f4e8c"


def draw(model: Model, kind: str, out: Path, *, seed: int = 0, made: Provenance | None = None) -> None:
    """Draws a registered plot of a model into a file.

    Args:
        model: model to show.
        kind: registered name of the plot; ``zoo plot NAME`` lists them.
        out: path of a ``.png``, ``.svg`` or ``.pdf`` file; the file appears only when it is complete.
        seed: integer that all random numbers of the plot depend on.
        made: how the plot is drawn, which the file then says (:mod:`zoo_core.files.notes`).

    Raises:
        UnknownNameError: no such plot.
        IncompatibleError: the model cannot show it, or the file cannot be written.
        PluginError: Matplotlib is not installed.
    """
    plot = plugins.load().catalogue.get("plot", kind)
    entry = model.entry
    if entry is not None and (reason := compatibility.misfit(plot, entry, plugins.family_of(entry))):
        raise IncompatibleError(f"plot {kind!r} {reason}")
    if out.suffix.lower() not in SUFFIXES or not out.resolve().parent.is_dir():
        raise IncompatibleError(
            f"cannot write a plot to {out}; use a .png, .svg or .pdf file in a folder that is there"
        )
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as err:
        raise PluginError("plots need Matplotlib; pip install matplotlib") from err
    figure = Figure(layout="constrained")
    resolve(plot.target)(model, figure, seed)
    memory = io.BytesIO()
    suffix = out.suffix.lower()
    with rc_context({"svg.hashsalt": "zoo"}):  # without it the names within an SVG file are random
        figure.savefig(memory, format=suffix.removeprefix("."), dpi=120, metadata=_TIMELESS[suffix])
    write_noted(out, memory.getvalue(), "" if made is None else made.text())


def show_samples(axes: Axes, samples: Values, model: Model) -> None:
    """Draws samples on the user's side into axes: dots in the plane, a histogram, or the picture of their kind."""
    from zoo_core.pictures import render

    if model.space.kind == "points" and isinstance(samples, Tensor) and samples.shape[1] == 1:
        axes.hist(samples[:, 0].numpy(), bins=60, density=True, color=INK)
    elif model.space.kind == "points" and isinstance(samples, Tensor) and samples.shape[1] == 2:
        axes.scatter(samples[:, 0].numpy(), samples[:, 1].numpy(), s=2, color=INK, linewidths=0)
        axes.set_aspect("equal")
    else:
        axes.imshow(render(samples, model.space), cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()


def subplots(figure: Figure, rows: int, columns: int, size: float = 2.4) -> list[Axes]:
    """Adds a grid of axes to a figure, fits the figure's size to them, and returns them row by row."""
    figure.set_size_inches(columns * size, rows * size)
    return list(figure.subplots(rows, columns, squeeze=False).flat)
