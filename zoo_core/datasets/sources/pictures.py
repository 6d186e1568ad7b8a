"""Reads a folder or archive of pictures as images of one shape, with labels from sub-folders or ``metadata.csv``."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, ImageSequence
from torch import Tensor

from zoo_core.datasets.sources.found import Found, Notes
from zoo_core.datasets.sources.tree import Files
from zoo_core.errors import DataError

__all__ = ["SUFFIXES", "Pictures", "find_pictures"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
LARGEST = 128
"""Side, in pixels, above which pictures are made smaller unless the user says a size."""
SMALLER = 64
KEPT = 256 * 2**20
"""Size in bytes up to which decoded pictures are kept in memory."""
SPLITS = {"train": "train", "training": "train", "test": "test", "val": "test", "valid": "test", "validation": "test"}
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, TypeError, Image.DecompressionBombError)


def find_pictures(tree: Files, names: Sequence[str], size: tuple[int, int] | None = None) -> Found:
    """Says what the pictures of a tree are, and how they are read.

    Args:
        tree: folder or archive.
        names: names of its pictures, at least one.
        size: height and width to bring all pictures to, in pixels; chosen from the pictures unless given.

    Raises:
        DataError: a picture cannot be read.
    """
    notes = Notes()
    sizes: Counter[tuple[int, int]] = Counter()
    colour = False
    for name in names:
        height, width, coloured = _header(tree, name, notes)
        sizes[(height, width)] += 1
        colour = colour or coloured
    shape, fit = size or next(iter(sizes)), "none"
    if size is None and (len(sizes) > 1 or max(shape) > LARGEST):
        shape = _common(sizes)
    if any(found != shape for found in sizes):
        fit = "crop"
        several = f"{len(sizes)} sizes, " if len(sizes) > 1 else ""
        (low, high) = min(sizes), max(sizes)
        notes.add(
            f"the pictures have {several}{low[1]}×{low[0]} … {high[1]}×{high[0]} pixels; each is cut in the middle and "
            f"resized to {shape[1]}×{shape[0]} (--size WIDTHxHEIGHT for another)"
            if len(sizes) > 1
            else f"the pictures have {low[1]}×{low[0]} pixels; each is resized to {shape[1]}×{shape[0]} (--size "
            "WIDTHxHEIGHT for another)"
        )
    labels, which, splits = _labels(tree, names, notes)
    reader: dict[str, Any] = {"kind": "image", "channels": 3 if colour else 1, "height": shape[0], "width": shape[1]}
    if fit != "none":
        reader["fit"] = fit
    if labels:
        reader["labels"] = list(labels)
    made = Pictures(tree, names, reader)
    columns = {"label": torch.tensor(which)} if labels else {}
    x: Any = made
    if len(names) * made.bytes <= KEPT:
        x = made[torch.arange(len(names))]
    return Found(
        "image", reader, x, columns, {"label": tuple(labels)} if labels else {}, 256, None, notes.lines, splits
    )


class Pictures:
    """The pictures of a tree, decoded when they are asked for.

    Args:
        tree: folder or archive.
        names: names of the pictures, in the order of their row numbers.
        reader: shape of an example (``channels``, ``height``, ``width``), and ``fit``.
    """

    def __init__(self, tree: Files, names: Sequence[str], reader: Mapping[str, Any]) -> None:
        self.tree, self.names = tree, names
        self.mode = "L" if reader["channels"] == 1 else "RGB"
        self.channels, self.size = int(reader["channels"]), (int(reader["height"]), int(reader["width"]))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def bytes(self) -> int:
        """The size of one decoded picture."""
        return self.channels * self.size[0] * self.size[1]

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Decodes some pictures, uint8 ``(k, channels, height, width)``."""
        out = torch.empty((len(rows), self.channels, *self.size), dtype=torch.uint8)
        for place, row in enumerate(rows.tolist()):
            out[place] = self._decoded(self.names[row])
        return out

    def _decoded(self, name: str) -> Tensor:
        try:
            with self.tree.open(name) as file, Image.open(file) as image:
                picture = eight_bits(ImageOps.exif_transpose(image)).convert(self.mode)
        except _DAMAGE as err:
            raise _damaged(self.tree, name, err) from err
        height, width = self.size
        if picture.size != (width, height):
            picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
        pixels = np.asarray(picture, np.uint8).reshape(height, width, self.channels)
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def eight_bits(image: Image.Image) -> Image.Image:
    """Converts a picture of any mode to 8 bits a channel, without transparency, which becomes white."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float64)
        most = (
            1.0
            if image.mode == "F" and values.max(initial=0.0) <= 1.0
            else 65535.0
            if values.max(initial=0) > 255
            else 255.0
        )
        return Image.fromarray((values.clip(0, most) * (255.0 / most)).round().astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        under = Image.new("RGBA", over.size, (255, 255, 255, 255))
        return Image.alpha_composite(under, over).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB" if image.mode != "1" else "L")


def _header(tree: Files, name: str, notes: Notes) -> tuple[int, int, bool]:
    """Returns height and width after turning, and whether the picture has colours."""
    try:
        with tree.open(name) as file, Image.open(file) as image:
            width, height = image.size
            if image.getexif().get(0x0112, 1) in (5, 6, 7, 8):
                width, height = height, width
                notes.count("are turned as their EXIF data say")
            if getattr(image, "n_frames", 1) > 1:
                notes.count("are animated; the first frame of each is read")
            if image.mode == "CMYK":
                notes.count("have CMYK colours, which are converted to RGB")
            if image.mode.startswith(("I", "F")):
                notes.count("have more than 8 bits a channel, and are read with 8")
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                notes.count("have transparent pixels, which become white")
            if image.mode in ("L", "LA", "1") or image.mode.startswith(("I", "F")):
                return height, width, False
            small = eight_bits(next(iter(ImageSequence.Iterator(image))).copy()).convert("RGB")
            small.thumbnail((64, 64))
            pixels = np.asarray(small, np.int16)
            return height, width, bool(np.ptp(pixels, axis=2).max() > 12)
    except _DAMAGE as err:
        raise _damaged(tree, name, err) from err


def _damaged(tree: Files, name: str, err: Exception) -> DataError:
    reason = " ".join(str(err).split())[:120] or type(err).__name__
    return DataError(f"{tree.path(name)} cannot be read as a picture ({reason}); mend it or take it out")


def _common(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """Chooses one size for pictures of several sizes: the most common one if most have it, else a square."""
    (common, times) = sizes.most_common(1)[0]
    if times >= 0.9 * sizes.total() and max(common) <= LARGEST:
        return common
    if len(sizes) == 1:  # one size, too large: the longer side becomes SMALLER
        scale = SMALLER / max(common)
        return max(1, round(common[0] * scale)), max(1, round(common[1] * scale))
    shortest = sorted(min(size) for size in sizes.elements())[sizes.total() // 2]
    side = SMALLER if shortest >= SMALLER else max(4, shortest // 4 * 4)
    return side, side


def _labels(
    tree: Files, names: Sequence[str], notes: Notes
) -> tuple[Sequence[str], list[int], tuple[list[int], list[int]] | None]:
    """Returns the names of the labels, the label of each picture, and the rows of a split that folders make."""
    parts = [PurePosixPath(name).parts for name in names]
    splits = None
    tops = {part[0].lower() for part in parts if len(part) > 1}
    if all(len(part) > 1 for part in parts) and {SPLITS.get(top) for top in tops} == {"train", "test"}:
        sides = [SPLITS[part[0].lower()] for part in parts]
        splits = ([i for i, s in enumerate(sides) if s == "train"], [i for i, s in enumerate(sides) if s == "test"])
        parts = [part[1:] for part in parts]
    written = _metadata(tree, names, notes)
    found = written or [part[-2] if len(part) > 1 else "" for part in parts]
    known = sorted(set(found))
    if len(known) < 2 or "" in known:
        if len(known) > 1 and not written:
            notes.add("some pictures lie beside the sub-folders, so the sub-folders are not read as labels")
        return (), [], splits
    numbers = {name: i for i, name in enumerate(known)}
    return known, [numbers[name] for name in found], splits


def _metadata(tree: Files, names: Sequence[str], notes: Notes) -> list[str] | None:
    """Reads the labels of ``metadata.csv``, whose column ``file_name`` names the pictures."""
    if "metadata.csv" not in tree.names:
        return None
    where = tree.path("metadata.csv")
    with tree.open("metadata.csv") as file:
        rows = list(csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"), newline="")))
    columns = list(rows[0]) if rows else []
    if "file_name" not in columns or len(columns) < 2:
        raise DataError(f"{where} has the columns {', '.join(columns) or 'none'}; expected file_name and a label")
    label = "label" if "label" in columns else next(name for name in columns if name != "file_name")
    by_name = {row["file_name"]: row[label] or "" for row in rows}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise DataError(f"{where} has no row for {missing[0]}; give every picture a row, or remove the file")
    notes.add(f"labels are the column {label!r} of metadata.csv")
    return [by_name[name] for name in names]
