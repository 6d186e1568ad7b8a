"""Reads samples from a user's files (pictures, recordings, tables, arrays), and checks them against their space."""

from __future__ import annotations

import csv
import io
import json
import math
import wave
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo_core.datasets.arrays import DAMAGE, read_arrays, reason_of
from zoo_core.errors import DataError
from zoo_core.files.formats import PICTURES, check_source
from zoo_core.interfaces import Column, Ragged, SampleSpace, Values
from zoo_core.interfaces.values import finite_rows

__all__ = ["is_header", "is_missing", "read_samples"]

_MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
"""Contents of a cell that mean a missing value, in lower case."""


def is_missing(cell: str) -> bool:
    """Says whether a cell of a CSV file means a missing value: it is empty, ``NA``, ``NaN``, ``null`` or ``?``."""
    return cell.strip().lower() in _MISSING


def read_samples(source: str, space: SampleSpace, *, missing: bool = False) -> Values:
    """Reads samples of a space from a file in one of the formats that :mod:`zoo_core.saving.samples` writes.

    Args:
        source: path of a picture of one image, of a ``.wav`` file of one recording, or of a file of samples:
            ``.csv``, ``.json``, ``.txt``, ``.npy``, ``.npz`` or ``.safetensors``.
        space: sample space that the samples must belong to.
        missing: whether values may be missing, and are NaN then, or −1 for tokens: NaN and −1 in arrays, empty cells
            and :func:`is_missing` in CSV files, ``null`` in JSON, ``?`` in a text.

    Returns:
        Samples on the user's side, ``(k, *space.shape)``, k at least 1; a :class:`Ragged` where an axis is open.

    Raises:
        IncompatibleError: there is no such file, or samples of this kind cannot be read from files of this type.
        DataError: the file is damaged, or holds no samples of this space.
    """
    path = Path(source).expanduser()
    check_source(str(path), space)
    suffix = path.suffix.lower()
    try:
        if suffix in PICTURES:
            return _checked(_picture(path, space), space, missing)
        if suffix == ".wav":
            return _checked(_rows([_recording(path, space)], space), space, missing)
        if suffix in (".npy", ".npz", ".safetensors"):
            return _checked(_arrays(path, space), space, missing)
        text = path.read_text(encoding="utf-8-sig")
        read = {".csv": _csv, ".json": _json, ".txt": _txt}[suffix]
        return _checked(_rows(read(text, space, missing), space), space, missing)
    except DataError as err:
        raise DataError(f"{source}: {err}") from err
    except DAMAGE as err:
        raise DataError(f"{source} cannot be read as {suffix} ({reason_of(err)}); expected {space.words()}") from err


def _picture(path: Path, space: SampleSpace) -> Values:
    channels = space.shape[0]
    with Image.open(path) as image:
        _, height, width = space.shape
        if (height or image.height, width or image.width) != (image.height, image.width):
            wanted = f"{width or 'any'}×{height or 'any'}"
            raise DataError(f"the picture is {image.width}×{image.height} pixels; resize it to {wanted}")
        if image.mode.startswith(("I", "F")):
            raise DataError(f"the picture has more than 8 bits a channel (mode {image.mode}); save it with 8")
        pixels = image.convert("L" if channels == 1 else "RGB")
    levels = torch.frombuffer(bytearray(pixels.tobytes()), dtype=torch.uint8)
    values = levels.view(pixels.height, pixels.width, -1).permute(2, 0, 1).float() / 255.0
    return _rows([values], space)


