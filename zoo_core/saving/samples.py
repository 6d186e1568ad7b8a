"""Writes samples of every kind to files: pictures, tables, recordings, arrays.

Padding of samples of different lengths is written only to arrays, which have rows of one length.
"""

from __future__ import annotations

import csv
import io
import json
import math
import wave
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo_core.files.formats import PICTURES, check_target, is_folder, is_one_picture
from zoo_core.files.notes import write_noted
from zoo_core.interfaces import Column, Ragged, SampleSpace, Values
from zoo_core.interfaces.values import finite_rows
from zoo_core.loading import weights_file
from zoo_core.pictures.canvas import write_picture
from zoo_core.pictures.images import to_picture
from zoo_core.pictures.kinds import render
from zoo_core.saving.manifest import NAME, File, Manifest
from zoo_core.saving.provenance import Provenance

__all__ = ["file_row", "save_one", "save_result", "save_samples"]


def save_samples(samples: Values, target: str, space: SampleSpace, made: Provenance | None = None) -> tuple[File, ...]:
    """Writes samples to a file of the target's format, or to a folder.

    A folder gets a picture for each image, a ``.wav`` for each recording, and one ``KIND.csv`` of all other samples;
    where it is known how they were made, also a manifest.

    Args:
        samples: samples in the user's range, ``(n, *space.shape)``.
        target: file or folder, ``samples.png``, ``samples.csv``, ``folder/`` …; :data:`zoo_core.files.formats.FORMATS`
            lists the formats.
        space: sample space of the samples.
        made: how the samples were made, which every file then says (:mod:`zoo_core.files.notes`).

    Returns:
        The files, without those that say how another file was made.

    Raises:
        IncompatibleError: the target cannot hold such samples.
        OSError: the file cannot be written; an existing file is not changed.
    """
    space = space.user
    check_target(target, space, len(samples))
    if is_folder(target):
        return _save_folder(samples, Path(target), space, made)
    path, suffix = Path(target), Path(target).suffix.lower()
    note = "" if made is None else made.at(suffix).text()
    if suffix in PICTURES:
        sha256 = write_picture(render(samples, space), path, note)
    elif suffix == ".wav":
        sha256 = write_noted(path, _wave(next(iter(samples)), space), note)
    else:
        sha256 = write_noted(path, _content(samples, suffix, space), note)
    return (file_row(path, sha256, samples, made),)


def save_result(samples: Values, path: Path, space: SampleSpace, made: Provenance | None = None) -> File:
    """Writes samples that were made from a file: one image pixel by pixel, all else as :func:`save_samples` does."""
    if len(samples) == 1 and path.suffix.lower() in PICTURES and is_one_picture(space):
        return save_one(next(iter(samples)), path, space, made)
    (file,) = save_samples(samples, str(path), space, made)
    return file


def save_one(sample: Tensor, path: Path, space: SampleSpace, made: Provenance | None = None) -> File:
    """Writes one sample to a file of its own: an image pixel by pixel, a recording, or a file of one row.

    Args:
        sample: sample in the user's range, without a batch axis, ``space.shape``.
        path: path of a file that such samples can be read from (:func:`zoo_core.files.formats.readable`).
        space: sample space of the sample.
        made: how the sample was made.
    """
    axis = space.open_axis
    samples: Values = sample[None] if axis is None else Ragged.of([sample], axis)
    if path.suffix.lower() in PICTURES and is_one_picture(space):
        note = "" if made is None else made.at(path.suffix).text()
        return file_row(path, write_picture(to_picture(sample), path, note), samples, made)
    (file,) = save_samples(samples, str(path), space, made)
    return file


def _save_folder(samples: Values, folder: Path, space: SampleSpace, made: Provenance | None) -> tuple[File, ...]:
    folder.mkdir(exist_ok=True)
    suffix = {"image": ".png", "audio": ".wav"}.get(space.kind)
    if suffix is None:
        files = save_samples(samples, str(folder / f"{space.kind}.csv"), space, made)
    else:
        first = 0 if made is None else made.first
        digits = max(5, len(str(first + len(samples) - 1)))
        files = tuple(
            save_one(
                sample, folder / f"{i:0{digits}d}{suffix}", space, None if made is None else replace(made, index=i)
            )
            for i, sample in enumerate(samples, first)
        )
    if made is not None:
        Manifest(made.at(suffix or ".csv"), files).write(folder / NAME)
    return files


def file_row(path: Path, sha256: str, samples: Values, made: Provenance | None) -> File:
    """Describes a file that has samples, for a manifest."""
    first = 0 if made is None else made.samples.start
    completion = 0 if made is None or made.completion is None else made.completion
    not_finite = int((~finite_rows(samples)).sum())
    return File(path.name, first, len(samples), sha256, path.stat().st_size, not_finite, completion)


