"""``zoo cache``."""

from __future__ import annotations

import click

from zoo_core import fetching, registry
from zoo_core.cli.output import complete_model, json_option, print_json, size_of, table
from zoo_core.fetching import pins


@click.group("cache")
def command() -> None:
    """Show or delete the weights in the Hub's cache.

    The cache holds weights that were downloaded from the Hub.  Weights that are bundled with a plugin are part of its
    package and are not listed here.

    \b
    Examples:
      zoo cache ls
      zoo cache rm ddpm-mnist
      zoo cache path
    """


@command.command("ls")
@json_option
def ls(as_json: bool) -> None:
    """List the cached weights of the registry's models.

    \b
    Examples:
      zoo cache ls --json
    """
    rows = fetching.cached_repos(map(pins.with_pin, registry.load().find(links=True)))
    if as_json:
        print_json(rows)
        return
    table(
        [[r["id"], r["repo_id"], size_of(r["size"]), r["path"]] for r in rows],
        ["model", "repository", "bytes", "where"],
    )


@command.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_model)
def rm(names: tuple[str, ...]) -> None:
    """Delete the cached weights of models.

    Bundled weights are kept: they belong to a plugin's package.

    \b
    Examples:
      zoo cache rm ddpm-mnist
    """
    for name in names:
        freed = fetching.remove_cached(pins.with_pin(registry.load().get(name)))
        click.echo(f"{name}: {size_of(freed)} bytes freed")


@command.command("path")
def path() -> None:
    """Print the path of the cache's folder.

    \b
    Examples:
      du -sh "$(zoo cache path)"
    """
    click.echo(str(fetching.cache_dir()))
