"""``zoo plugins``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from zoo_core import plugins as loader
from zoo_core import registry
from zoo_core.catalogue import KINDS, resolve
from zoo_core.cli.output import json_option, print_json, table
from zoo_core.errors import PluginError, UnknownNameError, ZooError


@click.group("plugins", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show the plugins; say what is wrong with one; begin a new one.

    \b
    Examples:
      zoo plugins
      zoo plugins doctor
      zoo plugins doctor ddpm
      zoo plugins new my-family
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_plugins, as_json=False)


@command.command("list")
@json_option
def list_plugins(as_json: bool) -> None:
    """Show every plugin that is installed, and what became of it.

    \b
    Examples:
      zoo plugins list --json
    """
    records = loader.load().records
    if as_json:
        print_json([{k: v for k, v in asdict(r).items() if k != "details"} for r in records])
        return
    table(
        [[r.name, f"{r.distribution} {r.version}", r.status, r.reason] for r in records],
        ["plugin", "distribution", "status", "reason"],
    )


@command.command("doctor")
@click.argument("name", required=False)
@json_option
def doctor(name: str | None, as_json: bool) -> None:
    """Load every plugin, import all that it registers, read its registry; name what is wrong and why.

    Exits with 6 where anything is.

    \b
    Examples:
      zoo plugins doctor
      zoo plugins doctor my-family --json
    """
    found = loader.load()
    records = [r for r in found.records if name in (None, r.name, r.distribution)]
    if name is not None and not records:
        raise UnknownNameError("plugin", name, None, "zoo plugins lists those that are installed")
    rows = []
    for record in records:
        causes = [record.reason] if record.status not in ("loaded", "disabled") else []
        if record.status == "loaded":
            causes += _import_all(found, record)
        causes += [p for p in registry.load().problems if record.distribution in p]
        rows.append(
            {
                "plugin": record.name,
                "distribution": record.distribution,
                "version": record.version,
                "status": record.status,
                "causes": causes,
                "details": record.details,
            }
        )
    others = [p for p in registry.load().problems if name is None and not any(p in r["causes"] for r in rows)]
    if as_json:
        print_json({"plugins": rows, "registry": others})
    else:
        for row in rows:
            click.echo(f"{row['plugin']} ({row['distribution']} {row['version']}): {row['status']}")
            for cause in row["causes"]:
                click.echo(f"  cause: {cause}")
            if name is not None and row["details"]:
                click.echo(str(row["details"]).rstrip())
        for problem in others:
            click.echo(f"registry: {problem}")
    sick = [str(r["plugin"]) for r in rows if r["causes"]]
    if sick or others:
        raise PluginError(
            f"{len(sick)} of {len(rows)} plugins have something wrong: {', '.join(sick) or 'a registry file'}"
        )


@command.command("new")
@click.argument("name")
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("."),
              help="Where the package's folder goes  [default: here]")  # fmt: skip
def new(name: str, folder: Path) -> None:
    """Write a plugin for a family of your own: a package that works and passes its tests.

    NAME is the family's, in lower case: my-family makes the package zoo-my-family.

    \b
    Examples:
      zoo plugins new my-family
      zoo plugins new my-family --dir ~/src
    """
    from zoo_core import scaffold

    home = scaffold.new(name, folder)
    click.echo(home)
    for line in (
        f"pip install -e '{home}[dev]'",
        f"zoo train {name}-moons",
        f"python -m zoo_core.release {name}-moons --weights runs/{name}-moons/model/model.safetensors --measure nll",
        f"pytest {home}",
    ):
        click.echo(f"zoo: next: {line}", err=True)


def _import_all(found: loader.Plugins, record: loader.PluginRecord) -> list[str]:
    """Imports every target that the plugin registered: what loading a model would meet."""
    causes = []
    for kind in KINDS:
        for component in found.catalogue.all(kind):
            if component.plugin == record.distribution:
                try:
                    resolve(component.target)
                except ZooError as err:
                    causes.append(f"{kind} {component.name!r}: {err}")
    return causes
