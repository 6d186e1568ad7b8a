"""``zoo verify``."""

from __future__ import annotations

import click

from zoo_core import fetching, registry
from zoo_core.cli.output import complete_model, json_option, print_json, table
from zoo_core.errors import WeightsError
from zoo_core.fetching import bundled, pins
from zoo_core.registry.entry import Entry


@click.command("verify", short_help="Compare the weights on this machine with the registry's hashes.")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_model)
@json_option
def command(names: tuple[str, ...], as_json: bool) -> None:
    """Compare the weights on this machine with the registry's hashes.

    Without a NAME, the weights of all models are compared.  The exit code is 4 if any differ.

    \b
    Examples:
      zoo verify
      zoo verify ddpm-mnist --json
    """
    known = registry.load()
    entries = [known.get(n) for n in names] if names else known.find(links=True)
    rows = [_verified(entry) for entry in entries]
    if as_json:
        print_json(rows)
    else:
        table([[r["id"], r["status"], r["detail"]] for r in rows], ["model", "status", "detail"])
    wrong = [r["id"] for r in rows if r["status"] == "wrong"]
    if wrong:
        raise WeightsError(
            f"the weights of {', '.join(wrong)} are not those of the registry; reinstall the plugin, or zoo cache rm"
        )


def _verified(entry: Entry) -> dict[str, str]:
    row = {"id": entry.id, "status": "absent", "detail": ""}
    try:
        entry = pins.with_pin(entry)
    except WeightsError as err:
        return row | {"status": "wrong", "detail": str(err)}
    if entry.weights is None and entry.source:
        return row | {"detail": f"not pinned; zoo load {entry.id} pins it"}
    if entry.weights is None:
        return row | {"detail": f"no weights yet; zoo train {entry.id}" if entry.recipe else "no weights"}
    if not (bundled.has_weights(entry) or fetching.cached(entry)):
        return row | {"detail": f"not on this machine; zoo download {entry.id}"}
    try:
        fetched = fetching.fetch(entry, offline=True)
    except WeightsError as err:
        return row | {"status": "wrong", "detail": str(err)}
    return row | {"status": "ok", "detail": f"{fetched.came_from} sha256 {fetched.sha256}"}
