"""Reads a reader's own data: a folder or zip of pictures or recordings, an array, a table, a text, a set of the Hub.

:func:`look` says what a source is and how it is read.  What it decides is written into the recipe (``data.reader``), by
which :func:`load` reads the same examples again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from zoo_core import plugins
from zoo_core.datasets.sources.found import Found, Reading
from zoo_core.datasets.sources.tree import Tree
from zoo_core.errors import DataError, IncompatibleError
from zoo_core.interfaces import Column, DataSet
from zoo_core.interfaces.values import finite_rows
from zoo_core.randomness import generator

__all__ = ["HELD_OUT", "Reading", "complete_rows", "divided", "load", "look", "name_of", "table_of"]

HELD_OUT = 0.1
"""Share of the examples that is held out for testing, where the source does not say which are."""
_LATER = (".json", ".csv", ".txt", ".md")
"""Types of files that may lie beside pictures or recordings."""


def look(source: str | Path, how: Reading | None = None) -> Found:
    """Says what a source is, how it is read, and what is worth knowing about it.

    Args:
        source: path of a folder, a zip archive or a file; or ``hf:ORG/SET@REVISION``.
        how: what is said about how it is read; nothing unless given.

    Raises:
        DataError: the source is missing, empty, damaged or of an unknown kind.
        PluginError: a library that reads such files is not installed.
    """
    how = how or Reading()
    if str(source).startswith("hf:"):
        from zoo_core.datasets.sources.hub_sets import find_hub_set

        return find_hub_set(str(source), how)
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(f"there is no {path}; expected a folder, a zip archive or a file of data")
    if path.is_dir() or path.suffix.lower() == ".zip":
        return _look_into(Tree.of(path), how)
    if not path.is_file():
        raise DataError(f"{path} is no file and no folder; expected data")
    if not path.stat().st_size:
        raise DataError(f"{path} is empty; expected data")
    return _look_at(path.suffix.lower(), Tree(path.parent, (path.name,), False), path.name, how)


def _look_into(tree: Tree, how: Reading) -> Found:
    """Says what the files of a folder or archive are: the most common kind of them."""
    from zoo_core.datasets.sources import arrays, pictures, series, tables

    groups = {
        "pictures": [n for n in tree.names if n.lower().endswith(pictures.SUFFIXES)],
        "recordings": [n for n in tree.names if n.lower().endswith(series.SOUNDS)],
        "files": [n for n in tree.names if n.lower().endswith((*arrays.SUFFIXES, *tables.SUFFIXES, *series.TEXTS))],
    }
    if not groups["pictures"] and not groups["recordings"]:
        files = [n for n in groups["files"] if PurePosixPath(n).name != "metadata.csv"]
        if len(files) == 1:
            return _look_at(PurePosixPath(files[0]).suffix.lower(), tree, files[0], how)
        has = f"{len(tree.names)} files, such as {tree.names[0][:60]!r}" if tree.names else "no files"
        raise DataError(
            f"{tree.root} has {has}; expected pictures ({', '.join(pictures.SUFFIXES[:3])} …), recordings (.wav), or "
            "one file of data (.npy, .npz, .safetensors, .csv, .parquet, .txt)"
        )
    if len(groups["recordings"]) > len(groups["pictures"]):
        return series.find_recordings(tree, groups["recordings"])
    found = pictures.find_pictures(tree, groups["pictures"], how.size)
    others = [n for n in tree.names if n not in set(groups["pictures"]) and not n.lower().endswith(_LATER)]
    if others:
        found = replace(
            found, notes=[*found.notes, f"{len(others)} other files are not read, such as {others[0][:60]!r}"]
        )
    return found


def _look_at(suffix: str, tree: Tree, name: str, how: Reading) -> Found:
    """Says what one file is."""
    from zoo_core.datasets.sources import arrays, pictures, series, tables

    where = tree.path(name)
    if suffix in tables.SUFFIXES:
        with tree.open(name) as file:
            return tables.find_table(file, where, how)
    if how.label or how.leave_out or how.weight:
        raise DataError(f"{where} is no table; only tables have columns to name as labels or weights, or to leave out")
    if suffix in arrays.SUFFIXES:
        if tree.zipped:
            raise DataError(f"{tree.root} holds the array {name}; unpack it, and name the file")
        return arrays.find_array(tree.root / name)
    if suffix in series.TEXTS:
        with tree.open(name) as file:
            return series.find_texts(file, where)
    if suffix in pictures.SUFFIXES:
        raise DataError(f"{where} is one picture; expected a folder of at least two")
    if suffix in series.SOUNDS:
        raise DataError(f"{where} is one recording; expected a folder of at least two")
    raise DataError(
        f"{where} is of an unknown type; expected .npy, .npz, .safetensors, .csv, .tsv, .parquet, .txt, .zip, or a "
        "folder of pictures or recordings"
    )


def table_of(source: str | Path, found: Found, sha256: str, held_out: float = HELD_OUT) -> dict[str, Any]:
    """Writes what was decided about a source as the table ``data`` of a recipe."""
    where = str(source) if str(source).startswith("hf:") else str(Path(source).expanduser().resolve())
    table: dict[str, Any] = {"name": name_of(source), "path": where, "sha256": sha256}
    if found.splits is None:
        table["held_out"] = held_out
    return table | {"reader": dict(found.reader)}


def name_of(source: str | Path) -> str:
    """Makes a name for data from the name of their file or folder: ``./My photos.zip`` becomes ``my-photos``.

    A name of a registered data set gets ``own-`` before it, since metrics and recipes know such sets by their names.
    """
    text = str(source)
    stem = text.split("/")[-1].split("@")[0] if text.startswith("hf:") else Path(text).expanduser().resolve().stem
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40].strip("-") or "data"
    registered = {component.name for component in plugins.load().catalogue.all("dataset")}
    return f"own-{name}" if name in registered else name


def load(
    name: str,
    split: str,
    path: str,
    reader: Mapping[str, Any] | None = None,
    *,
    sha256: str | None = None,
    held_out: float = HELD_OUT,
    missing: str = "keep",
) -> DataSet:
    """Reads one split of a source, as its reader says.

    Args:
        name: name of the data.
        split: ``train`` or ``test``.
        path: path of the source, or ``hf:ORG/SET@REVISION``.
        reader: how files become numbers, as :func:`look` found it; found anew unless given.
        sha256: fingerprint that the source must have.
        held_out: share of the examples that the test split has.
        missing: ``"keep"``, or ``"drop"`` to leave out rows with missing cells.

    Raises:
        DataError: the source cannot be read, or has changed.
    """
    from zoo_core.datasets.sources.fingerprint import fingerprint

    now = fingerprint(path)
    if sha256 is not None and now != sha256:
        raise DataError(
            f"{path} is not what the model was trained on: its fingerprint is {now[:12]}…, not {sha256[:12]}…; "
            "put the data back, or train on the new ones with --data"
        )
    found = _read(path, json.dumps(dict(reader or {}), sort_keys=True), now)
    return divided(found, name, split, held_out, missing)


@lru_cache(maxsize=2)
def _read(path: str, reader: str, sha256: str) -> Found:
    """Reads a source once for both splits, and for all metrics of a run.

    Args:
        path: path of the source.
        reader: reader, in JSON.
        sha256: fingerprint of the source, so that it is read again once it has changed.
    """
    known = json.loads(reader)
    size = (int(known["height"]), int(known["width"])) if known.get("kind") == "image" else None
    columns = tuple(Column.of(one) for one in known.get("columns", ())) if known.get("kind") == "table" else ()
    how = Reading(known.get("label"), tuple(known.get("leave_out", ())), size, columns, known.get("weight"))
    return _as_read(look(path, how), known, path)


def _as_read(found: Found, reader: Mapping[str, Any], path: str) -> Found:
    """Checks that a source is of the reader's kind, and numbers its labels as the reader does."""
    if not reader:
        return found
    kinds = found.kind, reader.get("kind")
    if kinds[0] != kinds[1] or (kinds[0] == "image" and found.reader["channels"] > reader["channels"]):
        raise DataError(f"{path} has {_words(found.reader)}; the model was trained on {_words(reader)}")
    if found.kind == "image" and found.reader["channels"] < reader["channels"]:
        found = replace(found, x=_InColour(found.x))
    wanted, has = tuple(reader.get("labels", ())), found.names.get("label", ())
    if wanted and has and wanted != has:
        if unknown := sorted(set(has) - set(wanted)):
            raise DataError(f"{path} has the label {unknown[0]!r}; the model knows {', '.join(wanted)}")
        places = torch.tensor([wanted.index(one) for one in has])
        label = found.columns["label"]
        assert isinstance(label, Tensor)
        found = replace(found, columns={**found.columns, "label": places[label]}, names={"label": wanted})
    return found


