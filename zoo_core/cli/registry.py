"""``zoo registry``."""

from __future__ import annotations

from pathlib import Path

import click

from zoo_core import registry as reader
from zoo_core import registry_schema
from zoo_core.cli.output import print_json
from zoo_core.errors import RegistryError


@click.group("registry")
def command() -> None:
    """Check a registry file; print its JSON Schema.

    \b
    Examples:
      zoo registry validate registry.toml
      zoo registry schema > registry.schema.json
    """


@command.command("validate")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--distribution", default="", help="The plugin whose fragment it is.")
def validate(file: Path, distribution: str) -> None:
    """Say all that is wrong with a registry file; exits with 6 where anything is.

    \b
    Examples:
      zoo registry validate src/zoo_mine/registry.toml --distribution zoo-mine
    """
    try:
        entries, _, warnings = reader.read(file, distribution=distribution)
    except RegistryError as err:
        for problem in err.problems:
            click.echo(problem, err=True)
        raise
    for warning in warnings:
        click.echo(f"zoo: {warning}", err=True)
    click.echo(f"{file}: {len(entries)} models, all well")


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of registry files, for editors.

    \b
    Examples:
      zoo registry schema > registry.schema.json
    """
    print_json(registry_schema.json_schema())
