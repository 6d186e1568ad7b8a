"""``zoo download``."""

from __future__ import annotations

import click

from zoo_core import fetching, registry
from zoo_core.cli.output import complete_model, json_option, print_json
from zoo_core.fetching.references import entry_of


@click.command("download", short_help="Fetch and verify weights for later, offline use.")
@click.argument("names", nargs=-1, metavar="NAME...", shell_complete=complete_model)
@click.option("--all", "everything", is_flag=True, help="Download the weights of all models that have any.")
@json_option
def command(names: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Fetch and verify weights for later, offline use.

    Bundled weights are verified where they are; others are downloaded into the Hub's cache.  The output has the place
    of each file.

    \b
    Examples:
      zoo download ddpm-mnist
      zoo download --all
    """
    if not names and not everything:
        raise click.UsageError("name a model, or use --all")
    entries = [e for e in registry.load().find() if e.weights] if everything else [entry_of(n) for n in names]
    rows = []
    for entry in entries:
        fetched = fetching.fetch(entry)
        rows.append(
            {
                "id": entry.id,
                "from": fetched.came_from,
                "path": str(fetched.path),
                "sha256": fetched.sha256,
                "size": fetched.size,
            }
        )
        if not as_json:
            click.echo(f"{entry.id}\t{fetched.came_from}\t{fetched.path}")
    if as_json:
        print_json(rows)
