"""``zoo verify``."""

from __future__ import annotations

from pathlib import Path

import click

from zoo_core import fetching, registry
from zoo_core.cli.output import complete_model, json_option, print_json, table
from zoo_core.errors import DataError, WeightsError
from zoo_core.fetching import bundled, pins
from zoo_core.registry.entry import Entry


@click.command("verify", short_help="Compare weights, or the files of a run, with their hashes.")
@click.argument("names", nargs=-1, metavar="[NAME|FOLDER]...", shell_complete=complete_model)
@json_option
def command(names: tuple[str, ...], as_json: bool) -> None:
    """Compare weights, or the files of a run, with their hashes.

    Without a NAME, the weights of all models on this machine are compared with the registry's hashes.  In a FOLDER that
    zoo sample or zoo translate wrote, the files are compared with its manifest.json, which is written now if it is not
    there and all shards are.  The exit code is 4 if any differ, or if a file or a shard is missing.

    \b
    Examples:
      zoo verify
      zoo verify ddpm-mnist --json
      zoo verify digits/
    """
    known = registry.load()
    folders = [n for n in names if n not in known.entries and Path(n).is_dir()]
    entries = [known.get(n) for n in names if n not in folders] if names else known.find(links=True)
    rows = [_verified(entry) for entry in entries] + [_run(folder) for folder in folders]
    if as_json:
        print_json(rows)
    else:
        table([[r["id"], r["status"], r["detail"]] for r in rows], ["model", "status", "detail"])
    wrong = [r["id"] for r in rows if r["status"] == "wrong"]
    if wrong and wrong[0] in folders:
        raise DataError(next(f"{r['id']}: {r['detail']}" for r in rows if r["id"] == wrong[0]))
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


def _run(folder: str) -> dict[str, str]:
    """Compares the files of a run with its manifest."""
    from zoo_core.saving.manifest import NAME, Manifest
    from zoo_core.saving.shards import merge_all

    row = {"id": folder, "status": "wrong"}
    try:
        whole = merge_all(Path(folder)) or Manifest.read(Path(folder) / NAME)
    except DataError as err:
        return row | {"detail": str(err)}
    found = [problem for file in whole.files if (problem := file.problem(Path(folder)))]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return row | {"detail": f"{found[0]}{more}"}
    made = whole.made
    what = f"{len(whole.files)} files, samples {made.run.start} … {made.run.stop - 1} of {made.model}"
    return row | {"status": "ok", "detail": f"{what}, sha256 {whole.sha256}"}