def _content(samples: Values, suffix: str, space: SampleSpace) -> bytes:
    if suffix == ".safetensors":
        return weights_file.serialise(_arrays(samples))
    if suffix in (".npz", ".npy"):
        memory = io.BytesIO()
        arrays = {name: _plain(tensor).numpy() for name, tensor in _arrays(samples).items()}
        if suffix == ".npy":
            np.save(memory, arrays["samples"], allow_pickle=False)
        elif "lengths" in arrays:
            np.savez(memory, samples=arrays["samples"], lengths=arrays["lengths"])
        else:
            np.savez(memory, samples=arrays["samples"])
        return memory.getvalue()
    if suffix == ".csv":
        memory_text = io.StringIO()
        csv.writer(memory_text, lineterminator="\n").writerows(_table(samples, space))
        return memory_text.getvalue().encode()
    if suffix == ".txt" and space.letters is not None:
        return "".join("".join(space.letters[token] for token in row.tolist()) + "\n" for row in samples).encode()
    if suffix == ".txt":
        return "".join(" ".join(map(str, row.flatten().tolist())) + "\n" for row in samples).encode()
    rows = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in _lists(samples, space))
    return ("[\n" + ",\n".join(rows) + "\n]\n").encode()


def _arrays(samples: Values) -> dict[str, Tensor]:
    if isinstance(samples, Ragged):
        return {"samples": samples.padded_with(0).data, "lengths": samples.lengths}
    return {"samples": samples}


def _table(samples: Values, space: SampleSpace) -> Iterator[Iterable[Any]]:
    """Yields the rows of a CSV file, with the header."""
    if space.kind == "tokens":
        yield from (row.flatten().tolist() for row in samples)
        return
    if space.kind == "table":
        yield [column.name for column in space.columns]
        for row in _numbers(_tensor(samples)):
            yield [_cell(column, value) for column, value in zip(space.columns, row, strict=True)]
        return
    if space.kind != "sequence":
        yield [f"x{i}" for i in range(math.prod(space.sizes))]
        yield from _numbers(_tensor(samples).flatten(1))
        return
    axis = (space.open_axis or 1) - 1
    yield ["sample", "step", *(f"x{i}" for i in range(math.prod(s or 1 for s in _without(space.shape, axis))))]
    for i, row in enumerate(samples):
        steps = _numbers(row.movedim(axis, 0)[..., None].flatten(1))
        yield from ([i, step, *values] for step, values in enumerate(steps))


def _lists(samples: Values, space: SampleSpace) -> Iterator[Any]:
    """Yields each sample as a JSON value."""
    for row in map(_finite, _numbers(samples) if isinstance(samples, Tensor) else map(_numbers, samples)):
        if space.kind == "table":
            yield {
                c.name: value if value is None else _cell(c, value) for c, value in zip(space.columns, row, strict=True)
            }
        else:
            yield row


def _finite(values: Any) -> Any:
    """Replaces numbers that are not finite by ``None`` in nested lists."""
    if isinstance(values, list):
        return [_finite(value) for value in values]
    return values if math.isfinite(values) else None


def _tensor(samples: Values) -> Tensor:
    """Returns the samples as a tensor, for kinds whose samples have one length."""
    assert isinstance(samples, Tensor)
    return samples


def _numbers(values: Tensor) -> Any:
    """Returns the numbers as nested lists, with the fewest digits that identify each number of the tensor's type."""
    if not values.is_floating_point():
        return values.tolist()
    return _plain(values).numpy().astype(str).astype(np.float64).tolist()


def _cell(column: Column, value: float) -> Any:
    """Converts a value of a table to the type of its column; a value that has no equivalent there stays a number."""
    if column.type == "date":
        return column.text(value)
    if math.isnan(value):
        return ""
    if column.type == "number" or not float(value).is_integer():
        return value
    return column.categories[int(value)] if 0 <= value < len(column.categories) else int(value)


def _without(shape: Sequence[int | None], axis: int) -> list[int | None]:
    return [size for i, size in enumerate(shape) if i != axis]


def _plain(values: Tensor) -> Tensor:
    """Converts numbers to a type that NumPy has."""
    return values.float() if values.dtype == torch.bfloat16 else values


def _wave(sample: Tensor, space: SampleSpace) -> bytes:
    """Writes a recording ``(channels, time)`` as 16-bit PCM; full scale is −1 … 1, or 0 … 1 in a space with bounds."""
    assert space.rate is not None
    values = sample.double() * 2 - 1 if space.low is not None else sample.double()
    levels = (values.nan_to_num(0.0).clamp(-1, 1) * 32767).round().short()
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(len(sample))
        file.setsampwidth(2)
        file.setframerate(space.rate)
        file.writeframes(levels.T.contiguous().numpy().astype("<i2").tobytes())
    return memory.getvalue()
