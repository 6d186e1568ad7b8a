"""Defines the file formats for each kind of samples, and the default file names.  Imports no torch."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_core.errors import IncompatibleError

if TYPE_CHECKING:
    from zoo_core.interfaces import SampleSpace

__all__ = [
    "FORMATS",
    "KINDS",
    "PICTURES",
    "advised_target",
    "check_source",
    "check_target",
    "default_target",
    "file_stem",
    "has_picture",
    "is_folder",
    "is_one_picture",
    "kinds_with",
    "readable",
    "writable",
]

PICTURES = (".png", ".jpg", ".jpeg", ".webp")

FORMATS = {
    ".png": "picture of all samples; the same for .jpg, .jpeg and .webp",
    ".csv": "table: points and tables have one row per sample, with a header; sequences have one row per time step, "
    "with the number of the sample and of the step; tokens have one row per sample, without a header",
    ".json": "list of samples, each a list of numbers, or an object for a row of a table; null is a number that is not "
    "finite",
    ".txt": "one sample of tokens per line, numbers, or the characters of a model of your own text",
    ".wav": "one recording, 16-bit PCM",
    ".npz": "NumPy array `samples`; for samples of different lengths, padded with zeros, also `lengths`",
    ".npy": "one NumPy array, for samples of a fixed shape",
    ".safetensors": "tensors with the names and values of the arrays of .npz",
}
"""Contents of each format, by suffix."""

_OF_KIND = {
    "image": (".json",),
    "points": (".csv", ".json"),
    "sequence": (".csv", ".json"),
    "tokens": (".csv", ".json", ".txt"),
    "audio": (".wav", ".json"),
    "table": (".csv", ".json"),
}
"""Formats of each kind of samples, besides arrays and pictures."""

KINDS = tuple(_OF_KIND)
"""Kinds of samples."""

_ADVISED = {"audio": ".wav", "table": ".csv"}
"""Default formats of the kinds whose default is not a picture."""


def writable(space: SampleSpace) -> tuple[str, ...]:
    """Lists the suffixes of the files that can hold samples of a space."""
    pictures = PICTURES if has_picture(space) else ()
    arrays = (".npz", ".safetensors") if space.open_axis else (".npz", ".npy", ".safetensors")
    return (*pictures, *_OF_KIND[space.kind], *arrays)


def readable(space: SampleSpace) -> tuple[str, ...]:
    """Lists the suffixes of the files that samples of a space can be read from."""
    return tuple(s for s in writable(space) if s not in PICTURES or is_one_picture(space))


def kinds_with(suffix: str) -> tuple[str, ...]:
    """Lists the kinds of samples that files of a suffix can hold; ``.npy`` holds them only if their shape is fixed."""
    everywhere = (*PICTURES, ".npz", ".npy", ".safetensors")
    return tuple(kind for kind in KINDS if suffix in everywhere or suffix in _OF_KIND[kind])


def has_picture(space: SampleSpace) -> bool:
    """Says whether such samples can be drawn: all but tables without a column of numbers."""
    return space.kind != "table" or any(column.type != "category" for column in space.columns)


def is_one_picture(space: SampleSpace) -> bool:
    """Says whether one sample is a picture, pixel by pixel: a grey or an RGB image."""
    return space.kind == "image" and space.shape[0] in (1, 3)


def default_target(kind: str, stem: str, count: int) -> str:
    """Returns the default file or folder for ``count`` samples.

    Args:
        kind: kind of the sample space.
        stem: file name without a suffix.
        count: number of samples.
    """
    if kind == "audio" and count > 1:
        return f"{stem}/"
    return f"{stem}{_ADVISED.get(kind, '.png')}"


def advised_target(facts: Collection[str], stem: str = "samples", count: int = 64) -> str:
    """Returns the default file for the samples of a model, by the model's facts, for a hint or a model card."""
    return default_target(next((kind for kind in KINDS if kind in facts), "image"), stem, count)


def file_stem(reference: str) -> str:
    """Makes a file name without a suffix of a reference to a model: ``hf:org/name`` or ``./runs/moons/model``."""
    last = reference.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^\w.@-]+", "-", last).strip(".-") or "samples"


def is_folder(target: str) -> bool:
    """Says whether a target is a folder: it ends in a slash, or is an existing folder."""
    return target.endswith(("/", os.sep)) or Path(target).is_dir()


def check_target(target: str, space: SampleSpace | None = None, count: int = 1) -> None:
    """Checks, before any work, that samples can be written to a target.

    Args:
        target: file or folder, ``samples.png``, ``samples.csv``, ``folder/`` …
        space: sample space of the samples; ``None`` before the model is known, when only targets that no samples can be
            written to are refused.
        count: number of samples.

    Raises:
        IncompatibleError: the target cannot hold such samples, or its parent folder does not exist.
    """
    parent = Path(target).resolve().parent
    if not parent.is_dir():
        raise IncompatibleError(f"there is no folder {parent} for {target!r}; make it first")
    if is_folder(target):
        if not Path(target).is_dir() and Path(target).exists():
            raise IncompatibleError(f"cannot make the folder {target!r}: a file of that name is there; choose another")
        if space is not None and space.kind == "image" and not is_one_picture(space):
            raise IncompatibleError(
                f"cannot write {space.words()} to a folder of pictures, which have 1 or 3 channels; use .npz"
            )
        return
    suffix = Path(target).suffix.lower()
    fitting = (*PICTURES, *FORMATS) if space is None else writable(space)
    if suffix not in fitting:
        known = ", ".join(dict.fromkeys(fitting))
        if suffix == ".npy" and space is not None:
            raise IncompatibleError(
                f"cannot write {space.words()} to {target!r}: a .npy file holds rows of one length; use .npz"
            )
        what = "samples" if space is None else space.words()
        raise IncompatibleError(f"cannot write {what} to {target!r}; use {known}, or a folder that ends in /")
    if suffix == ".wav" and count > 1:
        raise IncompatibleError(
            f"cannot write {count} recordings to {target!r}, which holds one; use a folder: {Path(target).stem}/"
        )


def check_source(source: str, space: SampleSpace | None = None) -> None:
    """Checks, by its name, that samples can be read from a file.

    Args:
        source: path of the file.
        space: sample space of the samples; ``None`` before the model is known, when only files that no samples can be
            read from are refused.

    Raises:
        IncompatibleError: the file does not exist, or samples of this kind cannot be read from such files.
    """
    what = "samples" if space is None else space.words()
    known = (*PICTURES, *FORMATS) if space is None else readable(space)
    if not Path(source).is_file():
        raise IncompatibleError(f"there is no file {source!r}; expected a file of {what}")
    if Path(source).suffix.lower() not in known:
        raise IncompatibleError(f"cannot read {what} from {source!r}; use {', '.join(dict.fromkeys(known))}")
