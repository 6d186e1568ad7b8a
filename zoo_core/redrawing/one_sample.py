"""Compares a sample that was drawn by itself with the one that a file has among others."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from zoo_core.files.formats import PICTURES, is_one_picture
from zoo_core.interfaces import SampleSpace, Values
from zoo_core.pictures.images import cell, to_picture
from zoo_core.redrawing.differences import (
    Difference,
    between_cells,
    between_pictures,
    between_samples,
    cells,
    samples_in,
)
from zoo_core.saving.provenance import Provenance
from zoo_core.saving.samples import save_one

__all__ = ["with_one_sample"]


def with_one_sample(place: Path, made: Provenance, index: int, x: Values, space: SampleSpace) -> Difference | None:
    """Compares one sample with the one in a file; ``None`` where the file does not show it by itself."""
    if made.shows != "samples":
        return None
    suffix, at = place.suffix.lower(), index - made.samples.start
    if suffix in (".csv", ".json", ".txt"):
        if space.kind == "sequence" and suffix == ".csv":  # a row is a step of a sample
            return None
        header = 1 if suffix == ".csv" and space.kind != "tokens" else 0
        with TemporaryDirectory() as scratch:
            alone = save_one(next(iter(x)), Path(scratch) / f"x{suffix}", space)
            rows, mine = cells(place), cells(Path(scratch) / alone.file)
        return between_cells(None if rows is None else rows[header + at : header + at + 1], (mine or [])[header:])
    if suffix not in PICTURES:
        samples = samples_in(place, space)
        return None if samples is None else between_samples(samples[at : at + 1], x)
    if not is_one_picture(space) or made.index not in (None, index):
        return None
    try:
        with Image.open(place, formats=("PNG", "JPEG", "WEBP")) as picture:
            drawn = to_picture(next(iter(x)))
            there = picture.copy() if made.index == index else cell(picture, drawn.size, made.n, at)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return None if there is None else between_pictures(there, drawn)
