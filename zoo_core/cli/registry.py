"""``zoo registry``."""

from __future__ import annotations

import tomllib
from pathlib import Path

import click

from zoo_core import registry as reader
from zoo_core.cli.output import print_json
from zoo_core.errors import RegistryError
from zoo_core.registry.json_schema import json_schema


@click.group("registry")
def command() -> None:
    """Check a registry file, or print the JSON Schema of such files.

    \b
    Examples:
      zoo registry validate registry.toml
      zoo registry schema > registry.schema.json
    """


@command.command("validate")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--distribution",
    default="",
    help="Distribution of the plugin that the file belongs to.  [default: as the file says]",
)
def validate(file: Path, distribution: str) -> None:
    """Check a registry file, and list every mistake in it.

    The exit code is 6 if there is a mistake.

    \b
    Examples:
      zoo registry validate registry.toml
      zoo registry validate src/zoo_mine/registry.toml
    """
    try:
        found = reader.read(file, distribution=distribution or _owner(file))
    except RegistryError as err:
        for problem in err.problems:
            click.echo(problem, err=True)
        raise
    for warning in found.warnings:
        click.echo(f"zoo: {warning}", err=True)
    click.echo(f"{file}: {len(found.entries)} model{'' if len(found.entries) == 1 else 's'}, all well")


def _owner(file: Path) -> str:
    """Returns the distribution that a registry file names as its own; empty if it names none or cannot be read."""
    try:
        owner = tomllib.loads(file.read_text(encoding="utf-8"))["plugin"]["distribution"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return owner if isinstance(owner, str) else ""


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of registry files, which editors can use.

    \b
    Examples:
      zoo registry schema > registry.schema.json
    """
    print_json(json_schema())
