"""A model as a folder: ``config.json``, ``model.safetensors``, ``README.md``.

It is what a plugin bundles, what the Hub holds, and what ``zoo load ./folder`` reads.  The same model gives the same
bytes, and the folder appears whole or not at all.
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
        folder: where to; replaced if it is there.
        entry: what the registry says (its weights, if any, are replaced by what is written).
        state: the state dict.

    Returns:
        File, hash and size, for the registry.

    Raises:
        ZooError: it cannot be written; what was there is there still.
    """
    content = weights_file.serialise(state)
    weights = Weights(FILE, hashlib.sha256(content).hexdigest(), len(content))
    entry = replace(entry, weights=weights)
    files = {FILE: content, CONFIG: config(entry).encode(), README: card(entry).encode()}
    write_folder(folder, files)
    return weights


def annotate(folder: Path, entry: Entry) -> None:
    """Writes ``config.json`` and ``README.md`` of a snapshot again, after its entry's numbers or words have changed."""
    for name, text in ((CONFIG, config(entry)), (README, card(entry))):
        write_whole(folder / name, partial(Path.write_text, data=text, encoding="utf-8"))


def record(entry: Entry, rows: Sequence[Evaluation]) -> None:
    """Writes measured numbers into the snapshot that an entry came from, in place of older ones by the same metrics.

    Args:
        entry: the entry of a folder.
        rows: the numbers.

    Raises:
        WeightsError: the folder is no snapshot of the zoo, or cannot be written.
    """
    assert isinstance(entry.origin, FromFolder)
    folder = entry.origin.path
    if not (name := declared_id(folder)):
        raise WeightsError(f"{folder} has no {CONFIG} of the zoo with an id; its numbers cannot be kept there")
    kept = {row.metric: row for row in (*entry.evaluations, *rows)}
    annotate(folder, replace(entry, id=name, evaluations=tuple(kept.values())))


def declared_id(folder: Path) -> str:
    """The id that a snapshot says it has (a folder may be called anything); empty where it says none."""
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    name = found.get("id", "") if isinstance(found, dict) else ""
    return name if isinstance(name, str) and re.fullmatch(schema.ID, name, re.ASCII) else ""


def config(entry: Entry) -> str:
    """The registry table in JSON: what ``hf:`` and ``./folder`` are loaded from."""
    return json.dumps(entry.table(), indent=2) + "\n"
