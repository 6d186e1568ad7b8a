"""Sample spaces: images, points, token sequences, recordings, tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from torch import Tensor
from torch.nn import functional

from zoo_core.interfaces.columns import Column, Encoding
from zoo_core.interfaces.values import X, map_values

__all__ = ["Kind", "SampleSpace"]

Kind = Literal["image", "points", "sequence", "tokens", "audio", "table"]


@dataclass(frozen=True)
class SampleSpace:
    """The set that a model's samples belong to.

    Attributes:
        kind: kind of a sample: ``"image"`` (channels, height, width), ``"points"`` (dimensions,), ``"sequence"``
            (time, features), ``"tokens"`` (time,) of integers below ``vocabulary``, ``"audio"`` (channels, time) at
            ``rate`` Hz, ``"table"`` (columns,).
        shape: shape of one sample, without the batch; ``None`` for at most one axis, which then has any length.
        low, high: range of values *inside* the model, which is mapped to [0, 1] for users; ``None`` for unbounded
            values, which users see unchanged.
        vocabulary: number of different tokens.
        rate: samples per second of a recording.
        columns: names and types of a table's columns, one per number of a sample.
        encoding: conversion between a user's columns and the numbers inside the model, for a model of a user's own
            table or array; ``None`` where users see the model's numbers.
        cropped: height and width that users see of a model whose images are larger, since networks halve them; the rest
            is black, to the right and below; ``None`` where users see the whole image.
        letters: characters that tokens are written as in a text, one for each; ``None`` where they are numbers there.

    Raises:
        ValueError: the fields contradict each other.
    """

    kind: Kind
    shape: tuple[int | None, ...]
    low: float | None = None
    high: float | None = None
    vocabulary: int | None = None
    rate: int | None = None
    columns: tuple[Column, ...] = ()
    encoding: Encoding | None = field(default=None, compare=False)
    cropped: tuple[int, int] | None = field(default=None, compare=False)
    letters: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if sum(size is None for size in self.shape) > 1:
            raise ValueError(f"shape = {self.shape}; at most one axis can be None, which means any length")
        if self.kind == "tokens" and (self.vocabulary is None or self.vocabulary < 1):
            raise ValueError(
                f"vocabulary = {self.vocabulary}; a space of tokens needs the number of different tokens, at least 1"
            )
        if self.letters is not None and not self.vocabulary == len(set(self.letters)) == len(self.letters):
            raise ValueError(f"letters = {self.letters[:40]!r}; expected {self.vocabulary} different characters")
        if self.kind == "audio" and (self.rate is None or self.rate < 1):
            raise ValueError(f"rate = {self.rate}; a space of audio needs the samples per second, at least 1")
        if self.kind == "table" and self.shape != (len(self.columns),):
            raise ValueError(
                f"shape = {self.shape}; a table of {len(self.columns)} columns has shape ({len(self.columns)},)"
            )

    @classmethod
    def of(cls, shape: Sequence[int], low: float | None = None, high: float | None = None) -> SampleSpace:
        """Makes a space of images in [low, high] for a shape of three axes, of unbounded points for any other."""
        return cls("image", tuple(shape), low, high) if len(shape) == 3 else cls("points", tuple(shape))

    @property
    def user(self) -> SampleSpace:
        """The space that users see: of the encoding's columns where there is one, else this space."""
        if self.cropped is not None:
            return replace(self, shape=(self.shape[0], *self.cropped), cropped=None)
        if self.encoding is None:
            return self
        columns = self.encoding.columns
        if self.encoding.table:
            return SampleSpace("table", (len(columns),), columns=columns)
        return SampleSpace("points", (len(columns),))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape of one sample, without the axis that may have any length."""
        return tuple(size for size in self.shape if size is not None)

    @property
    def open_axis(self) -> int | None:
        """The axis of a *batch* that may have any length, at least 1; ``None`` where the shape is fixed."""
        return self.shape.index(None) + 1 if None in self.shape else None

    @property
    def is_numeric(self) -> bool:
        """Whether values are numbers whose differences mean something: not tokens, nor tables with categories."""
        return self.kind != "tokens" and all(column.type != "category" for column in self.columns)

    @property
    def is_countable(self) -> bool:
        """Whether samples are tokens, or rows of categories and whole numbers, which have probabilities."""
        whole = self.kind == "table" and all(column.type in ("category", "integer") for column in self.columns)
        return self.kind == "tokens" or whole

    def holds(self, other: SampleSpace) -> bool:
        """Says whether data of the space ``other`` could be samples of this one."""
        if self.kind != other.kind or len(self.shape) != len(other.shape):
            return False
        if self.vocabulary is not None and (other.vocabulary is None or other.vocabulary > self.vocabulary):
            return False
        if self.rate is not None and other.rate != self.rate:
            return False
        return all(mine in (None, theirs) for mine, theirs in zip(self.shape, other.shape, strict=True))

    def words(self) -> str:
        """Describes the space for a listing or an error: ``image 1×28×28``, ``tokens of any length``."""
        sizes = "×".join("any length" if size is None else str(size) for size in self.shape)
        extra = f", {self.vocabulary} different" if self.vocabulary else f" at {self.rate} Hz" if self.rate else ""
        return f"{self.kind} {sizes}{extra}"

    def to_user(self, x: X) -> X:
        """Maps the model's range to [0, 1] and clamps, where the space is bounded; decodes a user's columns."""
        if self.encoding is not None:
            return cast(X, self.encoding.decode(cast(Tensor, x)))
        if self.cropped is not None:
            height, width = self.cropped
            x = cast(X, cast(Tensor, x)[..., :height, :width])
        low, high = self.low, self.high
        if low is None or high is None:
            return x
        return map_values(x, lambda data: ((data - low) / (high - low)).clamp(0.0, 1.0))

    def from_user(self, x: X) -> X:
        """Maps [0, 1] to the model's range, where the space is bounded; encodes a user's columns."""
        if self.encoding is not None:
            return cast(X, self.encoding.encode(cast(Tensor, x)))
        x = cast(X, self.padded(cast(Tensor, x))) if self.cropped is not None else x
        low, high = self.low, self.high
        if low is None or high is None:
            return x
        return map_values(x, lambda data: low + (high - low) * data)

    def padded(self, images: Tensor) -> Tensor:
        """Adds black to the right and below, up to the size that the model has, where users see a part of it."""
        if self.cropped is None:
            return images
        height, width = self.shape[1:]
        assert height is not None
        assert width is not None
        return functional.pad(images, (0, width - images.shape[-1], 0, height - images.shape[-2]))
