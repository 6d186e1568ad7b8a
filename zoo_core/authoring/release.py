"""Puts trained weights into a plugin and pins them in the registry (for those who maintain one).

    python -m zoo_core.authoring.release ddpm-mnist --weights runs/ddpm-mnist/model
    python -m zoo_core.authoring.release ddpm-mnist --measure bits-per-dim:128

The first writes the snapshot ``weights/<id>/`` in the plugin's package, and the hash and size into the registry file
that has the model: the zoo's own or the plugin's.  Weights that another recipe or config made than the registry has are
refused, unless ``--adopt`` takes those into the registry too.  The second measures what was written and adds the row.
Both, and neither, bring the snapshot's ``config.json`` and model card up to date.  Needs ``tomlkit``.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from zoo_core import plugins, registry
from zoo_core.errors import RegistryError, WeightsError, ZooError
from zoo_core.evaluation import measurements
from zoo_core.fetching import bundled
from zoo_core.fetching.references import entry_of
from zoo_core.installed import package_folders
from zoo_core.loading import build, fill, load, weights_file
from zoo_core.lookup.model_facts import read_facts
from zoo_core.registry.entry import Entry, Evaluation, FromRegistry
from zoo_core.registry.writer import pin, pin_row
from zoo_core.saving import snapshot
from zoo_core.training import identity

__all__ = ["measure", "release"]


def release(entry: Entry, weights: Path, *, adopt: bool = False) -> Entry:
    """Checks that weights are those of an entry's recipe and config, and writes them as its bundled snapshot.

    Args:
        entry: a model of an installed plugin.
        weights: a run's ``model`` folder, or a safetensors file; in a folder with a ``config.json`` that says how the
            weights were made, it must be as the entry says.
        adopt: take recipe and config from that ``config.json`` where they differ.

    Returns:
        The entry as it is now: weights, number of parameters, facts, and with ``adopt`` recipe and config.

    Raises:
        WeightsError: they cannot be read, do not fit, or were made in another way.
    """
    file = weights / snapshot.FILE if weights.is_dir() else weights
    try:
        content = file.read_bytes()
    except OSError as err:
        made = f"; zoo train {entry.id} makes runs/{entry.id}/model" if entry.recipe else ""
        raise WeightsError(f"cannot read {file}: {err.strerror}{made}") from err
    if (file.parent / snapshot.CONFIG).is_file():
        entry = _as_made(entry, entry_of(f"local-dir:{file.parent}"), file.parent, adopt)
    model = build(entry)
    fill(model, weights_file.parse(content, name=str(file)), str(file))
    count = sum(t.numel() for t in model.state_dict().values())
    folder = Path(package_folders(entry.plugin)[0]) / "weights" / entry.id
    entry = replace(entry, parameters=count, facts=read_facts(model))
    return replace(entry, weights=replace(snapshot.save(folder, entry, model.state_dict()), bundled=True))


def _as_made(entry: Entry, run: Entry, folder: Path, adopt: bool) -> Entry:
    """The entry with the recipe and the config that a run had, which are its own unless ``adopt``."""
    theirs, ours = identity.facts(run), identity.facts(entry)
    if not (keys := identity.differences(theirs, ours)):
        return entry
    if adopt:
        how = {"how": entry.recipe["how"]} if "how" in entry.recipe else {}
        return replace(entry, recipe={**how, **run.recipe}, config=run.config)
    each = [f"{identity.shown(theirs, key)} there and {identity.shown(ours, key)} here" for key in keys[:3]]
    more = f", and {len(keys) - 3} more" if len(keys) > 3 else ""
    raise WeightsError(
        f"{folder} was not made as {entry.id} says: {', '.join(each)}{more}; train it again, or --adopt what made it"
    )


def measure(entry: Entry, metrics: list[str], n: int | None, seed: int = 0) -> list[Evaluation]:
    """Measures the committed weights by some metrics at once, which draws its samples once."""
    return [one.row for one in measurements.measure(load(entry), metrics, measurements.Settings(n, seed))]


def registry_file(entry: Entry) -> Path:
    """The file that has the entry's table: the zoo's own, or a plugin's fragment.

    Raises:
        RegistryError: the entry comes from no file, or from a copy that the next ``pip install`` replaces.
    """
    if not isinstance(entry.origin, FromRegistry):
        source = entry.origin.words() if entry.origin else "nowhere"
        raise RegistryError([f"{entry.id} is in no registry file (it comes from {source})"])
    file = entry.origin.file
    if {"site-packages", "dist-packages"}.intersection(file.parts):
        raise RegistryError([f"{file} is an installed copy; install your checkout with pip install -e, and try again"])
    return file


def main() -> None:
    """The command line."""
    try:
        _main()
    except ZooError as err:
        print(f"zoo: {err}", file=sys.stderr)
        sys.exit(err.exit_code)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--adopt", action="store_true", help="write the run's recipe and config into the registry")
    parser.add_argument("--measure", action="append", default=[], metavar="METRIC[:N]")
    arguments = parser.parse_args()
    entry = registry.load().get(arguments.name)
    file = registry_file(entry)
    if arguments.weights is not None:
        released = release(entry, arguments.weights, adopt=arguments.adopt)
        pin(file, released)
    wanted: dict[str, list[str]] = {}
    for item in arguments.measure:
        metric, _, n = item.partition(":")
        wanted.setdefault(n, []).append(metric)
    for n, metrics in wanted.items():
        plugins.reset()
        for row in measure(registry.load().get(entry.id), metrics, int(n) if n else None):
            pin_row(file, entry.id, row)
            print(f"{row.metric}: {row.text()} (n = {row.n:,})")
    plugins.reset()
    entry = registry.load().get(entry.id)
    folder = bundled.folder_of(entry)
    if folder is not None:
        snapshot.annotate(folder, entry)


if __name__ == "__main__":
    main()
