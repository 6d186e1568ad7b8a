"""``zoo compare``: a table on the screen, in a CSV file, and with a plot on a page or alone (matplotlib)."""

from __future__ import annotations

import base64
import csv
import importlib
from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.options import placement
from zoo_core.cli.output import complete_model, json_option, print_json, progress, table, warn_about_plugins
from zoo_core.errors import IncompatibleError, PluginError

if TYPE_CHECKING:
    from zoo_core.evaluation.comparison import Point

COLUMNS = ("model", "sampler", "NFE", "s/1,000", "metric", "value", "stderr", "n", "floor", "protocol")
MORE = ("kind", "direction", "unit", "seed")
MOST_CURVES = 10
"""As many as one panel can show."""

TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


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
@click.argument("names", nargs=-1, shell_complete=complete_model)
@click.option("--metric", "metrics", multiple=True, help="May be repeated.  [default: what tables lead with]")
@click.option("--sampler", "samplers", multiple=True, help="May be repeated.  [default: each model's own]")
@click.option("--steps", metavar="1,2,5,…", callback=numbers, help="Solver steps of iterative samplers.")
@click.option("--nfe", metavar="5,10,…", callback=numbers, help="In place of --steps: budgets of network evaluations.")
@click.option("-n", "count", type=click.IntRange(min=100), help="How many samples.  [default: as the metric says]")
@click.option("--seed", default=0, show_default=True, help="Seed of the samples.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Samples at once  [default: chosen for the model]")
@click.option("--from", "earlier", metavar="FILE.csv", multiple=True, help="Earlier comparisons, not measured again.")
@click.option(
    "--out",
    metavar="FILE",
    help="compare.html (table and plot), compare.png (plot) or compare.csv (table, written as it is measured).",
)
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
    batch_size: int | None,
    earlier: tuple[str, ...],
    out: str | None,
    device: str,
    dtype: str | None,
    offline: bool | None,
    weights_from: str,
    as_json: bool,
) -> None:
    """Put models of the same data side by side: quality against network evaluations (NFE) and seconds.

    \b
    Examples:
      zoo compare ddpm-mnist gmm-mnist0 --metric precision --metric recall
      zoo compare ddpm-moons --sampler ddim --steps 1,5,20,50 --out moons.html
      zoo compare ddpm-moons --sampler dpm-solver --sampler heun --nfe 5,10,20
      zoo compare --from monday.csv --from tuesday.csv --out both.html

    \b
    A long comparison that was interrupted goes on with what it has:
      zoo compare ddpm-mnist cfm-mnist --nfe 5,10 --from x.csv --out x.csv
    """
    from zoo_core.evaluation.comparison import compare, headlines
    from zoo_core.loading import load

    if steps and nfe:
        raise click.UsageError("--steps and --nfe both say how many steps to take; leave one out")
    if not names and not earlier:
        raise click.UsageError("name models to compare, or earlier comparisons with --from")
    suffix = Path(out).suffix.lower() if out else ""
    if out and suffix not in (".html", ".png", ".csv"):
        raise IncompatibleError(f"cannot write a comparison to {out!r}; use .html, .png or .csv")
    if out and not Path(out).resolve().parent.is_dir():
        raise IncompatibleError(f"there is no folder {Path(out).resolve().parent}; make it first")
    if suffix in (".html", ".png"):
        figure_class()  # a missing library is said before an hour of work
    models = [load(name, device=device, dtype=dtype, offline=offline, weights_from=weights_from) for name in names]
    warn_about_plugins()
    points = [point for path in earlier if path != out or Path(path).exists() for point in read_csv(Path(path), seed)]
    for point in compare(
        models,
        list(metrics) or (headlines(models) if models else []),
        samplers=samplers,
        steps=steps,
        nfe=nfe,
        n=count,
        seed=seed,
        batch_size=batch_size,
        progress=progress("comparing"),
        refused=lambda *cell: click.echo("zoo: {}, {}: {}".format(*cell), err=True),
        known={(point.model, point.sampler, point.metric) for point in points if count in (None, point.result.n)},
    ):
        points.append(point)
        if suffix == ".csv":
            write(Path(str(out)), as_csv(points, seed).encode())
    if suffix == ".csv":
        write(Path(str(out)), as_csv(points, seed).encode())
    elif suffix:
        write(Path(str(out)), as_png(points) if suffix == ".png" else as_html(points).encode())
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


def as_csv(points: Sequence[Point], seed: int) -> str:
    """The table, one line per point; what the screen has no room for comes last."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *MORE])
    for point in points:
        writer.writerow([*cells(point), point.kind, point.result.direction, point.result.unit, str(seed)])
    return text.getvalue()


def read_csv(path: Path, seed: int) -> list[Point]:
    """The points of :func:`as_csv`, to as many digits as it has.

    Raises:
        IncompatibleError: it is no comparison, or one with another seed.
    """
    from zoo_core.evaluation.comparison import Point
    from zoo_core.interfaces import Result

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
        raise IncompatibleError(f"{path} is no table that zoo compare wrote: {type(err).__name__} {err}") from err
    return points


def write(path: Path, content: bytes) -> None:
    """All of it or nothing."""
    from zoo_core.files.folders import write_whole

    write_whole(path, lambda beside: beside.write_bytes(content))


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
    """Few curves: a row per metric, against network evaluations and against seconds.  Many: a panel per model."""
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
    """Every sampler has one colour; the scale is linear within the usual error and logarithmic beyond."""
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
    """One curve for each model and sampler."""
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
