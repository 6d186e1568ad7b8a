"""Converts a data set to the model's side: the one place where grey levels are scaled, dequantised or binarised.

| the model's probabilities are of   | what is done to grey level v of L                    | the settings say        |
|------------------------------------|------------------------------------------------------|-------------------------|
| numbers (a density)                | (v + u)/L, u ~ U[0, 1), scaled (Theis et al. 2016)   | uniformly dequantised   |
| levels (``discrete``)              | v/(L − 1), scaled                                    | L levels                |
| black and white (``binarises``)    | 1 with probability v/(L − 1), else 0 (dynamic)       | binarised by chance     |
| nothing (no density)               | v/(L − 1), scaled                                    | L levels                |

The columns of a reader's own table or array are encoded as :mod:`zoo_core.interfaces.columns` says.  Other numbers and
tokens are unchanged.  Numbers in [0, 1] can be binarised like grey levels, which leaves zeros and ones unchanged.
Every draw belongs to a stream: of the row in evaluation, of the step and the row in training.

NaN is a missing value to a model that ``takes_missing``, and is refused otherwise.  A column ``weight`` of the data set
has the weights of the examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Batch, DataSet, Density, Encoding, Model, Ragged, Streams, Values
from zoo_core.interfaces.values import finite_rows

__all__ = ["WEIGHT", "Prepared", "Treatment", "check_fit", "encoded", "protocol", "treatment"]

WEIGHT = "weight"
"""Column of a data set that has the weights of its examples: numbers of at least 0, one per example."""

Treatment = Literal["none", "scaled", "dequantised", "binarised", "encoded"]


def treatment(model: Model, data: DataSet) -> Treatment:
    """Says which treatment the data get before the model sees them."""
    if model.space.encoding is not None:
        return "encoded"
    if model.binarises:
        return "binarised"
    if data.levels is None:
        return "none"
    return "dequantised" if isinstance(model, Density) and not model.discrete else "scaled"


def protocol(model: Model, data: DataSet) -> str:
    """Describes the treatment in words that continue a sentence: ``", 256 levels, uniformly dequantised"``."""
    grey = "" if data.levels is None else f", {data.levels} levels"
    if model.space.cropped is not None:
        grey = f", padded with black to {model.space.words()}{grey}"
    return {
        "none": "",
        "scaled": grey,
        "dequantised": f"{grey}, uniformly dequantised",
        "binarised": ", binarised by chance (dynamic binarisation)",
        "encoded": ", each column in units of its standard deviation",
    }[treatment(model, data)]


def check_fit(model: Model, data: DataSet) -> None:
    """Raises :class:`IncompatibleError` where the data do not belong to the model's sample space."""
    found = data.sample_space
    if not model.space.user.holds(found):
        words = model.space.user.words()
        raise IncompatibleError(f"{data.name} has examples of {found.words()}; the model's are {words}")
    first = data.rows(torch.arange(min(1, len(data)))).x
    if data.levels is None and not first.is_floating_point() and first.dtype != torch.int64:
        raise IncompatibleError(f"{data.name} has {first.dtype} and no levels; say levels = 256 of 8-bit images")
    if data.levels is not None and (model.space.low is None or model.space.high is None):
        raise IncompatibleError(f"{data.name} has grey levels, but {type(model).__name__} is not bounded")


def encoded(model: Model, data: DataSet) -> DataSet:
    """Returns a reader's own table or array as the numbers inside a model, for metrics that compare samples.

    Other data are returned as they are.
    """
    encoding = model.space.encoding
    if encoding is None or data.sample_space == model.space:
        return data
    other = None if data.split_of is None else partial(_encoded_split, model, data.split_of)
    return replace(data, x=_Encoded(encoding, data), space=model.space, split_of=other)


class _Encoded:
    """The rows of a reader's own data, encoded when they are read."""

    def __init__(self, encoding: Encoding, data: DataSet) -> None:
        self.encoding, self.data = encoding, data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, rows: Tensor) -> Tensor:
        stored = self.data.x[rows]
        assert isinstance(stored, Tensor)
        return self.encoding.encode(stored)


def _encoded_split(model: Model, split_of: Callable[[str], DataSet], split: str) -> DataSet:
    return encoded(model, split_of(split))


