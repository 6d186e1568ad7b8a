"""Grids of images."""

from __future__ import annotations

import math

import torch
from PIL import Image
from torch import Tensor

from zoo_core.pictures.canvas import Picture

__all__ = ["cell", "grid", "tiles", "to_picture"]

GAP_LEVEL = 0.25
"""Grey level between images, and beyond the end of an image that is smaller than others."""


def grid(images: Tensor, columns: int | None = None, size: int = 512) -> Picture:
    """Sets images in a near-square grid with thin gaps, enlarged by a whole factor.

    Args:
        images: pixels, ``(n, 1 or 3, h, w)`` in [0, 1].
        columns: number of images across; about √n unless given.
        size: width to come close to, in pixels.
    """
    n, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows, gap = math.ceil(n / columns), 1
    sheet = torch.full((channels, rows * (height + gap) - gap, columns * (width + gap) - gap), GAP_LEVEL)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    picture = to_picture(sheet)
    factor = max(1, round(size / picture.width))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def cell(picture: Picture, size: tuple[int, int], count: int, index: int) -> Picture | None:
    """Cuts one image out of a picture that :func:`grid` made; ``None`` if the picture is no such grid.

    Args:
        picture: grid of images.
        size: width and height of an image, in pixels.
        count: number of images in the grid.
        index: number of the image, 0 … count − 1.
    """
    (width, height), gap, columns = size, 1, math.ceil(math.sqrt(count))
    across, down = columns * (width + gap) - gap, math.ceil(count / columns) * (height + gap) - gap
    factor = picture.width // across
    if factor < 1 or picture.size != (across * factor, down * factor):
        return None
    left, top = index % columns * (width + gap) * factor, index // columns * (height + gap) * factor
    box = (left, top, left + width * factor, top + height * factor)
    return picture.crop(box).resize(size, Image.Resampling.NEAREST)


def tiles(images: Tensor, size: int = 512) -> Picture:
    """Sets the channels of each image side by side, in grey: for images that are neither grey nor RGB.

    Args:
        images: pixels, ``(n, c, h, w)`` in [0, 1].
        size: width to come close to, in pixels.
    """
    n, channels, height, width = images.shape
    across = max(1, round(math.sqrt(n * channels) / channels))
    return grid(images.reshape(n * channels, 1, height, width), columns=across * channels, size=size)


def to_picture(image: Tensor) -> Picture:
    """Converts ``(1 or 3, h, w)`` in [0, 1] to 8-bit grey or RGB, rounded to the nearest level."""
    levels = (image.float().clamp(0, 1) * 255).round().to(torch.uint8)
    array = levels[0] if len(levels) == 1 else levels.permute(1, 2, 0)
    return Image.fromarray(array.contiguous().numpy())
