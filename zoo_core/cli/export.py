"""``zoo export``."""

from __future__ import annotations

from pathlib import Path

import click

from zoo_core.cli.output import complete_model, warn_about_plugins


@click.command("export", short_help="Write a model in another library's format.")
@click.argument("name", shell_complete=complete_model)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--format", "form", required=True, help="Name of the format: diffusers.")
@click.option("--force", is_flag=True, help="Replace FOLDER if it exists.")
def command(name: str, folder: Path, form: str, force: bool) -> None:
    """Write a model in another library's format.

    FOLDER is created; with --force it may exist, and is replaced.

    \b
    Examples:
      zoo export ddpm-mnist --format diffusers ddpm-mnist-diffusers
    """
    from zoo_core.saving.exporting import export

    export(name, form, folder, force=force)
    warn_about_plugins()
    click.echo(str(folder))
