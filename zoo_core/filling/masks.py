"""Masks in words: which part of a sample is known, ``left``, ``box=4,4,20,20``, ``prefix=10``, a picture or a list."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from zoo_core.datasets.reading import read_samples
from zoo_core.errors import DataError, IncompatibleError
from zoo_core.interfaces import Ragged, SampleSpace, Values

__all__ = ["MASKS", "REGIONS", "known_part", "lengthened", "mask_of"]

REGIONS = ("left", "right", "top", "bottom", "border")
"""Parts of an image that have a name: the halves, and what is around the middle half of its height and width."""

MASKS = f"{', '.join(REGIONS)}, box=X,Y,W,H, around=X,Y,W,H, prefix=N, a picture, or a list of 0 and 1"
"""Masks that can be written, for messages."""


def mask_of(mask: str | Sequence[float], space: SampleSpace, shape: Sequence[int]) -> Tensor:
    """Reads a mask, true where a sample is known.

    Args:
        mask: one of :data:`REGIONS`; ``box=X,Y,W,H`` for what is in a box of W×H pixels whose upper left corner is at
            column X and row Y, ``around=X,Y,W,H`` for what is outside of it; ``prefix=N`` for the first N steps of a
            sequence, tokens or audio; the path of a picture that is white there; or 0 and 1 for each number of a
            sample, as a list or as text (``"[1, 0]"``).
        space: sample space of the samples.
        shape: shape of one sample, ``space.shape`` with lengths for open axes.

    Returns:
        bool ``shape``.

    Raises:
        IncompatibleError: there is no such mask, or it does not fit samples of this shape.
    """
    if not isinstance(mask, str):
        return _listed(mask, shape)
    text = mask.strip()
    if text.startswith("["):
        try:
            return _listed(json.loads(text), shape)
        except json.JSONDecodeError as err:
            raise IncompatibleError(f"mask = {mask!r} is no list; expected 0 and 1, such as [1, 0]") from err
    word, equals, rest = text.partition("=")
    if equals and word in ("box", "around"):
        return _box(word, rest, shape)
    if equals and word == "prefix":
        return _prefix(rest, space, shape)
    if text in REGIONS:
        return _region(text, shape)
    return _picture(mask, space, shape)


def known_part(x: Values, mask: str | Sequence[float] | None, space: SampleSpace) -> Tensor:
    """Says which numbers of samples are known: those that a mask keeps, without NaN.

    Args:
        x: samples, NaN where a value is missing, or −1 where a token is.
        mask: mask for all samples (:func:`mask_of`); nothing but NaN is unknown unless given.
        space: sample space of the samples.

    Returns:
        bool, of the shape of the (padded) numbers of ``x``; padding is known.
    """
    data = x.data if isinstance(x, Ragged) else x
    known = torch.ones_like(data, dtype=torch.bool)
    if mask is not None:
        known &= mask_of(mask, space, data.shape[1:]).to(data.device)
    if data.is_floating_point():
        known &= ~torch.isnan(data)
    elif space.kind == "tokens":
        known &= data >= 0
    if isinstance(x, Ragged):
        padding = [1] * data.ndim
        padding[0], padding[x.axis] = x.mask.shape
        known |= ~x.mask.view(padding)
    return known


def lengthened(x: Values, length: int) -> tuple[Ragged, Tensor]:
    """Makes all samples of open length as long as ``length``, with unknown values where they ended.

    Returns:
        The samples, and the mask of what is known, of the shape of their numbers.

    Raises:
        IncompatibleError: samples have a fixed length, or one is longer.
    """
    if not isinstance(x, Ragged):
        raise IncompatibleError(f"length = {length}; samples of this model have a fixed length, so leave it out")
    longest = int(x.lengths.max())
    if length < longest:
        raise IncompatibleError(f"length = {length}, but a sample has {longest} steps; give at least as many")
    shape = list(x.data.shape)
    shape[x.axis] = length - shape[x.axis]
    data = torch.cat([x.data, x.data.new_zeros(shape)], x.axis) if shape[x.axis] > 0 else x.data
    longer = Ragged(data.narrow(x.axis, 0, length), torch.full_like(x.lengths, length), x.axis)
    view = [1] * data.ndim
    view[0], view[x.axis] = len(x), length
    known = torch.arange(length) < x.lengths[:, None]
    return longer, known.view(view).expand(longer.data.shape).clone()


def _listed(values: Sequence[float], shape: Sequence[int]) -> Tensor:
    try:
        numbers = torch.tensor(list(values), dtype=torch.float32).flatten()
    except (TypeError, ValueError) as err:
        raise IncompatibleError(f"mask = {values!r}; expected one of {MASKS}") from err
    if numbers.numel() != math.prod(shape):
        raise IncompatibleError(f"mask has {numbers.numel()} numbers; a sample of this model has {math.prod(shape)}")
    return numbers.view(*shape) > 0.5


def _box(word: str, text: str, shape: Sequence[int]) -> Tensor:
    _require_image(f"{word}={text}", shape)
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise IncompatibleError(f"mask = {word}={text}; expected {word}=X,Y,W,H in pixels") from None
    if min(x, y) < 0 or min(width, height) < 1 or x + width > shape[2] or y + height > shape[1]:
        raise IncompatibleError(f"mask = {word}={text} is not within the image of {shape[2]}×{shape[1]} pixels")
    inside = torch.zeros(*shape, dtype=torch.bool)
    inside[:, y : y + height, x : x + width] = True
    return inside if word == "box" else ~inside


def _prefix(text: str, space: SampleSpace, shape: Sequence[int]) -> Tensor:
    axis = {"sequence": 0, "tokens": 0, "audio": 1}.get(space.kind)
    if axis is None:
        raise IncompatibleError(f"mask = prefix={text} is for sequences, tokens and audio, not for {space.words()}")
    if not text.isdecimal():
        raise IncompatibleError(f"mask = prefix={text}; expected a number of steps, such as prefix=10")
    steps = torch.arange(shape[axis]) < int(text)
    view = [1] * len(shape)
    view[axis] = -1
    return steps.view(view).expand(*shape)


def _region(name: str, shape: Sequence[int]) -> Tensor:
    _require_image(name, shape)
    _, height, width = shape
    mask = torch.zeros(*shape, dtype=torch.bool)
    if name == "border":
        mask[:] = True
        mask[:, height // 4 : height - height // 4, width // 4 : width - width // 4] = False
    elif name in ("left", "right"):
        columns = slice(0, width // 2) if name == "left" else slice(width // 2, None)
        mask[:, :, columns] = True
    else:
        rows = slice(0, height // 2) if name == "top" else slice(height // 2, None)
        mask[:, rows] = True
    return mask


def _require_image(name: str, shape: Sequence[int]) -> None:
    if len(shape) != 3:
        raise IncompatibleError(
            f"mask = {name!r} is for images; for samples of shape {tuple(shape)} give a list, mask = [1, 0, …]"
        )


def _picture(path: str, space: SampleSpace, shape: Sequence[int]) -> Tensor:
    if not Path(path).expanduser().is_file():
        raise IncompatibleError(f"mask = {path!r} is no file; expected one of {MASKS}")
    try:
        x = read_samples(path, space)
    except DataError as err:
        raise IncompatibleError(f"mask = {path!r}: {err}") from err
    if isinstance(x, Ragged) or tuple(x.shape[1:]) != tuple(shape):
        raise IncompatibleError(f"mask = {path!r} is of shape {tuple(x.shape[1:])}; expected {tuple(shape)}")
    return x[0] > 0.5
