"""Pictures of samples in time (tokens, sequences, recordings), which show where each sample ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from zoo_core.pictures.canvas import AXIS, FINE, INK, PAPER, Panel, Picture, hue, reach

__all__ = ["lines", "raster", "waveforms"]

END = (20, 20, 20)
LONGEST_ROW = 8192
"""Greatest number of tokens of a row that are drawn; a longer row reaches the edge and has no end mark."""

FEATURES = 8
"""Greatest number of features of a sequence that are drawn."""


def raster(rows: Sequence[Tensor], size: int = 768) -> Picture:
    """Draws each sample of tokens as a row, a colour for each token, and a black bar where it ends.

    Args:
        rows: tokens of each sample, ``(length,)``.
        size: width to come close to, in pixels.
    """
    longest = max(1, *(min(len(row), LONGEST_ROW) for row in rows))
    cell = min(max(1, round(size / longest)), 16)
    height, gap, bar = min(max(cell, 6), 16), 2, 3
    sheet = np.full((len(rows) * (height + gap) + gap, longest * cell + 2 * gap + bar, 3), PAPER, np.uint8)
    for i, row in enumerate(rows):
        top = gap + i * (height + gap)
        tokens = row[:LONGEST_ROW].long()
        kinds, where = torch.unique(tokens, return_inverse=True)
        if len(tokens):
            colours = np.array([hue(int(kind)) for kind in kinds], np.uint8)[where.numpy()]
            sheet[top : top + height, gap : gap + len(tokens) * cell] = colours.repeat(cell, axis=0)
        if len(row) <= LONGEST_ROW:
            end = gap + len(tokens) * cell
            sheet[top : top + height, end : end + bar] = END
    return Image.fromarray(sheet)


def lines(rows: Sequence[Tensor], size: int = 768) -> Picture:
    """Draws each sequence in a panel: a line for each feature, a dot where it ends; all panels have the same axes.

    Args:
        rows: values of each sample, ``(length, features)``; the first eight features are drawn.
        size: width in pixels.
    """
    columns = math.ceil(math.sqrt(len(rows)))
    wide = size * FINE / columns
    high, gap = wide * 0.6, 3 * FINE
    picture = Image.new("RGB", (size * FINE, round(math.ceil(len(rows) / columns) * high)), PAPER)
    draw = ImageDraw.Draw(picture)
    up = reach(torch.cat([row[:, :FEATURES].flatten() for row in rows]))
    across = (-0.5, max(len(row) for row in rows) - 0.5)
    across = across if across[1] > across[0] else (-0.5, 0.5)
    for i, row in enumerate(rows):
        left, top = i % columns * wide, i // columns * high
        panel = Panel(draw, (left + gap, top + gap, left + wide - gap, top + high - gap), across, up)
        panel.frame(FINE)
        for feature in range(min(row.shape[1], FEATURES)):
            y = row[:, feature]
            known = torch.isfinite(y)
            at, y = torch.arange(len(y))[known], y[known]
            colour = INK if row.shape[1] == 1 else hue(feature)
            panel.line(at, y, FINE, colour)
            panel.dots(at[-1:], y[-1:], 2.5 * FINE, colour)
    return picture.resize((size, round(picture.height / FINE)), Image.Resampling.LANCZOS)


def waveforms(rows: Sequence[Tensor], up: tuple[float, float], size: int = 768) -> Picture:
    """Draws each recording as a strip, a line for each channel; the axis stops where it ends.

    Args:
        rows: values of each sample, ``(channels, length)``.
        up: values at the bottom and the top of a channel's strip.
        size: width in pixels.
    """
    channels, strip, gap = rows[0].shape[0], 48, 4
    across = (0.0, max(2.0, *(float(row.shape[1]) for row in rows)) - 1.0)
    picture = Image.new("RGB", (size, len(rows) * channels * strip + (len(rows) - 1) * gap), PAPER)
    draw = ImageDraw.Draw(picture)
    for i, row in enumerate(rows):
        for channel, y in enumerate(row):
            top = i * (channels * strip + gap) + channel * strip
            panel = Panel(draw, (0, top + 2, size - 3, top + strip - 2), across, up)
            if not len(y):
                continue
            middle, end = torch.full((2,), sum(up) / 2), torch.tensor([len(y) - 1.0] * 2)
            panel.line(torch.tensor([0.0, len(y) - 1.0]), middle, 1, AXIS)
            panel.line(*_outline(y.clamp(*up).nan_to_num(sum(up) / 2), size, across[1]), 1)
            panel.line(end, torch.tensor(up), 2, END)
    return picture


def _outline(y: Tensor, size: int, last: float) -> tuple[Tensor, Tensor]:
    """Returns the least and the greatest value at each pixel across; with few values, the values themselves."""
    x = torch.arange(len(y), dtype=torch.float64)
    if last < 2 * size:
        return x, y
    pixel = (x * (size / (last + 1))).long()
    bins = int(pixel[-1]) + 1
    low, high = (torch.zeros(bins, dtype=y.dtype).scatter_reduce(0, pixel, y, kind, include_self=False)
                 for kind in ("amin", "amax"))  # fmt: skip
    at = torch.arange(bins, dtype=torch.float64) * ((last + 1) / size)
    return at.repeat_interleave(2), torch.stack([low, high], dim=1).flatten()
