"""Puts trained weights into a plugin and pins them in the registry (for those who maintain one).

    python -m zoo_core.release ddpm-mnist --weights runs/ddpm-mnist/model
    python -m zoo_core.release ddpm-mnist --measure bits-per-dim:128

The first writes the snapshot ``weights/<id>/`` in the plugin's package, and the hash and size into the registry file
that has the model: the zoo's own or the plugin's.  The second measures what was written and adds the row.  Both, and
neither, bring the snapshot's ``config.json`` and model card up to date with the registry.  Needs ``tomlkit``.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

from zoo_core import evaluation, hub, plugins, registry, snapshot, weights_file
from zoo_core.entry import Entry, Evaluation, Weights
from zoo_core.errors import RegistryError, WeightsError, ZooError
from zoo_core.loading import build, fill, load
from zoo_core.registry_writer import pin

__all__ = ["measure", "release"]


def release(entry: Entry, weights: Path) -> tuple[Weights, int]:
    """Checks that the weights fit the entry, and writes them as its bundled snapshot.

    Args:
        entry: of an installed plugin.
        weights: a safetensors file, or a folder with a ``model.safetensors``.

    Returns:
        What to pin, and how many numbers were learned.

    Raises:
        WeightsError: they cannot be read or do not fit.
    """
    model = build(entry)
    file = weights / snapshot.FILE if weights.is_dir() else weights
    try:
        content = file.read_bytes()
    except OSError as err:
        made = f"; zoo train {entry.id} makes runs/{entry.id}/model" if entry.recipe else ""
        raise WeightsError(f"cannot read {file}: {err.strerror}{made}") from err
    state = weights_file.parse(content, name=str(file))
    fill(model, state, str(file))
    count = sum(t.numel() for t in model.state_dict().values())
    spec = importlib.util.find_spec(entry.factory.partition(":")[0].partition(".")[0])
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "weights" / entry.id
    return snapshot.save(folder, replace(entry, parameters=count), model.state_dict()), count


def measure(entry: Entry, metrics: list[str], n: int | None, seed: int = 0) -> list[Evaluation]:
    """Measures the committed weights by some metrics at once, which draws its samples once."""
    model = load(entry.id)
    results = evaluation.evaluate_all(model, metrics, n=n, seed=seed)
    rows = []
    for metric, result in zip(metrics, results, strict=True):
        data = evaluation.data_for(model, evaluation.metric_named(metric))
        command = f"zoo eval {entry.id} --metric {metric}{f' -n {n}' if n else ''} --seed {seed}"
        rows.append(evaluation.row(metric, result, data, seed, command))
    return rows


def registry_file(entry: Entry) -> Path:
    """The file that has the entry's table: the zoo's own, or a plugin's fragment.

    Raises:
        RegistryError: the entry comes from no file, or from a copy that the next ``pip install`` replaces.
    """
    file = Path(entry.source)
    if not file.is_file():
        raise RegistryError([f"{entry.id} is in no registry file (it comes from {entry.source or 'nowhere'})"])
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
    parser.add_argument("--measure", action="append", default=[], metavar="METRIC[:N]")
    arguments = parser.parse_args()
    entry = registry.load().get(arguments.name)
    file = registry_file(entry)
    if arguments.weights is not None:
        weights, count = release(entry, arguments.weights)
        pin(file, entry.id, weights=weights, parameters=count)
    wanted: dict[str, list[str]] = {}
    for item in arguments.measure:
        metric, _, n = item.partition(":")
        wanted.setdefault(n, []).append(metric)
    for n, metrics in wanted.items():
        plugins.reset()
        for row in measure(registry.load().get(entry.id), metrics, int(n) if n else None):
            pin(file, entry.id, row=row)
            print(f"{row.metric}: {row.text()} (n = {row.n:,})")
    plugins.reset()
    entry = registry.load().get(entry.id)
    folder = hub.bundled_folder(entry)
    if folder is not None:
        snapshot.annotate(folder, entry)


if __name__ == "__main__":
    main()
