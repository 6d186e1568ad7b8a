"""Puts trained weights into a plugin and pins them in the registry (for those who maintain one).

    python -m zoo_core.release ddpm-mnist --weights runs/ddpm-mnist/model/model.safetensors
    python -m zoo_core.release ddpm-mnist --measure bits-per-dim:128

The first writes the snapshot ``weights/<id>/`` in the plugin's package and the hash and size into the registry; the
second measures what is committed and writes the row.  Both, and neither, bring the snapshot's ``config.json`` and model
card up to date with the registry.  Needs ``tomlkit``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import tomlkit

from zoo_core import evaluation, hub, plugins, registry, snapshot, weights_file
from zoo_core.entry import Entry, Evaluation, Weights
from zoo_core.loading import build, load

__all__ = ["measure", "pin", "release"]


def release(entry: Entry, weights: Path) -> tuple[Weights, int]:
    """Checks that the weights fit the entry, and writes them as its bundled snapshot.

    Returns:
        What to pin, and how many numbers were learned.
    """
    model = build(entry)
    model.load_state_dict(weights_file.parse(weights.read_bytes(), name=str(weights)), strict=True)
    count = sum(t.numel() for t in [*model.parameters(), *model.buffers()])
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


def pin(
    file: Path,
    name: str,
    *,
    weights: Weights | None = None,
    parameters: int | None = None,
    row: Evaluation | None = None,
) -> None:
    """Writes what was released or measured into a registry file, leaving the rest of its text alone."""
    document = tomlkit.parse(file.read_text(encoding="utf-8"))
    table: Any = document["models"][name]
    if parameters is not None:
        table["parameters"] = parameters
    if weights is not None:
        table["weights"] = _table(asdict(weights))
        table.pop("eval", None)  # measured on other weights
    if row is not None:
        rows = [r for r in table.get("eval", []) if r["metric"] != row.metric]
        table["eval"] = tomlkit.aot()
        for r in [*rows, _table(asdict(row))]:
            table["eval"].append(r)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(tomlkit.dumps(document), encoding="utf-8")
    os.replace(beside, file)


def _table(values: dict[str, Any]) -> Any:
    table = tomlkit.table()
    for key, value in values.items():
        if value not in ("", {}):
            table[key] = value
    table.add(tomlkit.nl())
    return table


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--measure", action="append", default=[], metavar="METRIC[:N]")
    arguments = parser.parse_args()
    file = registry.central_file()
    entry = registry.load().get(arguments.name)
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
