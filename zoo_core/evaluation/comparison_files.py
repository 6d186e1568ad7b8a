"""Writes comparisons as a table (CSV), as a plot (PNG) or as a page with both (HTML), and reads the tables again.

The plots need matplotlib.
"""

from __future__ import annotations

import base64
import csv
import importlib
from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from statistics import median
from typing import Any

from zoo_core.errors import IncompatibleError, PluginError
from zoo_core.evaluation.comparison import Point
from zoo_core.files.folders import write_whole
from zoo_core.interfaces import Result

__all__ = ["COLUMNS", "as_csv", "as_html", "as_png", "cells", "figure_class", "read_csv", "write"]

COLUMNS = ("model", "sampler", "NFE", "s/1,000", "metric", "value", "stderr", "n", "floor", "protocol")
MORE = ("kind", "direction", "unit", "seed")
MOST_CURVES = 10
"""Greatest number of curves in one panel."""

TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def cells(point: Point) -> list[str]:
    """Writes a point as the cells of a row, in the order of :data:`COLUMNS`."""
    floor = point.result.anchors.get("floor")
    return [
        point.model,
        point.sampler,
        str(point.nfe),
        f"{point.seconds:.3g}",
        point.metric,
        f"{point.result.value:.5g}",
        f"{point.result.stderr:.2g}",
        str(point.result.n),
        "" if floor is None else f"{floor:.4g}",
        point.result.protocol,
    ]


def as_csv(points: Sequence[Point], seed: int) -> str:
    """Writes the points as CSV, one line each; the last columns are those that the table on the screen leaves out."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *MORE])
    for point in points:
        writer.writerow([*cells(point), point.kind, point.result.direction, point.result.unit, str(seed)])
    return text.getvalue()


def read_csv(path: Path, seed: int) -> list[Point]:
    """Reads the points that :func:`as_csv` wrote, with the digits that the file has.

    Args:
        path: CSV file.
        seed: seed that the points must have been measured with.

    Raises:
        IncompatibleError: the file is not a comparison, or has another seed.
    """
    points = []
    try:
        rows = list(csv.DictReader(StringIO(path.read_text(encoding="utf-8"))))
        for row in rows:
            if row["seed"] != str(seed):
                raise IncompatibleError(f"{path} was measured with seed {row['seed']}, not {seed}; give --seed")
            direction: Any = row["direction"]
            anchors = {"floor": float(row["floor"])} if row["floor"] else {}
            result = Result(
                float(row["value"]),
                float(row["stderr"]),
                int(row["n"]),
                row["unit"],
                direction,
                anchors,
                row["protocol"],
            )
            points.append(
                Point(
                    row["model"],
                    row["sampler"],
                    row["kind"],
                    int(row["NFE"]),
                    float(row["s/1,000"]),
                    row["metric"],
                    result,
                )
            )
    except (OSError, UnicodeDecodeError, KeyError, ValueError, TypeError) as err:
        reason = f"{type(err).__name__}: {err}"
        raise IncompatibleError(f"{path} cannot be read as a CSV file of zoo compare --out: {reason}") from err
    return points


def write(path: Path, points: Sequence[Point], seed: int) -> None:
    """Writes a comparison in one step, in the format of the file's suffix: .csv, .png or .html."""
    formats: dict[str, Callable[[], bytes]] = {
        ".csv": lambda: as_csv(points, seed).encode(),
        ".png": lambda: as_png(points),
        ".html": lambda: as_html(points).encode(),
    }
    content = formats[path.suffix.lower()]()
    write_whole(path, lambda beside: beside.write_bytes(content))


def figure_class() -> Any:
    """Returns the class ``matplotlib.figure.Figure``, which needs no display and has no global state.

    Raises:
        PluginError: matplotlib is not installed.
    """
    try:
        return importlib.import_module("matplotlib.figure").Figure
    except ImportError as err:
        raise PluginError("a plot needs matplotlib; pip install matplotlib, or write --out compare.csv") from err


def as_png(points: Sequence[Point]) -> bytes:
    """Plots the points as PNG.

    Up to ten curves get a row per metric, against network evaluations and against seconds; more get a panel per model.
    """
    metrics = list(dict.fromkeys(point.metric for point in points))
    many = len({(point.model, point.kind) for point in points}) > MOST_CURVES
    figure = _panels(points, metrics) if many else _rows(points, metrics)
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()


