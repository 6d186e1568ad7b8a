r"""The columns of a table inside a model: numbers, whole numbers and categories, and the distributions of their cells.

**A number** x goes through a piecewise linear map z = T(x), whose knots are quantiles of the data, to the logistic
distribution of variance 1, and there has a mixture of logistic distributions:

    log p(x) = log Σ_k w_k f((z − μ_k)/s_k)/s_k + log T′(x).

Before training the mixture is nearly that logistic distribution, so that each column has the distribution of the data.

**A whole number** v (an integer or a date) is inside the model x = (v + u − m)/r, with u ~ U[−½, ½) and the column's
mean m and standard deviation r.  It has the probability of its cell,

    P(v) = F_mix(T(v + ½)) − F_mix(T(v − ½)),        p(x) = r·P(v).

**A category** c of K is K numbers inside the model: 1 at its place, −1 elsewhere, plus u ~ U[−½, ½) each.  So
p(x) = P(c) within the K-dimensional unit cube around a category, and 0 elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.mixtures import draw_mixture, mixture_log_density, mixture_log_mass
from zoo_autoregressive.quantiles import QuantileMap
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Column, Streams

__all__ = ["Margin", "TableColumns"]

KINDS = {"number": "number", "integer": "whole", "date": "whole", "category": "category"}
"""Kinds inside a model of the types of a user's columns."""
EDGE = 1e-4
"""How far outside of its unit cube the numbers of a category may lie, for rounding."""


@dataclass(frozen=True)
class Margin:
    """A column inside a model.

    Attributes:
        kind: ``number``, ``whole`` or ``category``.
        mean, std: mean and standard deviation of a whole number, in the user's units.
        size: number of categories.
    """

    kind: str = "number"
    mean: float = 0.0
    std: float = 1.0
    size: int = 1

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Margin:
        """Reads a column from its table in a config.

        Raises:
            IncompatibleError: the table has another key, or a value is out of its range.
        """
        try:
            made = cls(**table)
        except TypeError as err:
            raise IncompatibleError(f"columns: {dict(table)}: {err}; expected kind, and mean, std or size") from err
        if made.kind not in KINDS.values() or made.std <= 0 or made.size < 1:
            raise IncompatibleError(
                f"columns: {dict(table)}; expected kind = number, whole (mean, std > 0) or category (size ≥ 1)"
            )
        return made

    @staticmethod
    def table(column: Column) -> dict[str, Any]:
        """Describes a user's column for a config; the inverse of :meth:`of`."""
        kind = KINDS[column.type]
        if kind == "category":
            return {"kind": kind, "size": column.width}
        return {"kind": kind, "mean": column.mean, "std": column.std} if kind == "whole" else {"kind": kind}

    @property
    def width(self) -> int:
        """The number of numbers that stand for a cell inside a model."""
        return self.size if self.kind == "category" else 1

    def outputs(self, components: int) -> int:
        """The number of a network's outputs that determine the distribution of a cell."""
        return self.size if self.kind == "category" else 3 * components


