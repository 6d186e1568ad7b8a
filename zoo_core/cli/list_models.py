"""``zoo list``."""

from __future__ import annotations

import click

from zoo_core import fetching, lookup, registry
from zoo_core.cli.output import complete_model, json_option, print_json, size_of, table
from zoo_core.fetching import bundled
from zoo_core.installed import discover


@click.command("list", short_help="Show the models there are.")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=complete_model)
@click.option("--family", help="Only this family.")
@click.option("--dataset", help="Only models of this data set.")
@click.option("--tag", help="Only models with this tag.")
@click.option("--plugin", help="Only models of this distribution (zoo-ddpm).")
@click.option("--installed", is_flag=True, help="Only models whose plugin is installed.")
@click.option("--cached", is_flag=True, help="Only models whose weights are on this machine.")
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
    """Show the models there are.

    A PATTERN is a shell pattern (quote it) or a part of the name.

    \b
    Examples:
      zoo list
      zoo list 'ddpm-*' --dataset mnist
      zoo list --installed --json
    """
    known = registry.load()
    entries = known.find(patterns, family=family, dataset=dataset, tag=tag, plugin=plugin)
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
        click.echo("zoo: no model matches; zoo list shows them all", err=True)
    rows = [[e.id, e.family, e.dataset, size_of(e.parameters), lookup.where(e), e.summary] for e in entries]
    table(rows, ["model", "family", "data", "params", "weights", "what it is"])
