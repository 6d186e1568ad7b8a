"""Writes snapshots: a model as a folder with ``config.json``, ``model.safetensors`` and ``README.md``.

Plugins bundle snapshots, repositories on the Hub contain them, and ``zoo load ./folder`` reads them.  Equal models give
equal bytes.  A snapshot is written in one step: an interrupted process leaves no incomplete folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from zoo_core.errors import WeightsError
from zoo_core.files.folders import write_folder, write_whole
from zoo_core.loading import weights_file
from zoo_core.registry import schema
from zoo_core.registry.entry import Entry, Evaluation, FromFolder, Weights
from zoo_core.saving.model_card import card

__all__ = ["CONFIG", "FILE", "README", "annotate", "card", "config", "declared_id", "record", "save"]

FILE = "model.safetensors"
CONFIG = "config.json"
README = "README.md"


def save(folder: Path, entry: Entry, state: Mapping[str, Tensor]) -> Weights:
    """Writes a snapshot.

    Args:
        folder: folder of the snapshot; an existing one is replaced.
        entry: entry of the model; its weights are replaced by those that are written.
        state: tensors of the model, by name.

    Returns:
        The name, hash and size of the file of weights, for the registry.

    Raises:
        ZooError: the folder cannot be written; an existing one is not changed.
    """
    content = weights_file.serialise(state)
    weights = Weights(FILE, hashlib.sha256(content).hexdigest(), len(content))
    entry = replace(entry, weights=weights)
    files = {FILE: content, CONFIG: config(entry).encode(), README: card(entry).encode()}
    write_folder(folder, files)
    return weights


def annotate(folder: Path, entry: Entry) -> None:
    """Writes ``config.json`` and ``README.md`` of a snapshot again, after its entry has changed."""
    for name, text in ((CONFIG, config(entry)), (README, card(entry))):
        write_whole(folder / name, partial(Path.write_text, data=text, encoding="utf-8"))


def record(entry: Entry, rows: Sequence[Evaluation]) -> None:
    """Writes measured numbers into the snapshot that an entry came from; older numbers of the metrics are replaced.

    Args:
        entry: entry that was read from a folder.
        rows: measured numbers.

    Raises:
        WeightsError: the folder is not a snapshot of the zoo.
    """
    assert isinstance(entry.origin, FromFolder)
    folder = entry.origin.path
    if not (name := declared_id(folder)):
        raise WeightsError(f"{folder} has no {CONFIG} of the zoo with an id; its numbers cannot be kept there")
    kept = {row.metric: row for row in (*entry.evaluations, *rows)}
    annotate(folder, replace(entry, id=name, evaluations=tuple(kept.values())))


def declared_id(folder: Path) -> str:
    """Returns the id in a snapshot's ``config.json``, since a folder may have any name; empty if there is none."""
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    name = found.get("id", "") if isinstance(found, dict) else ""
    return name if isinstance(name, str) and re.fullmatch(schema.ID, name, re.ASCII) else ""


def config(entry: Entry) -> str:
    """Writes the entry as ``config.json``: its registry table in JSON."""
    return json.dumps(entry.table(), indent=2) + "\n"