def _recording(path: Path, space: SampleSpace) -> Tensor:
    """Reads one recording, ``(channels, time)``: full scale is −1 … 1, or 0 … 1 for a space with bounds."""
    with wave.open(str(path), "rb") as file:
        rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
        frames = file.readframes(file.getnframes())
    if rate != space.rate:
        raise DataError(f"the recording has {rate} samples a second; resample it to {space.rate}")
    if channels != space.shape[0]:
        raise DataError(f"the recording has {channels} channels; expected {space.shape[0]}")
    whole = frames[: len(frames) // (width * channels) * (width * channels)]
    raw = np.frombuffer(whole, np.uint8).reshape(-1, width)
    if width == 1:  # only 8-bit samples are unsigned
        levels = (raw[:, 0].astype(np.float64) - 128) / 127
    else:
        wide = np.zeros((len(raw), 4), np.uint8)
        wide[:, 4 - width :] = raw
        levels = (wide.view("<i4")[:, 0] >> (8 * (4 - width))).astype(np.float64) / (2 ** (8 * width - 1) - 1)
    values = torch.from_numpy(levels.clip(-1, 1)).float().view(-1, channels).T.contiguous()
    return values if space.low is None else (values + 1) / 2


def _arrays(path: Path, space: SampleSpace) -> Values:
    found = read_arrays(path)
    x, axis = found["samples"], space.open_axis
    if x.ndim == len(space.shape):  # one sample, without the batch
        x = x[None]
    if space.kind == "image" and x.dtype == torch.uint8:
        x = x.float() / 255.0
    if axis is None or x.ndim != len(space.shape) + 1:
        return x
    whole = torch.full((len(x),), x.shape[axis])
    return Ragged(x, found.get("lengths", whole), axis)


def _csv(text: str, space: SampleSpace, missing: bool) -> list[Tensor]:
    table = list(csv.reader(io.StringIO(text), strict=True))
    if space.kind == "tokens":  # spreadsheets fill short rows with empty cells
        return [_tokens([cell for cell in row if cell.strip()], space, missing) for row in table]
    table = [row for row in table if row]
    header = table.pop(0) if table and is_header(table[0], missing=missing) else None
    if space.kind == "table":
        return _records([dict(zip(header or _names(space), row, strict=True)) for row in table], space, missing)
    if missing:
        table = [["nan" if is_missing(cell) else cell for cell in row] for row in table]
    if space.kind != "sequence":
        return [_numbers(row, space) for row in table]
    if header is None or [name.strip() for name in header[:2]] != ["sample", "step"]:
        return [_numbers(table, space)]  # one sequence, a time step a row
    by_sample = groupby(table, key=lambda row: int(row[0]))
    return [_sequence(i, number, list(rows), space) for i, (number, rows) in enumerate(by_sample)]


def _sequence(place: int, number: int, rows: list[list[str]], space: SampleSpace) -> Tensor:
    if number != place or [int(row[1]) for row in rows] != list(range(len(rows))):
        raise DataError(f"the rows of sample {number} are not in order; sort by sample and step, from 0")
    return _numbers([row[2:] for row in rows], space)


def _json(text: str, space: SampleSpace, missing: bool) -> list[Tensor]:
    samples = json.loads(text)
    if missing:
        samples = _with(samples, -1 if space.kind == "tokens" else math.nan)
    if not isinstance(samples, list):
        raise DataError(f"the file holds a {type(samples).__name__}; expected a list of samples")
    if space.kind == "table" and all(isinstance(row, dict) for row in samples):
        return _records(samples, space, missing)
    return [_numbers(sample, space) for sample in samples]


def _with(value: Any, gone: float) -> Any:
    """Replaces ``null`` by another value in lists and objects."""
    if isinstance(value, dict):
        return {key: _with(part, gone) for key, part in value.items()}
    if isinstance(value, list):
        return [_with(part, gone) for part in value]
    return gone if value is None else value


def _txt(text: str, space: SampleSpace, missing: bool) -> list[Tensor]:
    if space.letters is None:
        return [_tokens(line.split(), space, missing) for line in text.splitlines()]
    numbers = {letter: str(number) for number, letter in enumerate(space.letters)}
    rows = []
    for place, line in enumerate(text.splitlines()):
        wrong = next((letter for letter in line if letter not in numbers and not (missing and letter == "?")), None)
        if wrong is not None:
            raise DataError(f"line {place} has the character {wrong!r}; expected some of {space.letters!r}")
        rows.append(_tokens([numbers.get(letter, letter) for letter in line], space, missing))
    return rows


def _tokens(words: list[str], space: SampleSpace, missing: bool) -> Tensor:
    return _numbers(["-1" if missing and is_missing(word) else word for word in words], space)


def _records(rows: Sequence[dict[str, Any]], space: SampleSpace, missing: bool) -> list[Tensor]:
    """Reads rows of a table by the names of its columns; other columns are ignored."""
    read = []
    exact = any(column.type == "date" for column in space.columns)  # seconds since 1970 are no float32
    kind = torch.float64 if exact else torch.float32
    for number, row in enumerate(rows):
        absent = [column.name for column in space.columns if column.name not in row]
        if absent:
            raise DataError(f"row {number} has no column {absent[0]!r}; expected {', '.join(_names(space))}")
        cells = [_code(column, row[column.name], number, missing) for column in space.columns]
        read.append(torch.tensor(cells, dtype=kind))
    return read


def _names(space: SampleSpace) -> list[str]:
    return [column.name for column in space.columns]


def _code(column: Column, value: Any, row: int, missing: bool) -> float:
    """Converts a cell to a number: the code of a category, or the number itself."""
    if column.type == "category" and value in column.categories:
        return float(column.categories.index(value))
    if missing and isinstance(value, str) and is_missing(value):
        return math.nan
    try:
        return column.number(value)
    except (TypeError, ValueError):
        expected = {"integer": "an integer", "number": "a number", "date": "a date like 2024-12-31"}
        what = expected.get(column.type, f"one of {', '.join(column.categories)}")
        raise DataError(f"row {row} has {column.name} = {str(value)[:40]!r}; expected {what}") from None


def _numbers(values: Any, space: SampleSpace) -> Tensor:
    """Converts nested lists of numbers, or of their texts, to a tensor; ``null`` is refused."""
    kind = np.int64 if space.kind == "tokens" else np.float32
    plain = np.array(values)
    if plain.dtype.kind not in "iufU" or (plain.dtype.kind == "f" and space.kind == "tokens" and plain.size):
        raise DataError(f"{str(values)[:60]} are no {'integers' if space.kind == 'tokens' else 'numbers'}")
    if not plain.size and space.open_axis == 1:  # an empty list does not show the number of features
        plain = plain.reshape(0, *space.sizes)
    return torch.from_numpy(plain.astype(kind))


def is_header(row: Sequence[str], *, missing: bool = False) -> bool:
    """Says whether the first row of a CSV file has the names of columns: whether a cell of it is no number.

    Args:
        row: cells of the row.
        missing: whether values may be missing, and :func:`is_missing` is no name then.
    """
    return not all(_is_number(cell) or (missing and is_missing(cell)) for cell in row)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text.strip()
    return True


def _rows(rows: list[Tensor], space: SampleSpace) -> Values:
    """Joins samples to one batch, which is ragged where the space has an open axis."""
    if not rows:
        raise DataError(f"the file has no samples; expected {space.words()}")
    wrong = [tuple(row.shape) for row in rows if not _has_shape(row, space)]
    if wrong:
        raise DataError(f"a sample is of shape {_shape(wrong[0])}; expected {space.words()}")
    return torch.stack(rows) if space.open_axis is None else Ragged.of(rows, space.open_axis)


def _has_shape(row: Tensor, space: SampleSpace) -> bool:
    return row.ndim == len(space.shape) and all(
        want in (None, has) for want, has in zip(space.shape, row.shape, strict=True)
    )


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "one number"


def _checked(x: Values, space: SampleSpace, missing: bool) -> Values:
    """Checks that samples belong to the space, and returns them in the types that models take."""
    if not len(x):
        raise DataError(f"the file has no samples; expected {space.words()}")
    first = next(iter(x))
    if not _has_shape(first, space):
        raise DataError(f"samples are of shape {_shape(first.shape)}; expected {space.words()}")
    data = x.padded_with(0).data if isinstance(x, Ragged) else x
    if space.kind == "tokens":
        if data.is_floating_point() or data.dtype == torch.bool:
            raise DataError(f"tokens are {data.dtype}; expected integers 0 … {(space.vocabulary or 1) - 1}")
        if data.numel() and not (-1 if missing else 0) <= int(data.min()) <= int(data.max()) < (space.vocabulary or 1):
            reaches = f"{int(data.min())} … {int(data.max())}"
            raise DataError(f"tokens reach {reaches}; expected 0 … {(space.vocabulary or 1) - 1}")
        return x.to(torch.int64)
    if data.is_complex() or data.dtype == torch.bool:
        raise DataError(f"samples are {data.dtype}; expected numbers")
    x = x if data.dtype == torch.float64 else x.to(torch.float32)
    if not bool((finite := finite_rows(x, missing=missing)).all()):
        raise DataError(f"sample {int((~finite).nonzero()[0])} has values that are not finite; leave it out")
    data = data[~torch.isnan(data)]
    if space.low is not None and data.numel() and not (float(data.min()) >= -1e-6 and float(data.max()) <= 1 + 1e-6):
        hint = ", or 8-bit integers" if space.kind == "image" else ""
        raise DataError(f"values reach {float(data.min()):.4g} … {float(data.max()):.4g}; expected 0 … 1{hint}")
    return x
