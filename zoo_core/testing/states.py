"""Enumerates the states of a small discrete sample space, so that probabilities can be summed and samples counted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import ZooError
from zoo_core.interfaces import Model, Ragged, SampleSpace, Values
from zoo_core.interfaces.values import cat

__all__ = ["all_states", "index_of", "small_variant"]

MOST = 4096
"""Greatest number of states that are enumerated."""

SMALL_SHAPES: Mapping[int, tuple[list[int], ...]] = {1: ([4], [3]), 2: ([2, 3],), 3: ([1, 2, 3], [1, 2, 2], [1, 4, 4])}
"""Small shapes to try in place of a config's shape, by the number of axes."""


def all_states(model: Model) -> Values | None:
    """Enumerates the samples of a discrete model: bits, tokens up to a length, rows of categories and whole numbers.

    Returns:
        One row per state; for tokens of any length, all sequences of length 1 … L, with the greatest L for which there
        are at most 4,096.  ``None`` if there are more states, or they are of none of these kinds.
    """
    space = model.space
    if space.kind == "table":
        return _rows(space, model.state_dtype)
    if space.kind == "tokens" and space.vocabulary is not None:
        return _sequences(space, space.vocabulary)
    if not model.binarises or space.open_axis is not None:
        return None
    d = math.prod(space.sizes)
    if 2**d > MOST:
        return None
    bits = (torch.arange(2**d)[:, None] >> torch.arange(d)) & 1
    low, high = (0.0, 1.0) if space.low is None or space.high is None else (space.low, space.high)
    return low + (high - low) * bits.to(model.state_dtype).view(-1, *space.sizes)


def _rows(space: SampleSpace, dtype: torch.dtype) -> Tensor | None:
    """Enumerates the rows of a table whose columns are categories, or whole numbers from ``low`` to ``high``."""
    axes = []
    for column in space.columns:
        low, high = (0, len(column.categories) - 1) if column.type == "category" else (column.low, column.high)
        if column.type not in ("category", "integer") or low is None or high is None:
            return None
        axes.append(torch.arange(int(low), int(high) + 1, dtype=dtype))
    if math.prod(map(len, axes)) > MOST:
        return None
    return torch.cartesian_prod(*axes).view(-1, len(axes))


def _sequences(space: SampleSpace, vocabulary: int) -> Values | None:
    if space.open_axis is None:
        (length,) = space.sizes
        return None if vocabulary**length > MOST else _words(vocabulary, length)
    parts: list[Values] = []
    count = 0
    for length in range(1, 1 + MOST):
        count += vocabulary**length
        if count > MOST:
            break
        words = _words(vocabulary, length)
        parts.append(Ragged(words, torch.full((len(words),), length)))
    return cat(parts) if parts else None


def _words(vocabulary: int, length: int) -> Tensor:
    number = torch.arange(vocabulary**length)[:, None]
    return number // vocabulary ** torch.arange(length) % vocabulary


def index_of(states: Values, x: Values) -> Tensor:
    """Finds the row of each sample among the states, ``(n,)``; for a sample that is not a state, their number."""
    known = {_key(row): i for i, row in enumerate(states)}
    return torch.tensor([known.get(_key(row), len(states)) for row in x])


def _key(row: Tensor) -> tuple[Any, ...]:
    return tuple(row.flatten().tolist())


def small_variant(model: Model) -> Model | None:
    """Builds a model of the same family whose states can be enumerated: the same config with a small shape.

    Returns:
        The model itself if its states can be enumerated; ``None`` if the family accepts no small shape.
    """
    if all_states(model) is not None:
        return model
    if model.entry is None:
        return None
    from dataclasses import replace

    from zoo_core.loading import build

    shape = model.entry.config.get("shape")
    for small in SMALL_SHAPES.get(len(shape), ()) if isinstance(shape, (list, tuple)) else ():
        try:
            made = build(replace(model.entry, config={**model.entry.config, "shape": small}), 0).eval()
        except ZooError:
            continue
        if all_states(made) is not None:
            return shaken(made.requires_grad_(False))
    return None


def shaken(model: Model) -> Model:
    """Adds noise to every initial parameter of a model, so that no term of a formula is zero by chance."""
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            if value.is_floating_point():
                value.add_(0.5 * torch.randn(value.shape, generator=source, dtype=torch.float64).to(value))
    return model
