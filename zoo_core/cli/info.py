"""``zoo info``."""

from __future__ import annotations

from typing import Any

import click

from zoo_core import lookup
from zoo_core.cli.output import complete_model, json_option, print_json, size_of, warn_about_plugins
from zoo_core.fetching.references import described
from zoo_core.registry.entry import Evaluation


@click.command("info", short_help="Show all that is known about a model.")
@click.argument("name", shell_complete=complete_model)
@json_option
def command(name: str, as_json: bool) -> None:
    """Show all that is known about a model.

    The model is not built, and its weights are not fetched.  NAME is a model of the registry, hf:ORG/REPO[@REVISION] or
    ./FOLDER.

    \b
    Examples:
      zoo info ddpm-mnist
      zoo info ddpm-mnist --json
    """
    entry = described(name)
    facts = lookup.facts(entry)
    warn_about_plugins()
    if as_json:
        print_json(facts)
        return
    click.echo(f"{facts['id']}: {facts['summary']}")
    for label, value in _lines(facts):
        if value:
            click.echo(f"  {label:<12} {value}")
    for row in entry.evaluations:
        click.echo(f"  {'measured':<12} {measured(row)}\n  {'again by':<12} {row.command(name)}")


def measured(row: Evaluation) -> str:
    """Writes one evaluation as a line of text."""
    anchors = "".join(f", {name} {value:.5g}" for name, value in row.anchors.items())
    return f"{row.metric} {row.text()} on {row.n:,} of {row.dataset}{anchors}"


def _lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    weights, sampler, recipe = facts["weights"], facts["sampler"], facts["recipe"]
    files = [weights, *weights["more"]] if weights else []
    options = " ".join(f"{k}={v}" for k, v in sampler["options"].items()) if sampler else ""
    return [
        ("family", f"{facts['family']} (plugin {facts['plugin']}, {facts['plugin_status']})"),
        ("data", facts["dataset"]),
        ("parameters", size_of(facts["parameters"]) if facts["parameters"] or not facts["source"] else ""),
        ("can", ", ".join(facts["capabilities"])),
        ("samplers", ", ".join(facts["samplers"])),
        ("default", f"{sampler['name']} {options}".strip() if sampler else ""),
        (
            "weights",
            f"{facts['weights_are']}, {sum(file['size'] for file in files):,} bytes, "
            f"sha256 {', '.join(file['sha256'] for file in files)}"
            if files
            else (
                "not pinned; the first load pins their commit and hashes"
                if facts["source"]
                else (f"none yet; zoo train {facts['id']}" if recipe else "none")
            ),
        ),
        ("source", facts["source"]),
        ("Hub", f"{weights['repo_id']}@{weights['revision']}" if weights and weights["repo_id"] else ""),
        ("recipe", ", ".join(f"{k} {v}" for k, v in recipe.items())),
        ("paper", facts["paper"]),
        ("licence", facts["license"]),
        ("tags", ", ".join(facts["tags"])),
        ("from", facts["origin"]),
    ]
