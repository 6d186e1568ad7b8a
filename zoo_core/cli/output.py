"""Output of the verbs: tables and JSON on stdout, warnings and progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from zoo_core import plugins, registry
from zoo_core.errors import DataError, RegistryError

if TYPE_CHECKING:
    from zoo_core.saving.provenance import Provenance

__all__ = [
    "complete_model", "how_made", "json_option", "print_json", "progress", "size_of", "table", "warn_about_plugins",
]  # fmt: skip

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def print_json(value: Any) -> None:
    """Prints a value as JSON on stdout, with keys in the order of the value."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Prints a table with aligned columns on stdout; the last column may be of any width."""
    if not rows:
        return
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header) - 1)]
    for row in [[h.upper() for h in header], *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[-1]]).rstrip())


def size_of(count: float) -> str:
    """Writes a count with three digits and a unit: ``730k`` for 729,905."""
    for unit in ("", "k", "M", "G"):
        if count < 999.5 or unit == "G":
            return f"{count:.0f}{unit}" if unit == "" or count >= 99.5 else f"{count:.3g}{unit}"
        count /= 1000
    raise AssertionError("unreachable")


def warn_about_plugins() -> None:
    """Prints a line on stderr for every plugin that should have loaded and did not."""
    for record in plugins.load().bad():
        click.echo(f"zoo: {record.line()}", err=True)


def how_made(note: bool, target: str, said: Callable[[], Provenance]) -> Provenance | None:
    """Says how a file is made; where that is not wanted, or cannot be said, it says nothing.

    Args:
        note: whether it is wanted.
        target: path of the file, for the line on stderr that says why nothing can be said.
        said: function that says how it is made, or raises ``DataError``, such as for a control character in a name.
    """
    if not note:
        return None
    try:
        return said()
    except DataError as err:
        click.echo(f"zoo: {target} does not say how it was made: {err}", err=True)
        return None


def progress(label: str) -> Callable[[int, int], None]:
    """Makes a callback ``(done, total)`` that draws a progress bar on stderr, if stderr is a terminal."""

    def show(done: int, of: int) -> None:
        if sys.stderr.isatty():
            filled = round(30 * done / of)
            end = "\n" if done == of else ""
            click.echo(f"\r{label} [{'#' * filled}{'.' * (30 - filled)}] {done}/{of}{end}", err=True, nl=False)

    return show


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Completes the ids of models; only the registry is read."""
    try:
        known = registry.load()
        return [name for name in (*known.entries, *known.links) if name.startswith(incomplete)]
    except RegistryError:
        return []
