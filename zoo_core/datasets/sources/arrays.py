"""Reads arrays (``.npy``, ``.npz``, ``.safetensors``): images, points or sequences, by their shape and type.

``.npy`` files are mapped into memory and read row by row, so that they may be larger than memory.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from zoo_core.datasets.sources.found import Found, Notes
from zoo_core.errors import DataError
from zoo_core.interfaces import Column, Ragged, SampleSpace

__all__ = ["SUFFIXES", "Mapped", "find_array", "from_array"]

SUFFIXES = (".npy", ".npz", ".safetensors")
_VALUES = ("x", "samples", "images", "image", "data", "train", "arr_0")
_LABELS = ("y", "label", "labels", "target", "targets")
_ROWS = 65536
"""Number of rows that are looked at together."""


def find_array(path: Path) -> Found:
    """Says what the array of a file is, and reads it.

    Raises:
        DataError: the file is damaged, holds no numbers, or an array of a shape that is none of examples.
    """
    try:
        values, labels, lengths = _opened(path)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, SyntaxError, RuntimeError) as err:
        reason = " ".join(str(err).split())[:150] or type(err).__name__
        raise DataError(f"{path} cannot be read as {path.suffix} ({reason}); expected an array of numbers") from err
    return from_array(values, labels, str(path)) if lengths is None else _of_lengths(values, lengths, labels, str(path))


def from_array(values: np.ndarray, labels: np.ndarray | None, path: str) -> Found:
    """Says what an array of examples is.

    Args:
        values: array whose first axis counts the examples.
        labels: class of each example, integers or texts, or ``None``.
        path: where it came from, for messages.
    """
    if values.dtype.kind not in "biuf" or values.ndim == 0:
        raise DataError(f"{path} holds {values.dtype} of shape {values.shape}; expected an array of numbers")
    if values.ndim == 1:
        values = values[:, None]
    if not len(values) or not values[:1].size:
        raise DataError(f"{path} has shape {values.shape}; expected at least one example with at least one number")
    notes = Notes()
    columns, names = _columns(labels, len(values), path)
    channels = _image_axes(values)
    if channels is not None:
        reader, x = _images(values, channels, path, notes)
        return Found("image", reader | _labels(names), x, columns, names, 256, None, notes.lines)
    if values.ndim == 2:
        reader, x = _points(values, path, notes)
        return Found("points", reader | _labels(names), x, columns, names, None, _space(values), notes.lines)
    if values.ndim == 3 and values.dtype.kind == "f":
        for start in range(0, len(values), _ROWS // 64):
            _numbers_or_missing(np.asarray(values[start : start + _ROWS // 64]), start, path)
        reader = {"kind": "sequence", "features": values.shape[2]}
        return Found("sequence", reader | _labels(names), Mapped(values), columns, names, None, None, notes.lines)
    raise DataError(
        f"{path} has shape {values.shape} of {values.dtype}; expected points (n, d), images (n, h, w), (n, h, w, c) or "
        "(n, c, h, w), or sequences (n, time, features)"
    )


def _of_lengths(values: np.ndarray, lengths: np.ndarray, labels: np.ndarray | None, path: str) -> Found:
    """Reads padded sequences of numbers, ``(n, longest, features)``, of which each row has its own length."""
    if values.ndim != 3 or values.dtype.kind != "f" or not values.size:
        raise DataError(
            f"{path} has lengths, and values of shape {values.shape} of {values.dtype}; expected sequences "
            "(n, longest, features) of floats"
        )
    longest = values.shape[1]
    whole = lengths.shape == (len(values),) and lengths.dtype.kind in "iu"
    if not whole or not 1 <= int(lengths.min()) <= int(lengths.max()) <= longest:
        raise DataError(f"{path} has lengths that are not {len(values)} integers in 1 … {longest}")
    # Padding may hold anything, and no one reads it.
    kept = np.where((np.arange(longest) < lengths[:, None])[:, :, None], values, 0.0).astype(np.float32)
    _numbers_or_missing(kept, 0, path)
    columns, names = _columns(labels, len(values), path)
    reader = {"kind": "sequence", "features": values.shape[2]}
    x = Ragged(torch.from_numpy(kept), torch.from_numpy(lengths.astype(np.int64)))
    return Found("sequence", reader | _labels(names), x, columns, names)


class Mapped:
    """Rows of an array that may lie on disk, converted when they are read.

    Args:
        values: array whose first axis counts the examples.
        axis: axis of the channels of images, which is moved to the front; ``None`` for others.
        scale: number that values are multiplied by before they are rounded to grey levels; ``None`` for others.
    """

    def __init__(self, values: np.ndarray, axis: int | None = None, scale: float | None = None) -> None:
        self.values, self.axis, self.scale = values, axis, scale

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Reads some rows."""
        picked = np.asarray(self.values[rows.numpy()])
        if self.axis is not None:
            picked = picked[:, None] if self.axis == 0 else np.moveaxis(picked, self.axis, 1)
        if self.scale is not None:
            levels = picked if self.scale == 1.0 else (picked * self.scale).round()
            return torch.from_numpy(np.ascontiguousarray(levels.clip(0, 255).astype(np.uint8)))
        return torch.from_numpy(np.ascontiguousarray(picked.astype(np.float32 if picked.ndim > 2 else np.float64)))


def _opened(path: Path) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Opens a file's values, labels and lengths, without reading more than its header where the format allows."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False), None, None
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            found: Mapping[str, np.ndarray] = {name: archive[name] for name in archive.files}
    else:
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found = {k: (t.float() if t.dtype == torch.bfloat16 else t).numpy() for k, t in tensors.items()}
    values = next((found[name] for name in _VALUES if name in found), None)
    if values is None and len(found) == 1:
        values = next(iter(found.values()))
    if values is None:
        raise ValueError(f"it holds {', '.join(found) or 'nothing'}; expected an array called x")
    return values, next((found[name] for name in _LABELS if name in found), None), found.get("lengths")


