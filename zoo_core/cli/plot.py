"""``zoo plot``."""

from __future__ import annotations

from pathlib import Path

import click

from zoo_core import plugins
from zoo_core.cli.output import complete_model, json_option, print_json, table, warn_about_plugins
from zoo_core.fetching.references import described
from zoo_core.files.formats import file_stem
from zoo_core.lookup.compatibility import fitting


@click.command("plot", short_help="Plot a model: its density, its samples, its training.")
@click.argument("name", shell_complete=complete_model)
@click.argument("kind", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path), help="File to write: .png, .svg or .pdf.  [default: NAME-KIND.png]"
)
@click.option("--seed", default=0, show_default=True, help="Seed of the random numbers that the plot needs.")
@json_option
def command(name: str, kind: str | None, out: Path | None, seed: int, as_json: bool) -> None:
    """Plot a model: its density, its samples, its training.

    KIND is the name of a plot.  Without it, the plots that fit the model are listed.  Plots need matplotlib, and say
    how they were made: see 'zoo again'.

    \b
    Examples:
      zoo plot ddpm-moons
      zoo plot ddpm-moons score --out score.png
      zoo plot ./runs/ddpm-moons/model training
    """
    warn_about_plugins()
    if kind is None:
        fits = [c for c, why in fitting(described(name), plugins.load().catalogue.all("plot")) if why is None]
        if as_json:
            print_json([{"name": c.name, "summary": c.summary, "plugin": c.plugin} for c in fits])
        else:
            table([[c.name, c.plugin, c.summary] for c in fits], ["plot", "from", "what it shows"])
        return
    from zoo_core.loading import load
    from zoo_core.plots.draw import draw
    from zoo_core.saving.making import of_plot

    target = out or Path(f"{file_stem(name)}-{kind}.png")
    model = load(name)
    made = of_plot(model, name, kind, seed=seed, suffix=target.suffix)
    draw(model, kind, target, seed=seed, made=made)
    if as_json:
        print_json({"model": name, "plot": kind, "out": str(target)})
    else:
        click.echo(f"{kind} of {name}: {target}", err=True)