class TableColumns(nn.Module):
    """The columns of a table, with their maps T.

    Args:
        width: number of numbers of a row inside the model.
        columns: columns as tables of the fields of :class:`Margin`; all are numbers unless given.
        components: number of logistic distributions in the mixture of a number.
        knots: greatest number of knots of T.

    Attributes:
        margins: columns.
        places: numbers of each column in a row.
        answers: a network's outputs for each column.
        outputs: number of all outputs.
        real: columns that are no categories.

    Raises:
        IncompatibleError: the columns have another number of numbers than a row.
    """

    starts: Tensor
    of_number: Tensor
    mean: Tensor
    std: Tensor
    whole: Tensor

    def __init__(self, width: int, columns: Sequence[Mapping[str, Any]] | None, components: int, knots: int) -> None:
        super().__init__()
        self.margins = [Margin()] * width if columns is None else [Margin.of(column) for column in columns]
        if (has := sum(margin.width for margin in self.margins)) != width or not self.margins:
            raise IncompatibleError(
                f"columns have {has} numbers, and shape has {width}; expected as many, at least one"
            )
        self.places = _slices([margin.width for margin in self.margins])
        self.answers = _slices([margin.outputs(components) for margin in self.margins])
        self.outputs = self.answers[-1].stop
        self.real = [j for j, margin in enumerate(self.margins) if margin.kind != "category"]
        self.map = QuantileMap(max(1, len(self.real)), knots)
        widths = torch.tensor([margin.width for margin in self.margins])
        is_whole = [self.margins[j].kind == "whole" for j in self.real]
        units = [self.margins[j] if one else Margin() for j, one in zip(self.real, is_whole, strict=True)]
        for name, values in (
            ("of_number", torch.arange(len(widths)).repeat_interleave(widths)),
            ("starts", torch.tensor([place.start for place in self.places])),
            ("mean", torch.tensor([unit.mean for unit in units], dtype=torch.float64)),
            ("std", torch.tensor([unit.std for unit in units], dtype=torch.float64)),
            ("whole", torch.tensor(is_whole, dtype=torch.bool)),
        ):
            self.register_buffer(name, values, persistent=False)

    def __len__(self) -> int:
        return len(self.margins)

    def fit(self, x: Tensor) -> Tensor:
        """Sets the maps T from data ``(n, numbers)``, NaN where a cell is missing.

        Returns:
            A network's answers with which every column has the distribution of the data, ``(outputs,)``.
        """
        answers = x.new_zeros(self.outputs)
        for place, j in enumerate(self.real):
            values = x[:, self.places[j]].squeeze(1)
            self.map.fit(place, values[~values.isnan()])
        for j, margin in enumerate(self.margins):
            if margin.kind == "category":
                cells = x[:, self.places[j]]
                codes = cells[~cells.isnan().any(1)].argmax(1)
                counts = torch.bincount(codes, minlength=margin.size) + 0.5
                answers[self.answers[j]] = (counts / counts.sum()).log().to(x.dtype)
        return answers

    def codes(self, x: Tensor) -> Tensor:
        """Returns what a network sees of cells: z = T(x) of numbers, 0 and 1 for categories; ``(n, numbers)``."""
        clean = x.nan_to_num(0.0)
        seen = clean.clone()
        if self.real:
            at = self.starts[self.real]
            seen[:, at] = self.map(self._centres(clean[:, at], slice(None)))[0]
        for j, margin in enumerate(self.margins):
            if margin.kind == "category":
                seen[:, self.places[j]] = self.codes_of(j, clean[:, self.places[j]])
        return seen

    def codes_of(self, j: int, cells: Tensor) -> Tensor:
        """Returns :meth:`codes` of the cells of column j, ``(n, width)``."""
        margin = self.margins[j]
        if margin.kind == "category":
            return functional.one_hot(cells.argmax(1), margin.size).to(cells.dtype)
        place = self.real.index(j)
        which = slice(place, place + 1)
        return self.map(self._centres(cells, which), which)[0]

    def log_prob(self, x: Tensor, answers: Tensor) -> Tensor:
        """Computes log q of all cells, ``(n, columns)``, from a network's answers for all columns."""
        found = x.new_empty(len(x), len(self))
        if self.real:
            parts = torch.stack([answers[:, self.answers[j]] for j in self.real], 1)
            found[:, self.real] = self._real_log_prob(x[:, self.starts[self.real]], parts, slice(None))
        for j, margin in enumerate(self.margins):
            if margin.kind == "category":
                found[:, j] = self.log_prob_of(j, x, answers[:, self.answers[j]])
        return found

    def log_prob_of(self, j: int, x: Tensor, answer: Tensor) -> Tensor:
        """Computes log q of the cells of column j, ``(n,)``, from a network's answers for it."""
        cells = x[:, self.places[j]]
        if self.margins[j].kind != "category":
            place = self.real.index(j)
            return self._real_log_prob(cells, answer[:, None], slice(place, place + 1)).squeeze(1)
        code = cells.argmax(1)
        centre = 2.0 * functional.one_hot(code, cells.shape[1]) - 1.0
        inside = ((cells - centre).abs() <= 0.5 + EDGE).all(1)
        return torch.where(inside, answer.log_softmax(1).gather(1, code[:, None]).squeeze(1), -torch.inf)

    def draw(self, j: int, answer: Tensor, streams: Streams) -> Tensor:
        """Draws the cells of column j, ``(n, width)``, from a network's answers for it."""
        margin = self.margins[j]
        if margin.kind == "category":
            code = streams.categorical(answer.double().softmax(1))
            return 2.0 * functional.one_hot(code, margin.size) - 1.0 + streams.uniform(margin.size) - 0.5
        value = self.map.inverse(draw_mixture(answer, streams), self.real.index(j))
        if margin.kind == "whole":
            noise = streams.uniform(1).squeeze(1) - 0.5
            whole = (value.double() * margin.std + margin.mean).round()
            value = ((whole + noise - margin.mean) / margin.std).to(value.dtype)
        return value[:, None]

    def _real_log_prob(self, values: Tensor, answers: Tensor, which: slice) -> Tensor:
        """Computes log q of numbers, whole or not, ``(n, c)``, from answers ``(n, c, 3·components)``."""
        z, log_slope = self.map(values, which)
        found = mixture_log_density(z, answers) + log_slope
        if not bool((whole := self.whole[which]).any()):
            return found
        mean, std = self.mean[which], self.std[which]
        cell = (values.double() * std + mean).round()
        below, above = (self.map(((cell + side - mean) / std).to(values.dtype), which)[0] for side in (-0.5, 0.5))
        return torch.where(whole, mixture_log_mass(below, above, answers) + std.log().to(found.dtype), found)

    def _centres(self, values: Tensor, which: slice) -> Tensor:
        """Replaces whole numbers that noise was added to by the numbers themselves, ``(n, c)``."""
        if not bool((whole := self.whole[which]).any()):
            return values
        mean, std = self.mean[which], self.std[which]
        centres = ((values.double() * std + mean).round() - mean) / std
        return torch.where(whole, centres.to(values.dtype), values)


def _slices(sizes: Sequence[int]) -> list[slice]:
    """Returns the places of parts of these sizes, one after the other."""
    ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
    return [slice(start, stop) for start, stop in pairwise(ends)]