class _InColour:
    """Grey images, read as RGB."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, rows: Tensor) -> Tensor:
        grey: Tensor = self.of[rows]
        return grey.expand(-1, 3, -1, -1).contiguous()


def divided(found: Found, name: str, split: str, held_out: float = HELD_OUT, missing: str = "keep") -> DataSet:
    """Returns one split of what was found: the source's own, or a share chosen by chance that is the same every time.

    Raises:
        DataError: there are too few examples for two splits.
    """
    if len(found) < 2:
        raise DataError(f"{name} has {len(found)} example; expected at least two, one of them to test on")
    if found.splits is not None:
        which = found.splits[split == "test"]
        rows = torch.tensor(which, dtype=torch.int64)
    else:
        if not 0.0 <= held_out < 1.0:
            raise IncompatibleError(f"held_out = {held_out}; expected a share from 0 to below 1")
        test = min(max(1, round(held_out * len(found))), len(found) - 1) if held_out else 0
        order = torch.randperm(len(found), generator=generator(0, "held out", len(found)))
        rows = (order[:test] if split == "test" else order[test:]).sort().values
    other = Splits(found, name, held_out, missing)
    whole = DataSet(name, split, found.x, found.columns, found.names, found.levels, space=found.space, split_of=other)
    data = whole.take(rows)
    return complete_rows(data) if missing == "drop" else data


@dataclass(frozen=True)
class Splits:
    """Returns the splits of what was found in a source; equal for equal settings of one source."""

    found: Found = field(compare=False)
    name: str
    held_out: float
    missing: str

    def __call__(self, split: str) -> DataSet:
        """Returns a split."""
        return divided(self.found, self.name, split, self.held_out, self.missing)


def complete_rows(data: DataSet) -> DataSet:
    """Leaves out the rows with missing cells.

    Raises:
        DataError: no row is left.
    """
    there = torch.cat([finite_rows(data.rows(part).x) for part in torch.split(torch.arange(len(data)), 65536)])
    if not there.any():
        raise DataError(
            f"every row of {data.name} has a missing cell; fill them first, or use a family that takes them"
        )
    return data.take(there.nonzero().squeeze(1))


def _words(reader: Mapping[str, Any]) -> str:
    kind = reader.get("kind", "data")
    if kind == "image":
        return f"images {reader['channels']}×{reader['height']}×{reader['width']}"
    columns = reader.get("columns")
    return f"{kind} of {len(columns)} columns" if columns else str(kind)
