"""``zoo compare``: prints a table, and writes it as CSV, as a plot, or as an HTML page with both.

The plots need matplotlib.
"""

from __future__ import annotations

from pathlib import Path

import click

from zoo_core.cli.options import batch_size, placement
from zoo_core.cli.output import complete_model, json_option, print_json, progress, table, warn_about_plugins
from zoo_core.errors import IncompatibleError


def numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int]:
    """Reads ``1,2,5`` as a list of integers."""
    try:
        found = [int(word) for word in value.split(",")] if value else []
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 1,2,5") from None
    if any(number < 1 for number in found):
        raise click.BadParameter(f"{value!r} has a number below 1; a sampler takes at least 1 step")
    return found


@click.command("compare", short_help="Compare models: sample quality against network evaluations.")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_model)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Name of a metric of samples; may be repeated.  [default: the main metrics that fit all models]",
)
@click.option(
    "--sampler",
    "samplers",
    multiple=True,
    help="Name of a sampler; may be repeated.  [default: each model's own]",
)
@click.option(
    "--steps",
    metavar="1,2,5,…",
    callback=numbers,
    help="Numbers of solver steps for iterative samplers.  [default: each sampler's own]",
)
@click.option(
    "--nfe", metavar="5,10,…", callback=numbers, help="Network evaluations per sample at most, in place of --steps."
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=100),
    help="Number of samples for each measurement.  [default: the metric's own]",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the random numbers that samples are drawn with.")
@batch_size("samples drawn")
@click.option(
    "--from",
    "earlier",
    metavar="FILE.csv",
    multiple=True,
    help="Table of an earlier comparison, whose measurements are taken over; may be repeated.",
)
@click.option(
    "--out",
    metavar="FILE",
    help="File to write: compare.html (table and plot), compare.png (plot), or compare.csv (table, saved after every "
    "measurement).",
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
    """Compare models: sample quality against network evaluations.

    All models must have the same data.  Each is measured with every --sampler that fits it, at every number of --steps,
    or at every budget of --nfe: then the sampler takes as many steps as the network evaluations allow.  The table also
    has the seconds that 1,000 samples take.

    \b
    Examples:
      zoo compare ddpm-mnist gmm-mnist0 --metric precision --metric recall
      zoo compare ddpm-moons --sampler ddim --steps 1,5,20,50 --out moons.html
      zoo compare ddpm-moons --sampler dpm-solver --sampler heun --nfe 5,10,20
      zoo compare --from monday.csv --from tuesday.csv --out both.html

    \b
    Continue a comparison that was interrupted:
      zoo compare ddpm-mnist cfm-mnist --nfe 5,10 --from x.csv --out x.csv
    """
    from zoo_core.evaluation import comparison_files as files
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
        raise IncompatibleError(f"there is no folder {Path(out).resolve().parent} for {out!r}; make it first")
    if suffix in (".html", ".png"):
        files.figure_class()  # fails now, not after an hour of measuring, if matplotlib is not installed
    models = [load(name, device=device, dtype=dtype, offline=offline, weights_from=weights_from) for name in names]
    warn_about_plugins()
    points = [
        point for path in earlier if path != out or Path(path).exists() for point in files.read_csv(Path(path), seed)
    ]
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
            files.write(Path(str(out)), points, seed)
    if suffix:
        files.write(Path(str(out)), points, seed)
    rows = [files.cells(point) for point in points]
    if as_json:
        print_json([dict(zip(files.COLUMNS, row, strict=True)) for row in rows])
    else:
        table(rows, files.COLUMNS)
    if out:
        click.echo(f"zoo: wrote {out}", err=True)
