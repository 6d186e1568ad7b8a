"""Bundles trained weights with a plugin and pins them in the registry, for maintainers of a plugin.

    python -m zoo_core.authoring.release ddpm-mnist --weights runs/ddpm-mnist/model
    python -m zoo_core.authoring.release ddpm-mnist --measure bits-per-dim:128

With ``--weights``, the snapshot ``weights/<id>/`` is written into the plugin's package, and its hash and size into the
registry file that has the model: the zoo's own or the plugin's.  Weights that were made with another recipe or config
than the registry's are refused, unless ``--adopt`` copies the run's recipe and config into the registry.  With
``--measure``, the bundled weights are measured and the number is added to the registry file.  In each case, and without
options, the snapshot's ``config.json`` and model card are updated.  This command needs ``tomlkit``.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from zoo_core import plugins, registry
from zoo_core.errors import PluginError, RegistryError, WeightsError, ZooError
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
    """Checks that weights were made with an entry's recipe and config, and writes them as its bundled snapshot.

    Args:
        entry: entry of a model of an installed plugin.
        weights: ``model`` folder of a run, or a safetensors file.  If there is a ``config.json`` next to the weights,
            its recipe and config must be those of the entry.
        adopt: whether to take recipe and config from that ``config.json`` if they differ.

    Returns:
        The entry with the new weights, number of parameters and facts, and with ``adopt`` the new recipe and config.

    Raises:
        WeightsError: the weights cannot be read, do not fit, or were made with another recipe or config.
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
    packages = package_folders(entry.plugin)
    if not packages:
        raise PluginError(
            f"{entry.id}: no plugin {entry.plugin!r} is installed to carry the weights; correct its 'plugin'"
        )
    folder = Path(packages[0]) / "weights" / entry.id
    entry = replace(entry, parameters=count, facts=read_facts(model))
    return replace(entry, weights=replace(snapshot.save(folder, entry, model.state_dict()), bundled=True))


def _as_made(entry: Entry, run: Entry, folder: Path, adopt: bool) -> Entry:
    """Compares the recipe and config of a run with those of an entry; returns the entry, with the run's if ``adopt``.

    Raises:
        WeightsError: they differ, and ``adopt`` is false.
    """
    theirs, ours = identity.facts(run), identity.facts(entry)
    if not (keys := identity.differences(theirs, ours)):
        return entry
    if adopt:
        how = {"how": entry.recipe["how"]} if "how" in entry.recipe else {}
        return replace(entry, recipe={**how, **run.recipe}, config=run.config)
    each = [f"{identity.shown(theirs, key)} there and {identity.shown(ours, key)} here" for key in keys[:3]]
    more = f", and {len(keys) - 3} more" if len(keys) > 3 else ""
    raise WeightsError(
        f"{folder} was not made with the recipe and config of {entry.id}: {', '.join(each)}{more}; train it again, or "
        "copy them into the registry with --adopt"
    )


def measure(entry: Entry, metrics: list[str], n: int | None, seed: int = 0) -> list[Evaluation]:
    """Measures the bundled weights by several metrics, which share the samples.

    Args:
        entry: entry of the model.
        metrics: registered names of the metrics.
        n: number of examples or samples; each metric's own number if ``None``.
        seed: seed of the samples, the order of the examples, dequantisation and noise.
    """
    return [one.row for one in measurements.measure(load(entry), metrics, measurements.Settings(n, seed))]


def registry_file(entry: Entry) -> Path:
    """Returns the registry file that has the entry's table: the zoo's own or a plugin's.

    Raises:
        RegistryError: the entry comes from no registry file, or from an installed copy that ``pip install`` replaces.
    """
    if not isinstance(entry.origin, FromRegistry):
        source = entry.origin.words() if entry.origin else "nowhere"
        raise RegistryError([f"{entry.id} is in no registry file (it comes from {source})"])
    file = entry.origin.file
    if {"site-packages", "dist-packages"}.intersection(file.parts):
        raise RegistryError([f"{file} is an installed copy; install your checkout with pip install -e, and try again"])
    return file


def main() -> None:
    """Runs the command line."""
    try:
        _main()
    except ZooError as err:
        print(f"zoo: {err}", file=sys.stderr)
        sys.exit(err.exit_code)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="id of the model in a registry file")
    parser.add_argument("--weights", type=Path, help="folder of a trained model, such as runs/NAME/model, or a file")
    parser.add_argument("--adopt", action="store_true", help="write the run's recipe and config into the registry")
    parser.add_argument(
        "--measure",
        action="append",
        default=[],
        metavar="METRIC[:N]",
        help="name of a metric, and the number of examples or samples [the metric's own]; may be repeated",
    )
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
