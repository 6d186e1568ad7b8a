"""``zoo data``."""

from __future__ import annotations

import click

from zoo_core.cli.options import reading_options
from zoo_core.cli.output import json_option, print_json, warn_about_plugins


@click.command("data", short_help="Say what a folder, an array or a table of yours is.")
@click.argument("source", metavar="PATH")
@reading_options
@json_option
def command(
    source: str,
    label: str | None,
    weight: str | None,
    leave_out: tuple[str, ...],
    size: tuple[int, int] | None,
    as_json: bool,
) -> None:
    """Say what a folder, an array or a table of yours is, and which families can be trained on it.

    PATH is a folder or zip archive of pictures (sub-folders or metadata.csv are labels) or of recordings; an array
    (.npy, .npz, .safetensors); a table (.csv, .tsv, .parquet); a text (.txt); or hf:ORG/SET@REVISION.

    \b
    Examples:
      zoo data ./photos
      zoo data measurements.csv --label species --leave-out id
      zoo data embeddings.npy --json
    """
    from zoo_core.datasets.sources import Reading, look, table_of
    from zoo_core.datasets.sources.fingerprint import fingerprint
    from zoo_core.datasets.sources.survey import survey
    from zoo_core.training.choice import families_for
    from zoo_core.training.target import Target

    warn_about_plugins()
    found = look(source, Reading(label, leave_out, size, weight=weight))
    facts = survey(found)
    sha256 = fingerprint(source)
    families = families_for(Target.found(found, table_of(source, found, sha256)))
    if as_json:
        print_json(
            {
                "path": source,
                "sha256": sha256,
                **facts.as_json(),
                "reader": dict(found.reader),
                "families": [name for name, reason in families if reason is None],
                "not": {name: reason for name, reason in families if reason is not None},
            }
        )
        return
    for line in facts.lines():
        click.echo(line)
    click.echo(f"fingerprint  sha256 {sha256}")
    fit = [name for name, reason in families if reason is None]
    click.echo(f"families     {', '.join(fit) or 'none yet'}")
    for note in found.notes:
        click.echo(f"note         {note}")
    if fit:
        click.echo(f"\nNext: zoo train --family {fit[0]} --data {source}")
