"""Samples as pictures, films and files.  Pillow only: no display, no plotting library."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from zoo_core import weights_file
from zoo_core.errors import IncompatibleError
from zoo_core.folders import write_whole
from zoo_core.interfaces import SampleSpace

__all__ = [
    "check_target",
    "check_trajectory",
    "film",
    "grid",
    "histogram",
    "render",
    "save_samples",
    "save_trajectory",
    "scatter",
    "strip",
]

Picture = Image.Image
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_INK, _PAPER, _AXIS = (31, 78, 140), (255, 255, 255), (225, 225, 225)


def render(samples: Tensor, space: SampleSpace) -> Picture:
    """Draws samples of any kind that can be drawn.

    Args:
        samples: on the user's side, ``(n, *space.shape)``.
        space: where they live.

    Raises:
        IncompatibleError: there is no picture of this kind of sample.
    """
    if space.kind == "image" and samples.shape[1] in (1, 3):
        return grid(samples)
    if space.kind == "points" and samples.shape[1] == 1:
        return histogram(samples)
    if space.kind == "points" and samples.shape[1] == 2:
        return scatter(samples)
    shape = "×".join(map(str, samples.shape[1:]))
    raise IncompatibleError(
        f"there is no picture of {space.kind} of shape {shape}; write them with --out samples.safetensors"
    )


def grid(images: Tensor, columns: int | None = None, size: int = 512) -> Picture:
    """A near-square grid with thin gaps, enlarged by a whole factor.

    Args:
        images: ``(n, 1 or 3, h, w)`` in [0, 1].
        columns: across; about √n unless given.
        size: the width to come close to, in pixels.
    """
    n, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows, gap = math.ceil(n / columns), 1
    sheet = torch.full((channels, rows * (height + gap) - gap, columns * (width + gap) - gap), 0.25)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    picture = _to_picture(sheet)
    factor = max(1, round(size / picture.width))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def scatter(points: Tensor, limits: tuple[float, float, float, float] | None = None, size: int = 512) -> Picture:
    """Dots in the plane, with the axes through the origin.

    Args:
        points: ``(n, 2)``.
        limits: left, right, bottom, top; around the points unless given.
        size: width and height in pixels.
    """
    x = points.double()
    x = x[torch.isfinite(x).all(1)]
    if limits is None:
        low, high = x.amin(0), x.amax(0)
        middle, half = (low + high) / 2, float((high - low).max().clamp_min(1e-9)) * 0.55
        left, right = float(middle[0]) - half, float(middle[0]) + half
        bottom, top = float(middle[1]) - half, float(middle[1]) + half
    else:
        left, right, bottom, top = limits
    fine = 3  # drawn three times as large and reduced: smooth dots
    canvas = Image.new("RGB", (size * fine, size * fine), _PAPER)
    draw = ImageDraw.Draw(canvas)
    across, up = size * fine / (right - left), size * fine / (top - bottom)
    draw.line([(-left * across, 0), (-left * across, size * fine)], fill=_AXIS, width=fine)
    draw.line([(0, top * up), (size * fine, top * up)], fill=_AXIS, width=fine)
    radius = fine * (2.5 if len(x) <= 2000 else 1.2)
    for px, py in zip(((x[:, 0] - left) * across).tolist(), ((top - x[:, 1]) * up).tolist(), strict=True):
        draw.ellipse((px - radius, py - radius, px + radius, py + radius), fill=_INK)
    return canvas.resize((size, size), Image.Resampling.LANCZOS)


def histogram(points: Tensor, bins: int = 64, size: int = 512) -> Picture:
    """A histogram of points on a line, ``(n, 1)``."""
    x = points.double().flatten()
    counts = torch.histc(x, bins=bins)
    picture = Image.new("RGB", (size, size // 2), _PAPER)
    draw = ImageDraw.Draw(picture)
    bar, unit = size / bins, (size // 2 - 4) / max(float(counts.max()), 1.0)
    for i, count in enumerate(counts.tolist()):
        draw.rectangle((i * bar, size // 2 - count * unit, (i + 1) * bar - 1, size // 2), fill=_INK)
    return picture


def film(frames: Sequence[Picture], path: Path, ms: int = 80) -> None:
    """An animated GIF that rests on its last frame for a second."""
    durations = [ms] * (len(frames) - 1) + [1000]
    write_whole(
        path,
        lambda to: frames[0].save(
            to, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0
        ),
    )


def strip(frames: Sequence[Picture], count: int = 8) -> Picture:
    """A few equally spaced frames side by side, the first and the last among them."""
    count = min(count, len(frames))
    chosen = [frames[round(i * (len(frames) - 1) / max(count - 1, 1))] for i in range(count)]
    gap = 8
    sheet = Image.new("RGB", (sum(f.width for f in chosen) + gap * (count - 1), max(f.height for f in chosen)), _PAPER)
    left = 0
    for frame in chosen:
        sheet.paste(frame, (left, 0))
        left += frame.width + gap
    return sheet


def check_target(target: str) -> None:
    """Raises :class:`IncompatibleError`, before any work, where samples cannot be written to ``target``."""
    suffix = Path(target).suffix.lower()
    if not _is_folder(target) and suffix not in (*_PICTURES, ".safetensors"):
        raise IncompatibleError(
            f"cannot write samples to {target!r}; use .png, .safetensors, or a folder that ends in /"
        )
    parent = Path(target).resolve().parent
    if not parent.is_dir():
        raise IncompatibleError(f"there is no folder {parent}; make it first")


def check_trajectory(target: str) -> None:
    """Raises :class:`IncompatibleError` where a trajectory cannot be written to ``target``."""
    if Path(target).suffix.lower() not in (".gif", *_PICTURES):
        raise IncompatibleError(f"cannot write a trajectory to {target!r}; use film.gif or strip.png")


def save_trajectory(frames: Sequence[Picture], target: str) -> None:
    """A film (``.gif``) or a strip (``.png``).

    Raises:
        IncompatibleError: the sampler showed no steps.
    """
    if not frames:
        raise IncompatibleError("this sampler draws in one go; there is no trajectory to show")
    if Path(target).suffix.lower() == ".gif":
        film(frames, Path(target))
    else:
        _write_picture(strip(frames), Path(target))


def save_samples(samples: Tensor, target: str, space: SampleSpace) -> None:
    """Writes samples: a picture, a safetensors file with the tensor ``samples``, or a folder with a file each.

    Args:
        samples: on the user's side, ``(n, *space.shape)``.
        target: ``grid.png``, ``samples.safetensors`` or ``folder/``.
        space: where they live.
    """
    check_target(target)
    if _is_folder(target):
        _save_folder(samples, Path(target), space)
    elif Path(target).suffix.lower() == ".safetensors":
        content = weights_file.serialise({"samples": samples})
        write_whole(Path(target), lambda to: to.write_bytes(content))
    else:
        _write_picture(render(samples, space), Path(target))


def _save_folder(samples: Tensor, folder: Path, space: SampleSpace) -> None:
    """One PNG per image, or one CSV of points."""
    folder.mkdir(exist_ok=True)
    if space.kind == "image":
        for i, image in enumerate(samples):
            _write_picture(_to_picture(image), folder / f"{i:05d}.png")
    else:
        rows = "\n".join(",".join(f"{v:.9g}" for v in row.flatten().tolist()) for row in samples)
        write_whole(folder / f"{space.kind}.csv", lambda to: to.write_text(rows + "\n", encoding="utf-8"))


def _is_folder(target: str) -> bool:
    return target.endswith(("/", os.sep)) or Path(target).is_dir()


def _to_picture(image: Tensor) -> Picture:
    """``(1 or 3, h, w)`` in [0, 1] as 8-bit grey or RGB, rounded to the nearest level."""
    levels = (image.float().clamp(0, 1) * 255).round().to(torch.uint8)
    array = levels[0] if len(levels) == 1 else levels.permute(1, 2, 0)
    return Image.fromarray(array.contiguous().numpy())


def _write_picture(picture: Picture, path: Path) -> None:
    form = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(path.suffix.lower(), "PNG")
    write_whole(path, lambda to: picture.save(to, format=form))
