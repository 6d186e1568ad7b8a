"""``zoo publish``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_core.cli.output import complete_model, json_option, print_json, table

if TYPE_CHECKING:
    from zoo_core.authoring.publishing import Package
    from zoo_core.registry.entry import Entry


@click.command("publish", short_help="Upload a model to the Hub, and pin the commit.")
@click.argument("name", metavar="NAME|DIR", shell_complete=complete_model)
@click.option("--repo", "repo_id", required=True, metavar="ORG/REPO", help="Name of the repository on the Hub.")
@click.option("--private", is_flag=True, help="Create the repository as a private one.")
@click.option("--dry-run", is_flag=True, help="Check the model and list the files; make no network request.")
@click.option(
    "--registry",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Registry file to write the repository, commit, hash and size into.",
)
@json_option
def command(name: str, repo_id: str, private: bool, dry_run: bool, file: Path | None, as_json: bool) -> None:
    """Upload a model to the Hub, and pin the commit.

    NAME is a model of the registry; DIR is a folder such as runs/NAME/model.  The model is checked first.  Files that
    the repository has already make no new commit.  Uploading needs a token: 'hf auth login' or HF_TOKEN.

    \b
    Examples:
      zoo publish gmm-eight-gaussians --repo me/ring --dry-run
      zoo publish ./runs/ring/model --repo me/ring --registry registry.toml
    """
    from zoo_core.authoring import publishing
    from zoo_core.registry import writer

    if not dry_run:
        publishing.require_token()
    package = publishing.prepare(name, repo_id, offline=True if dry_run else None)
    if file is not None:
        writer.pin_published(file, _pinned(package.entry, repo_id, "0" * 40), dry_run=True)
    for warning in package.warnings:
        click.echo(f"zoo: {package.entry.id}: {warning}", err=True)
    if not as_json:
        _show(package)
    published = None if dry_run else publishing.upload(package, private=private)
    if published is not None and file is not None:
        writer.pin_published(file, published.entry)
    if as_json:
        print_json(
            {
                "id": package.entry.id,
                "repo_id": repo_id,
                "revision": published.revision if published else None,
                "changed": published.changed if published else None,
                "dry_run": dry_run,
                "registry": str(file) if file and published else None,
                "checks": package.checks,
                "warnings": package.warnings,
                "files": package.listing(),
            }
        )
        return
    if published is None:
        click.echo(f"\nThis was a dry run: nothing was sent to {repo_id}.")
        return
    if published.changed:
        click.echo(f"\npublished as {repo_id}@{published.revision}")
    else:
        click.echo(f"\nunchanged: {repo_id}@{published.revision} has it already; no commit was made")
    click.echo(f"pinned in {file}" if file is not None else _to_paste(published.entry))
    click.echo(f"\nNext: zoo load hf:{repo_id}")


def _pinned(entry: Entry, repo_id: str, revision: str) -> Entry:
    assert entry.weights is not None
    return replace(entry, weights=replace(entry.weights, repo_id=repo_id, revision=revision))


def _show(package: Package) -> None:
    click.echo(f"{package.entry.id}: {package.entry.summary}")
    for check in package.checks:
        click.echo(f"  ok  {check}")
    click.echo("")
    table([[r["file"], f"{r['size']:,}", r["sha256"]] for r in package.listing()], ["file", "bytes", "sha256"])


def _to_paste(entry: Entry) -> str:
    weights = entry.weights
    assert weights is not None
    lines = [
        f"[models.{entry.id}.weights]",
        f'file = "{weights.file}"',
        f'sha256 = "{weights.sha256}"',
        f"size = {weights.size}",
        f'repo_id = "{weights.repo_id}"',
        f'revision = "{weights.revision}"',
    ]
    return "\n".join(["for a registry file (--registry FILE writes it there):", "", *lines])
