"""Finds problems with the values of a data set before a model is trained on them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo_core.interfaces import DataSet, Ragged
from zoo_core.interfaces.values import finite_rows

__all__ = ["value_problems"]


def value_problems(data: DataSet, rows: int = 64) -> Iterator[str]:
    """Checks the first examples, and yields one sentence for each problem.

    Args:
        data: data set to check.
        rows: number of examples to check, at least 1.
    """
    x = data.rows(torch.arange(min(rows, len(data)))).x
    if not bool((finite := finite_rows(x)).all()):
        yield f"example {int((~finite).nonzero()[0])} has values that are not finite; leave such examples out"
        return
    values = x.padded_with(0).data if isinstance(x, Ragged) else x
    if not values.numel():
        yield "the first examples are empty"
        return
    low, high = values.min().item(), values.max().item()
    whole = not values.is_floating_point()
    if data.levels is not None and not (whole and low >= 0 and high < data.levels):
        levels = f"levels = {data.levels} means integers 0 … {data.levels - 1}"
        yield f"values are {values.dtype} from {low:g} to {high:g}; {levels}"
    if data.levels is None and whole and values.dtype != torch.int64:
        yield f"values are {values.dtype}, and no levels are given; say levels = 256 of 8-bit images, or give float32"
    vocabulary = data.sample_space.vocabulary
    if vocabulary is not None and not (whole and low >= 0 and high < vocabulary):
        tokens = f"a vocabulary of {vocabulary} means 0 … {vocabulary - 1}"
        yield f"values are {values.dtype} from {low:g} to {high:g}; {tokens}"
    for name, column in data.columns.items():
        if name not in ("label", "domain") or not isinstance(column, Tensor):
            continue
        if column.dtype != torch.int64 or bool((column < 0).any()):
            yield f"the column {name!r} is {column.dtype} from {column.min().item():g}; expected int64 from 0"