class Prepared:
    """The examples of a data set on the model's side, read row by row.

    Args:
        model: model that the examples are prepared for.
        data: data set.
        seed: integer that the noise of the rows depends on.

    Attributes:
        treatment: treatment of the examples.
        protocol: treatment in words that continue a sentence (``", 256 levels, uniformly dequantised"``).
        weights: weights of the examples, ``(n,)`` in float64; ``None`` for equal weights.

    Raises:
        IncompatibleError: the data do not fit the model's sample space, lack a column that it is conditioned on, or
            have a weight below 0.
    """

    def __init__(self, model: Model, data: DataSet, seed: int = 0) -> None:
        check_fit(model, data)
        for name, spec in model.conditions.items():
            if name not in data.columns and not spec.null:
                has = ", ".join(data.columns) or "none"
                raise IncompatibleError(
                    f"the model is conditioned on {name!r}, and {data.name} has no such column (it has {has})"
                )
        self.model, self.data, self.seed = model, data, seed
        self.weights = None if WEIGHT in model.conditions else _weights(data)
        self.treatment, self.protocol = treatment(model, data), protocol(model, data)

    def __len__(self) -> int:
        return len(self.data)

    @property
    def draws(self) -> bool:
        """Whether the treatment draws noise."""
        encoding = self.model.space.encoding
        return self.treatment in ("dequantised", "binarised") or (encoding is not None and encoding.draws)

    def noise(self, which: Tensor, dtype: torch.dtype = torch.float64) -> Streams:
        """Returns the random streams of some rows, which do not depend on the batch that they are read in."""
        purpose = f"{self.treatment}/{self.data.name}/{self.data.split}"
        return Streams(self.seed, purpose, 0, len(self), dtype=dtype).rows(which)

    def rows(self, which: Tensor, noise: Streams | None = None) -> Batch[Any]:
        """Reads examples on the model's side.

        Args:
            which: row numbers, int64 ``(n,)``.
            noise: random streams to dequantise or binarise, one per row; :meth:`noise` of the rows unless given.
        """
        stored = self.data.rows(which)
        x = self.values(stored.x, self.noise(which) if noise is None and self.draws else noise)
        condition = stored.condition.only(self.model.conditions) if stored.condition is not None else None
        return Batch(x, condition, None if self.weights is None else self.weights[which])

    def values(self, stored: Values, noise: Streams | None) -> Values:
        """Converts stored values to the model's side.

        Raises:
            IncompatibleError: numbers outside [0, 1] would have to be binarised.
        """
        if not bool((finite := finite_rows(stored, missing=self.model.takes_missing)).all()):
            bad = int((~finite).sum())
            raise IncompatibleError(
                f"{self.data.name} has values that are not finite in {bad} of {len(stored)} examples; leave them out"
                + ("" if self.model.takes_missing else ", or where they are missing take a family that allows it")
            )
        if self.model.space.cropped is not None and isinstance(stored, Tensor):
            stored = self.model.space.padded(stored)
        if self.model.space.encoding is not None:
            assert isinstance(stored, Tensor)
            return self.model.space.encoding.encode(stored, noise)
        axis = self.model.space.open_axis
        if self.treatment == "none" and axis is not None and isinstance(stored, Tensor):
            # Examples of one length are examples of any length.
            stored = Ragged(stored, torch.full((len(stored),), stored.shape[axis]), axis)
        if self.treatment == "none":
            return stored.float() if isinstance(stored, Tensor) and stored.dtype != torch.int64 else stored
        if not isinstance(stored, Tensor):
            name, done = self.data.name, self.treatment
            raise IncompatibleError(f"{name} has open lengths; only examples of one shape can be {done}")
        levels, space = self.data.levels, self.model.space
        low, high = (0.0, 1.0) if space.low is None or space.high is None else (space.low, space.high)
        if self.treatment == "dequantised" and levels is not None and noise is not None:
            return low + (high - low) * ((stored.to(noise.dtype) + noise.uniform(*stored.shape[1:])) / levels)
        grey = stored.float() if levels is None else stored.float() / (levels - 1)
        if self.treatment == "binarised" and noise is not None:
            if levels is None and not bool(((grey >= 0) & (grey <= 1)).all()):
                raise IncompatibleError(
                    f"{self.data.name} has numbers from {float(grey.min()):.3g} to {float(grey.max()):.3g}; a model of "
                    "black and white needs grey levels, or numbers in [0, 1]"
                )
            grey = (noise.uniform(*stored.shape[1:]) < grey).float()
        return low + (high - low) * grey

    def first(self) -> Batch[Any]:
        """Reads the first examples, 64 at most."""
        return self.rows(torch.arange(min(len(self), 64)))

    def batches(self, size: int | None = None) -> Iterator[Batch[Any]]:
        """Yields every example once, in order, in batches of at most ``size``; in one batch unless given."""
        step = size or max(len(self), 1)
        for start in range(0, len(self), step):
            yield self.rows(torch.arange(start, min(start + step, len(self))))


def _weights(data: DataSet) -> Tensor | None:
    column = data.columns.get(WEIGHT)
    if not isinstance(column, Tensor):
        return None
    weights = column.double()
    if not bool((right := weights.isfinite() & (weights >= 0)).all()):
        wrong = weights[~right][0].item()
        raise IncompatibleError(f"{data.name} has {WEIGHT} = {wrong:g}; expected numbers of at least 0")
    return weights
