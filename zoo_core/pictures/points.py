"""Points: on a line, in the plane, and in more dimensions two at a time."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from zoo_core.pictures.canvas import AXIS, FINE, PAPER, Panel, Picture, reach

__all__ = ["histogram", "pairs", "scatter"]

MANY = 2000
"""Number of points from which dots are drawn smaller."""


def scatter(points: Tensor, limits: tuple[float, float, float, float] | None = None, size: int = 512) -> Picture:
    """Draws dots in the plane, and the axes through the origin.

    Args:
        points: places, ``(n, 2)``; those that are not finite are left out.
        limits: left, right, bottom and top edge; a square around the points unless given.
        size: width and height in pixels.
    """
    x = _finite(points)
    if limits is None:
        low, high = (x.amin(0), x.amax(0)) if len(x) else (torch.zeros(2), torch.zeros(2))
        middle, half = (low + high) / 2, float((high - low).max().clamp_min(1e-9)) * 0.55
        left, right = float(middle[0]) - half, float(middle[0]) + half
        bottom, top = float(middle[1]) - half, float(middle[1]) + half
    else:
        left, right, bottom, top = limits
    canvas = Image.new("RGB", (size * FINE, size * FINE), PAPER)
    panel = Panel(ImageDraw.Draw(canvas), (0, 0, size * FINE, size * FINE), (left, right), (bottom, top))
    nought = torch.zeros(2)
    panel.line(nought, torch.tensor([bottom, top]), FINE, AXIS)
    panel.line(torch.tensor([left, right]), nought, FINE, AXIS)
    panel.dots(x[:, 0], x[:, 1], FINE * (2.5 if len(x) <= MANY else 1.2))
    return canvas.resize((size, size), Image.Resampling.LANCZOS)


def histogram(points: Tensor, bins: int = 64, size: int = 512) -> Picture:
    """Draws a histogram of points on a line, ``(n, 1)``; those that are not finite are left out."""
    picture = Image.new("RGB", (size, size // 2), PAPER)
    panel = Panel(ImageDraw.Draw(picture), (0, 4, size, size // 2), (0, 1), (0, 1))
    panel.bars(torch.histc(_finite(points).flatten(), bins=bins))
    return picture


def pairs(points: Tensor, names: Sequence[str], size: int = 640) -> Picture:
    """Draws every coordinate against every other, and a histogram of each on the diagonal.

    Args:
        points: places, ``(n, d)``; those that are not finite are left out.
        names: names of the coordinates.
        size: width and height in pixels.
    """
    x, count = _finite(points), points.shape[1]
    canvas = Image.new("RGB", (size * FINE, size * FINE), PAPER)
    draw = ImageDraw.Draw(canvas)
    side, gap = size * FINE / count, 3 * FINE
    limits = [reach(x[:, i]) for i in range(count)]
    radius = FINE * (1.5 if len(x) <= MANY else 0.7)
    for row in range(count):
        for column in range(row + 1):
            box = (column * side + gap, row * side + gap, (column + 1) * side - gap, (row + 1) * side - gap)
            if row == column:
                low, high = limits[row]
                below_name = (box[0], box[1] + 16 * FINE, *box[2:])
                counts = torch.histc(x[:, row], bins=32, min=low, max=high)
                Panel(draw, below_name, (0, 1), (0, 1)).bars(counts)
            panel = Panel(draw, box, limits[column], limits[row])
            panel.frame(FINE)
            if row != column:
                panel.dots(x[:, column], x[:, row], radius)
    picture = canvas.resize((size, size), Image.Resampling.LANCZOS)
    words = ImageDraw.Draw(picture)
    for i, name in enumerate(names):
        words.text((i * side / FINE + 7, i * side / FINE + 5), _plain(name)[:24], fill=(90, 90, 90))
    return picture


def _plain(name: str) -> str:
    """Reduces a name to ASCII, the letters of Pillow's built-in font: no accents, and ``?`` for other letters."""
    letters = (c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return "".join(letters).encode("ascii", "replace").decode()


def _finite(points: Tensor) -> Tensor:
    x = points.double()
    return x[torch.isfinite(x).all(1)]
