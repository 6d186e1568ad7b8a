"""Trajectories of sampling, as an animated film or as a strip of frames."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from zoo_core.errors import IncompatibleError
from zoo_core.files.formats import PICTURES, has_picture
from zoo_core.files.notes import write_noted
from zoo_core.interfaces import Frame, SampleSpace
from zoo_core.pictures.canvas import PAPER, Picture, write_picture
from zoo_core.pictures.kinds import render

__all__ = ["Recorder", "check_trajectory", "film", "save_trajectory", "strip"]

_FRAMES = 40
"""About the greatest number of steps that are shown."""


class Recorder:
    """Keeps pictures of the first batch while it is sampled: of every step, or of about 40 of them.

    Args:
        space: sample space of the samples.

    Attributes:
        frames: pictures, in the order of the steps.
        count: number of samples that they show, those of the first batch.
    """

    def __init__(self, space: SampleSpace) -> None:
        self.space, self.frames, self.count = space, list[Picture](), 0

    def __call__(self, start: int, frame: Frame) -> None:
        """Observes a step; the argument ``observer`` of :func:`zoo_core.sampling.sample`."""
        stride = max(1, frame.steps // _FRAMES)
        if start == 0 and ((frame.steps - frame.step) % stride == 0 or frame.step == 1):
            self.frames.append(render(self.space.to_user(frame.state).cpu(), self.space.user))
            self.count = len(frame.state)


def film(frames: Sequence[Picture], path: Path, ms: int = 80, note: str = "") -> None:
    """Writes an animated GIF that rests on its last frame for a second."""
    durations = [ms] * (len(frames) - 1) + [1000]
    memory = io.BytesIO()
    frames[0].save(memory, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    write_noted(path, memory.getvalue(), note)


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


def save_trajectory(frames: Sequence[Picture], target: str, note: str = "") -> None:
    """Writes a film (``.gif``) or a strip (``.png``).

    Args:
        frames: pictures of the steps.
        target: path of the file.
        note: text that says how it was made (:mod:`zoo_core.files.notes`).

    Raises:
        IncompatibleError: the sampler showed no steps.
    """
    if not frames:
        raise IncompatibleError("this sampler draws in a single step; there is no trajectory to show")
    if Path(target).suffix.lower() == ".gif":
        film(frames, Path(target), note=note)
    else:
        write_picture(strip(frames), Path(target), note)