def _rows(points: Sequence[Point], metrics: Sequence[str]) -> Any:
    figure = figure_class()(figsize=(10, 3.6 * len(metrics)), layout="constrained")
    axes = figure.subplots(len(metrics), 2, squeeze=False, sharey="row")
    for row, metric in zip(axes, metrics, strict=True):
        chosen = [point for point in points if point.metric == metric]
        for axis, cost, label in zip(
            row, ("nfe", "seconds"), ("network evaluations", "s / 1,000 samples"), strict=True
        ):
            _curves(axis, chosen, cost, lambda point: f"{point.model} · {point.kind}")
            axis.set_xlabel(label)
        row[0].set_ylabel(f"{metric} ({chosen[0].result.direction} is better)")
        row[0].legend(fontsize="small")
    return figure


def _panels(points: Sequence[Point], metrics: Sequence[str]) -> Any:
    """Plots one panel per model and metric, with a colour per sampler.

    The value axis is linear up to the median standard error and logarithmic beyond.
    """
    models, kinds = (list(dict.fromkeys(getattr(p, name) for p in points)) for name in ("model", "kind"))
    across = min(4, len(models))
    down = -(-len(models) // across)
    figure = figure_class()(figsize=(4 * across, 3.4 * down * len(metrics) + 0.6), layout="constrained")
    axes = figure.subplots(down * len(metrics), across, squeeze=False, sharex=True, sharey=len(metrics) == 1)
    for axis in axes.flat:
        axis.set_visible(False)
    for m, metric in enumerate(metrics):
        chosen = [point for point in points if point.metric == metric]
        noise = max(median(p.result.stderr for p in chosen), 1e-3)
        for index, model in enumerate(models):
            axis = axes[m * down + index // across][index % across]
            axis.set_visible(True)
            its = [point for point in chosen if point.model == model]
            _curves(axis, its, "nfe", lambda point: point.kind, [f"C{i}" for i in range(10)], kinds)
            axis.set_yscale("symlog", linthresh=noise)
            axis.set_title(model, fontsize="medium")
            axis.tick_params(labelbottom=True)
            if index % across == 0:
                axis.set_ylabel(f"{metric} ({chosen[0].result.direction} is better)", fontsize="small")
            if index + across >= len(models):
                axis.set_xlabel("network evaluations")
    found = {label: line for axis in axes.flat for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=7, fontsize="small")
    return figure


def _curves(
    axis: Any,
    points: Sequence[Point],
    cost: str,
    label: Callable[[Point], str],
    colours: Sequence[str] = (),
    order: Sequence[str] = (),
) -> None:
    """Plots a curve for each model and sampler, and a dashed line for real test data."""
    for name in dict.fromkeys((point.model, point.kind) for point in points):
        curve = sorted((p for p in points if (p.model, p.kind) == name), key=lambda p: float(getattr(p, cost)))
        style = {}
        if order:
            place = order.index(name[1])
            style = {"color": colours[place % len(colours)], "linestyle": "-" if place < len(colours) else ":"}
        axis.errorbar(
            [getattr(p, cost) for p in curve],
            [p.result.value for p in curve],
            yerr=[p.result.stderr for p in curve],
            marker="o",
            markersize=3 if order else 6,
            capsize=2,
            label=label(curve[0]),
            **style,
        )
    floors = [p.result.anchors["floor"] for p in points if "floor" in p.result.anchors]
    if floors:
        axis.axhline(floors[0], linestyle="--", color="grey", label="real test data")
    axis.set_xscale("log")
    if cost == "nfe":
        nfe = [p.nfe for p in points]
        ticks = [tick for tick in TICKS if min(nfe) <= tick <= max(nfe)]
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
    axis.grid(alpha=0.3)


def as_html(points: Sequence[Point]) -> str:
    """Writes the plot and the table as an HTML page that contains the picture."""
    head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells(point)) + "</tr>" for point in points
    )
    picture = base64.b64encode(as_png(points)).decode()
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>zoo compare</title>
<style>body {{ font: 15px/1.5 sans-serif; margin: 2em; }} table {{ border-collapse: collapse; }}
td, th {{ padding: 0.2em 0.8em; border-bottom: 1px solid #ddd; text-align: left; }}</style></head>
<body><h1>zoo compare</h1>
<img alt="quality against network evaluations and seconds" src="data:image/png;base64,{picture}">
<table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table></body></html>
"""
