"""Colours, panels with axes, and writing, which all pictures share."""

from __future__ import annotations

import colorsys
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from zoo_core.files.notes import write_noted

__all__ = ["AXIS", "FINE", "INK", "PAPER", "Colour", "Panel", "Picture", "hue", "reach", "write_picture"]

Picture: TypeAlias = Image.Image
Colour: TypeAlias = tuple[int, int, int]
INK: Colour = (31, 78, 140)
PAPER: Colour = (255, 255, 255)
AXIS: Colour = (225, 225, 225)
FINE = 3
"""Factor by which pictures are drawn larger and then reduced, so that dots and lines are smooth."""


@dataclass(frozen=True)
class Panel:
    """A rectangle of a drawing with axes of its own.

    Attributes:
        draw: Pillow drawing object of the whole picture.
        box: left, top, right and bottom edge in the picture, in pixels.
        across: values at the left and the right edge.
        up: values at the bottom and the top edge.
    """

    draw: ImageDraw.ImageDraw
    box: tuple[float, float, float, float]
    across: tuple[float, float]
    up: tuple[float, float]

    def places(self, x: Tensor, y: Tensor) -> list[tuple[float, float]]:
        """Converts values ``(n,)`` and ``(n,)`` to places in the picture, in pixels."""
        left, top, right, bottom = self.box
        (first, last), (low, high) = self.across, self.up
        px = left + (x.double() - first) * ((right - left) / (last - first))
        py = bottom - (y.double() - low) * ((bottom - top) / (high - low))
        return list(zip(px.tolist(), py.tolist(), strict=True))

    def dots(self, x: Tensor, y: Tensor, radius: float, colour: Colour = INK) -> None:
        """Draws a dot at each place."""
        for px, py in self.places(x, y):
            self.draw.ellipse((px - radius, py - radius, px + radius, py + radius), fill=colour)

    def line(self, x: Tensor, y: Tensor, width: int, colour: Colour = INK) -> None:
        """Draws a line from place to place."""
        self.draw.line(self.places(x, y), fill=colour, width=width, joint="curve")

    def bars(self, counts: Tensor, colour: Colour = INK) -> None:
        """Draws a histogram that fills the panel, ``(bins,)``."""
        left, top, right, bottom = self.box
        step, unit = (right - left) / len(counts), (bottom - top) / max(float(counts.max()), 1.0)
        for i, count in enumerate(counts.tolist()):
            edge = left + (i + 1) * step
            self.draw.rectangle((left + i * step, bottom - count * unit, edge - 1, bottom), fill=colour)

    def frame(self, width: int) -> None:
        """Draws the edges."""
        self.draw.rectangle(self.box, outline=AXIS, width=width)


def reach(x: Tensor, slack: float = 0.05) -> tuple[float, float]:
    """Finds an interval that holds all finite values with some room on either side; never an empty one."""
    finite = x.double().flatten()
    finite = finite[torch.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    room = (high - low) * slack if high > low else max(abs(high), 1.0) * slack
    return low - room, high + room


def hue(number: int) -> Colour:
    """Returns the colour of a number: turns by the golden ratio, so that near numbers get different hues."""
    around = (0.58 + number * 0.61803398875) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(around, (0.75, 0.5)[number // 8 % 2], (0.75, 0.95)[number // 4 % 2])
    return round(255 * red), round(255 * green), round(255 * blue)


def write_picture(picture: Picture, path: Path, note: str = "") -> str:
    """Writes a picture in the format of the file's suffix, whole or not at all; returns the hash of the file.

    Args:
        picture: picture to write.
        path: path of the file.
        note: text that says how it was made (:mod:`zoo_core.files.notes`).
    """
    form = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(path.suffix.lower(), "PNG")
    options = {"lossless": True} if form == "WEBP" else {}
    memory = io.BytesIO()
    picture.save(memory, format=form, **options)
    return write_noted(path, memory.getvalue(), note)
