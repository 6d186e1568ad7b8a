"""``zoo list``."""

from __future__ import annotations

import click

from zoo_core import fetching, lookup, registry
from zoo_core.cli.output import complete_model, json_option, print_json, size_of, table
from zoo_core.errors import WeightsError
from zoo_core.fetching import bundled, pins
from zoo_core.installed import discover


@click.command("list", short_help="List the models of the registry.")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=complete_model)
@click.option("--family", help="Family of the models, such as ddpm.")
@click.option("--dataset", help="Data set that the models were trained on, such as mnist.")
@click.option("--tag", help="Tag of the models, such as image.")
@click.option("--plugin", help="Distribution that provides the models, such as zoo-ddpm.")
@click.option("--installed", is_flag=True, help="List only models whose plugin is installed.")
@click.option("--cached", is_flag=True, help="List only models whose weights are on this machine.")
@json_option
def command(
    patterns: tuple[str, ...],
    family: str | None,
    dataset: str | None,
    tag: str | None,
    plugin: str | None,
    installed: bool,
    cached: bool,
    as_json: bool,
) -> None:
    """List the models of the registry.

    A PATTERN is a shell pattern in quotes, or a part of a model's id.  A model is listed if it matches any of the
    patterns and all of the options.

    \b
    Examples:
      zoo list
      zoo list 'ddpm-*' --dataset mnist
      zoo list --installed --json
    """
    known = registry.load()
    found = known.find(patterns, links=True, family=family, dataset=dataset, tag=tag, plugin=plugin)
    entries = []
    for entry in found:
        try:
            entries.append(pins.with_pin(entry))
        except WeightsError as err:  # a damaged pin
            click.echo(f"zoo: {err}", err=True)
            entries.append(entry)
    if installed:
        there = {record.distribution for record, _ in discover()}
        entries = [e for e in entries if e.plugin in there]
    if cached:
        entries = [e for e in entries if bundled.has_weights(e) or fetching.cached(e)]
    for problem in known.problems:
        click.echo(f"zoo: {problem}", err=True)
    if as_json:
        keys = ("id", "family", "dataset", "summary", "parameters", "plugin", "license", "paper")
        print_json(
            [{k: getattr(e, k) for k in keys} | {"tags": list(e.tags), "weights": lookup.where(e)} for e in entries]
        )
        return
    if not entries:
        click.echo("zoo: no model matches; zoo list shows all models", err=True)
    rows = [
        [
            e.id,
            e.family,
            e.dataset,
            size_of(e.parameters) if e.parameters or not e.source else "?",
            lookup.where(e),
            e.summary,
        ]
        for e in entries
    ]
    table(rows, ["model", "family", "data", "params", "weights", "what it is"])
