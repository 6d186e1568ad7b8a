"""Reads folders of recordings (``.wav``, ``.flac``, ``.ogg``) and texts (``.txt``), whose examples have any length."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import IO, Any

import torch
from torch import Tensor

from zoo_core.datasets.sources.found import Found, Notes
from zoo_core.datasets.sources.tree import Tree
from zoo_core.errors import DataError, PluginError
from zoo_core.interfaces import Ragged, SampleSpace

__all__ = ["SOUNDS", "TEXTS", "find_recordings", "find_texts"]

SOUNDS = (".wav", ".flac", ".ogg")
TEXTS = (".txt",)


def find_recordings(tree: Tree, names: Sequence[str]) -> Found:
    """Reads recordings of one rate and number of channels; sub-folders are the speakers or classes.

    Raises:
        DataError: a recording cannot be read, or differs in rate or channels.
        PluginError: soundfile is not installed.
    """
    try:
        import soundfile
    except ImportError as err:
        raise PluginError("recordings are read by soundfile; pip install 'zoo-core[audio]'") from err
    rows: list[Tensor] = []
    first: tuple[int, int] | None = None
    for name in names:
        try:
            with tree.open(name) as file:
                values, rate = soundfile.read(io.BytesIO(file.read()), dtype="float32", always_2d=True)
        except (RuntimeError, OSError, ValueError) as err:
            raise DataError(
                f"{tree.path(name)} cannot be read as a recording ({str(err)[:80]}); mend it or take it out"
            ) from err
        if not len(values):
            raise DataError(f"{tree.path(name)} has no sound; take it out")
        first = first or (rate, values.shape[1])
        if (rate, values.shape[1]) != first:
            raise DataError(
                f"{tree.path(name)} has {values.shape[1]} channels at {rate} Hz, others {first[1]} at {first[0]} Hz; "
                "convert them to one rate and number of channels"
            )
        rows.append(torch.from_numpy(values.T.copy()))
    assert first is not None
    rate, channels = first
    columns, words = _folders(names)
    reader: dict[str, Any] = {"kind": "audio", "rate": rate, "channels": channels}
    if words:
        reader["labels"] = list(words["label"])
    seconds = sum(row.shape[1] for row in rows) / rate
    notes = Notes()
    lengths = [row.shape[1] / rate for row in rows]
    notes.add(f"{seconds:.1f} seconds of sound, {min(lengths):.2f} … {max(lengths):.2f} each")
    space = SampleSpace("audio", (channels, None), rate=rate)
    return Found("audio", reader, Ragged.of(rows, 2), columns, words, None, space, notes.lines)


def find_texts(file: IO[bytes], path: str) -> Found:
    """Reads the lines of a text as tokens, one for each character that occurs.

    Raises:
        DataError: the file is no text, or empty.
    """
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise DataError(f"{path} is not UTF-8 text (byte {err.start}); save it as UTF-8") from err
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{path} has no line of text; expected an example on each line")
    symbols = sorted(set("".join(lines)))
    numbers = {symbol: i for i, symbol in enumerate(symbols)}
    rows = [torch.tensor([numbers[symbol] for symbol in line]) for line in lines]
    reader = {"kind": "tokens", "symbols": "".join(symbols)}
    notes = Notes()
    notes.add(f"every line is an example, every one of {len(symbols)} characters a token")
    space = SampleSpace("tokens", (None,), vocabulary=len(symbols))
    return Found("tokens", reader, Ragged.of(rows), space=space, notes=notes.lines)


def _folders(names: Sequence[str]) -> tuple[dict[str, Tensor], dict[str, tuple[str, ...]]]:
    """Returns labels from sub-folders, if there are at least two."""
    parts = [PurePosixPath(name).parts for name in names]
    if any(len(part) < 2 for part in parts) or len({part[-2] for part in parts}) < 2:
        return {}, {}
    known = sorted({part[-2] for part in parts})
    return {"label": torch.tensor([known.index(part[-2]) for part in parts])}, {"label": tuple(known)}
