"""``zoo plugins``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from zoo_core import plugins as loader
from zoo_core.cli.output import json_option, print_json, table
from zoo_core.errors import PluginError


@click.group("plugins", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the plugins, diagnose one, or write a new one.

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
    """List the installed plugins and their status.

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
    """Name the faults of plugins, and what to do.

    Each plugin is loaded, everything that it registers is imported, and its models are loaded; every fault is listed
    with its cause and the next step.  NAME is a plugin or its distribution; without it, all plugins are examined.  The
    exit code is 6 if there is a fault.

    \b
    Examples:
      zoo plugins doctor
      zoo plugins doctor my-family --json
    """
    from zoo_core.authoring import doctor as healer

    records = [r for r in loader.load().records if name in (None, r.name, r.distribution)]
    if name is not None and not records:
        raise healer.not_found(name)
    findings = {id(record): healer.examine(record) for record in records}
    others = healer.unowned() if name is None else []
    if as_json:
        keys = ("name", "distribution", "version", "status", "deprecations", "details")
        rows = [
            {key: getattr(r, key) for key in keys} | {"findings": [asdict(f) for f in findings[id(r)]]} for r in records
        ]
        print_json({"plugins": rows, "registry": others})
    else:
        for record in records:
            click.echo(f"{record.name} ({record.distribution} {record.version}): {record.status}")
            for finding in findings[id(record)]:
                click.echo(f"  cause: {finding.cause}")
                click.echo(f"  next:  {finding.next}")
            for warning in record.deprecations:
                click.echo(f"  soon:  {warning}")
            if name is not None and record.details:
                click.echo(record.details.rstrip())
        for problem in others:
            click.echo(f"registry: {problem}")
    sick = [r.name for r in records if findings[id(r)]]
    if sick or others:
        raise PluginError(
            f"{len(sick)} of {len(records)} plugins have something wrong: {', '.join(sick) or 'a registry file'}"
        )


@command.command("new")
@click.argument("name")
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("."),
              help="Folder in which the package's folder is created.  [default: the current folder]")  # fmt: skip
def new(name: str, folder: Path) -> None:
    """Write a plugin for a family of your own.

    The result is a package that can be installed and passes its tests.  NAME is the name of the family in lower case:
    my-family makes the package zoo-my-family.

    \b
    Examples:
      zoo plugins new my-family
      zoo plugins new my-family --dir ~/src
    """
    from zoo_core.authoring import scaffold

    home = scaffold.new(name, folder)
    click.echo(home)
    for line in (
        f"pip install -e '{home}[dev]'",
        f"zoo train {name}-moons",
        f"python -m zoo_core.authoring.release {name}-moons --weights runs/{name}-moons/model --measure nll",
        f"pytest {home}",
    ):
        click.echo(f"zoo: next: {line}", err=True)
