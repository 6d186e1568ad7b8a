"""Trajectories of sampling, as an animated film or as a strip of frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from zoo_core.errors import IncompatibleError
from zoo_core.files.folders import write_whole
from zoo_core.files.formats import PICTURES, has_picture
from zoo_core.interfaces import SampleSpace
from zoo_core.pictures.canvas import PAPER, Picture, write_picture

__all__ = ["check_trajectory", "film", "save_trajectory", "strip"]


def film(frames: Sequence[Picture], path: Path, ms: int = 80) -> None:
    """Writes an animated GIF that rests on its last frame for a second."""
    durations = [ms] * (len(frames) - 1) + [1000]
    write_whole(
        path,
        lambda to: frames[0].save(
            to, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0
        ),
    )


def strip(frames: Sequence[Picture], count: int = 8) -> Picture:
    """Sets ``count`` equally spaced frames side by side, including the first and the last."""
    count = min(count, len(frames))
    chosen = [frames[round(i * (len(frames) - 1) / max(count - 1, 1))] for i in range(count)]
    gap = 8
    sheet = Image.new("RGB", (sum(f.width for f in chosen) + gap * (count - 1), max(f.height for f in chosen)), PAPER)
    left = 0
    for frame in chosen:
        sheet.paste(frame, (left, 0))
        left += frame.width + gap
    return sheet


def check_trajectory(target: str, space: SampleSpace | None = None) -> None:
    """Refuses a trajectory that cannot be drawn or written, before any sampling.

    Args:
        target: path of the file, ``film.gif`` or ``strip.png``.
        space: sample space; ``None`` before the model is known.

    Raises:
        IncompatibleError: the suffix is neither, the folder does not exist, or such samples have no picture.
    """
    if Path(target).suffix.lower() not in (".gif", *PICTURES):
        raise IncompatibleError(f"cannot write a trajectory to {target!r}; use film.gif or strip.png")
    if not (parent := Path(target).resolve().parent).is_dir():
        raise IncompatibleError(f"there is no folder {parent} for {target!r}; make it first")
    if space is not None and not has_picture(space):
        raise IncompatibleError(f"there is no picture of {space.words()}, so no trajectory; leave {target!r} out")


def save_trajectory(frames: Sequence[Picture], target: str) -> None:
    """Writes a film (``.gif``) or a strip (``.png``).

    Raises:
        IncompatibleError: the sampler showed no steps.
    """
    if not frames:
        raise IncompatibleError("this sampler draws in a single step; there is no trajectory to show")
    if Path(target).suffix.lower() == ".gif":
        film(frames, Path(target))
    else:
        write_picture(strip(frames), Path(target))
