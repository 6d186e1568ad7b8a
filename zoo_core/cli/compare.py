"""``zoo compare``: a table on the screen, in a CSV file, and with a plot on a page or alone (matplotlib)."""

from __future__ import annotations

import base64
import csv
import importlib
from collections.abc import Sequence
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.load import placement
from zoo_core.cli.output import complete_model, json_option, print_json, progress, table, warn_about_plugins
from zoo_core.errors import IncompatibleError, PluginError

if TYPE_CHECKING:
    from zoo_core.comparison import Point

COLUMNS = ("model", "sampler", "NFE", "s/1,000", "metric", "value", "stderr", "n", "floor", "protocol")


def numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int]:
    """``1,2,5`` as a list."""
    try:
        found = [int(word) for word in value.split(",")] if value else []
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 1,2,5") from None
    if any(number < 1 for number in found):
        raise click.BadParameter("a sampler takes at least 1 step")
    return found


@click.command("compare", short_help="Put models side by side: quality against network evaluations.")
@click.argument("names", nargs=-1, required=True, shell_complete=complete_model)
@click.option("--metric", "metrics", multiple=True, help="May be repeated.  [default: what tables lead with]")
@click.option("--sampler", "samplers", multiple=True, help="May be repeated.  [default: each model's own]")
@click.option("--steps", metavar="1,2,5,…", callback=numbers, help="Network evaluations of iterative samplers.")
@click.option("--nfe", metavar="5,10,…", callback=numbers, help="As many steps as so many network evaluations allow.")
@click.option("-n", "count", type=click.IntRange(min=100), help="How many samples.  [default: as the metric says]")
@click.option("--seed", default=0, show_default=True, help="Of the samples.")
@click.option("--batch-size", type=click.IntRange(min=1), default=100, show_default=True, help="Samples at once.")
@click.option("--out", metavar="FILE", help="compare.html (table and plot), compare.png (plot) or compare.csv (table).")
@placement
@json_option
def command(
    names: tuple[str, ...],
    metrics: tuple[str, ...],
    samplers: tuple[str, ...],
    steps: list[int],
    nfe: list[int],
    count: int | None,
    seed: int,
    batch_size: int,
    out: str | None,
    device: str,
    dtype: str | None,
    offline: bool | None,
    source: str,
    as_json: bool,
) -> None:
    """Put models of the same data side by side: quality against network evaluations (NFE) and seconds.

    \b
    Examples:
      zoo compare ddpm-mnist gmm-mnist0 --metric precision --metric recall
      zoo compare ddpm-moons --sampler ddim --steps 1,5,20,50 --out moons.html
      zoo compare ddpm-moons --sampler dpm-solver --sampler heun --nfe 5,10,20
    """
    from zoo_core.comparison import compare, headlines
    from zoo_core.loading import load

    suffix = Path(out).suffix.lower() if out else ""
    if out and suffix not in (".html", ".png", ".csv"):
        raise IncompatibleError(f"cannot write a comparison to {out!r}; use .html, .png or .csv")
    if out and not Path(out).resolve().parent.is_dir():
        raise IncompatibleError(f"there is no folder {Path(out).resolve().parent}; make it first")
    if suffix in (".html", ".png"):
        figure_class()  # a missing library is said before an hour of work
    models = [load(name, device=device, dtype=dtype, offline=offline, source=source) for name in names]
    warn_about_plugins()
    points = list(
        compare(
            models,
            list(metrics) or headlines(models),
            samplers=samplers,
            steps=steps,
            nfe=nfe,
            n=count,
            seed=seed,
            batch_size=batch_size,
            progress=progress("comparing"),
            refused=lambda *cell: click.echo("zoo: {}, {}: {}".format(*cell), err=True),
        )
    )
    if suffix == ".csv":
        Path(str(out)).write_text(as_csv(points), encoding="utf-8")
    elif suffix:
        Path(str(out)).write_bytes(as_png(points) if suffix == ".png" else as_html(points).encode())
    rows = [cells(point) for point in points]
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    else:
        table(rows, COLUMNS)
    if out:
        click.echo(f"zoo: wrote {out}", err=True)


def cells(point: Point) -> list[str]:
    """A point as a row of :data:`COLUMNS`."""
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


def as_csv(points: Sequence[Point]) -> str:
    """The table, one line per point."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(cells(point) for point in points)
    return text.getvalue()


def figure_class() -> Any:
    """``matplotlib.figure.Figure``: no display, no global state.

    Raises:
        PluginError: matplotlib is not installed.
    """
    try:
        return importlib.import_module("matplotlib.figure").Figure
    except ImportError as err:
        raise PluginError("a plot needs matplotlib; pip install matplotlib, or write --out compare.csv") from err


def as_png(points: Sequence[Point]) -> bytes:
    """One row per metric: against network evaluations on the left, against seconds on the right."""
    metrics = list(dict.fromkeys(point.metric for point in points))
    figure = figure_class()(figsize=(10, 3.6 * len(metrics)), layout="constrained")
    axes = figure.subplots(len(metrics), 2, squeeze=False, sharey="row")
    for row, metric in zip(axes, metrics, strict=True):
        chosen = [point for point in points if point.metric == metric]
        for axis, cost, label in zip(
            row, ("nfe", "seconds"), ("network evaluations", "s / 1,000 samples"), strict=True
        ):
            for name in dict.fromkeys((point.model, point.kind) for point in chosen):
                curve = sorted((p for p in chosen if (p.model, p.kind) == name), key=lambda p: float(getattr(p, cost)))
                axis.errorbar(
                    [getattr(p, cost) for p in curve],
                    [p.result.value for p in curve],
                    yerr=[p.result.stderr for p in curve],
                    marker="o",
                    capsize=2,
                    label=" · ".join(name),
                )
            floors = [p.result.anchors["floor"] for p in chosen if "floor" in p.result.anchors]
            if floors:
                axis.axhline(floors[0], linestyle="--", color="grey", label="real test data")
            axis.set_xscale("log")
            axis.set_xlabel(label)
            axis.grid(alpha=0.3)
        row[0].set_ylabel(f"{metric} ({chosen[0].result.direction} is better)")
        row[0].legend(fontsize="small")
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()


def as_html(points: Sequence[Point]) -> str:
    """A page of its own, the picture inside it."""
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
