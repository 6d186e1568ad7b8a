"""``zoo compare``: a table on the screen, in a CSV file, and with a plot on a page or alone (matplotlib)."""

from __future__ import annotations

from pathlib import Path

import click

from zoo_core.cli.options import placement
from zoo_core.cli.output import complete_model, json_option, print_json, progress, table, warn_about_plugins
from zoo_core.errors import IncompatibleError


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
        raise IncompatibleError(f"there is no folder {Path(out).resolve().parent}; make it first")
    if suffix in (".html", ".png"):
        files.figure_class()  # a missing library is said before an hour of work
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