def _image_axes(values: np.ndarray) -> int | None:
    """Returns the axis of the channels, 0 for grey images without one; ``None`` if these are no images."""
    if values.ndim == 4 and values.shape[1] in (1, 3):
        return 1
    if values.ndim == 4 and values.shape[3] in (1, 3):
        return 3
    byte = values.dtype == np.uint8
    return 0 if values.ndim == 3 and min(values.shape[1:]) >= 4 and (byte or _unit(values)) else None


def _unit(values: np.ndarray) -> bool:
    """Says whether the first values are grey: floats in [0, 1]."""
    some = np.asarray(values[:64])
    return some.dtype.kind == "f" and bool(np.isfinite(some).all()) and some.min() >= 0 and some.max() <= 1


def _images(values: np.ndarray, axis: int, path: str, notes: Notes) -> tuple[dict[str, Any], Mapped]:
    low, high = _range(values, path)
    if low < 0 or (high > 255):
        raise DataError(f"{path} has images with values {low:g} … {high:g}; expected 0 … 255, or 0 … 1")
    scale = 1.0
    if values.dtype.kind == "f" and high <= 1:
        scale = 255.0
        notes.add("values 0 … 1 are read as 256 grey levels")
    elif values.dtype.kind == "b":
        scale = 255.0
    x = Mapped(values, axis, scale)
    shape = x[torch.arange(1)].shape[1:]
    return {"kind": "image", "channels": shape[0], "height": shape[1], "width": shape[2]}, x


def _points(values: np.ndarray, path: str, notes: Notes) -> tuple[dict[str, Any], Any]:
    """Reads points, whose columns are standardised: one pass for the range, mean and deviation of each."""
    count = np.zeros(values.shape[1])
    total, square = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    low, high = np.full(values.shape[1], np.inf), np.full(values.shape[1], -np.inf)
    whole, shift = True, np.nan_to_num(np.asarray(values[0], np.float64))
    for start in range(0, len(values), _ROWS):
        part = np.asarray(values[start : start + _ROWS], np.float64)
        if np.isinf(part).any():
            row = int(np.isinf(part).any(1).argmax()) + start
            raise DataError(f"{path}: row {row} has an infinite number; give a finite one, or NaN for a missing cell")
        there = ~np.isnan(part)
        near = np.where(there, part - shift, 0.0)
        count += there.sum(0)
        total += near.sum(0)
        square += (near**2).sum(0)
        low, high = (
            np.fmin(low, np.nanmin(np.where(there, part, np.inf), 0)),
            np.fmax(high, np.nanmax(np.where(there, part, -np.inf), 0)),
        )
        whole = whole and values.dtype.kind != "f"
    if not count.all():
        raise DataError(f"{path}: column {int((count == 0).argmax())} has no number at all; take it out")
    if missing := int(len(values) * values.shape[1] - count.sum()):
        notes.add(f"{missing} numbers are missing (NaN)")
    mean = total / count
    std = np.sqrt(np.maximum(square / count - mean**2, 0.0))
    columns = []
    for i in range(values.shape[1]):
        if low[i] == high[i]:
            columns.append(Column(f"x{i}", "constant", low=float(low[i]), high=float(high[i])))
        else:
            kind: Literal["integer", "number"] = "integer" if whole else "number"
            columns.append(
                Column(f"x{i}", kind, (), float(low[i]), float(high[i]), float(mean[i] + shift[i]), float(std[i]))
            )
    if not any(column.width for column in columns):
        raise DataError(f"{path} has the same numbers in every row; expected examples that differ")
    if constant := [column.name for column in columns if not column.width]:
        notes.add(f"{len(constant)} columns have one value, which every sample gets: {', '.join(constant[:8])}")
    return {"kind": "points", "columns": [column.table() for column in columns]}, Mapped(values)


def _range(values: np.ndarray, path: str) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for start in range(0, len(values), _ROWS // 64):
        part = np.asarray(values[start : start + _ROWS // 64])
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            row = int((~np.isfinite(part)).reshape(len(part), -1).any(1).argmax()) + start
            raise DataError(f"{path}: example {row} has values that are not finite; take it out")
        low, high = min(low, float(part.min())), max(high, float(part.max()))
    return low, high


def _numbers_or_missing(values: np.ndarray, start: int, path: str) -> None:
    """Refuses infinite values; NaN is a missing one, which is for the family to take or to refuse."""
    if np.isinf(values).any():
        row = int(np.isinf(values).reshape(len(values), -1).any(1).argmax()) + start
        raise DataError(
            f"{path}: example {row} has infinite values; take it out, or write NaN where a value is missing"
        )


def _space(values: np.ndarray) -> SampleSpace:
    return SampleSpace("points", (values.shape[1],))


def _columns(labels: np.ndarray | None, count: int, path: str) -> tuple[dict[str, Tensor], dict[str, tuple[str, ...]]]:
    if labels is None:
        return {}, {}
    if labels.shape != (count,) or labels.dtype.kind not in "iuUb":
        raise DataError(
            f"{path} has labels of shape {labels.shape}, {labels.dtype}; expected {count} integers or texts"
        )
    known, which = np.unique(labels, return_inverse=True)
    if len(known) > max(2, count // 2):
        raise DataError(f"{path} has {len(known)} different labels for {count} examples; expected fewer classes")
    return {"label": torch.from_numpy(which.astype(np.int64))}, {"label": tuple(str(name) for name in known)}


def _labels(names: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    return {"labels": list(names["label"])} if names else {}
