r"""Distributions of single columns: numbers, whole numbers and categories, in the numbers that a model sees.

**A number** x goes through a piecewise linear map z = T(x), whose knots are quantiles of the data, to the logistic
distribution of variance 1, and there has a mixture of logistic distributions:

    log p(x) = log Σ_k w_k f((z − μ_k)/s_k)/s_k + log T′(x),        F(z) = 1/(1 + e^{−z}).

Before training the mixture is nearly that logistic distribution, so that each column has the distribution of the data.

**A whole number** v (an integer or a date) is inside the model x = (v + u − m)/r, with u ~ U[−½, ½) and the column's
mean m and standard deviation r.  It has the probability of its cell,

    P(v) = F_mix(T(v + ½)) − F_mix(T(v − ½)),        p(x) = r·P(v),

where the difference of a logistic distribution is computed without cancellation,
log(F(b) − F(a)) = log F(b) + log F(−a) + log(1 − e^{a−b}).

**A category** c of K is K numbers inside the model: 1 at its place, −1 elsewhere, plus u ~ U[−½, ½) each.  So
p(x) = P(c) within the K-dimensional unit cube around a category, and 0 elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Streams

__all__ = [
    "UNIT",
    "Margin",
    "QuantileMap",
    "draw_mixture",
    "inside_cube",
    "margins_of",
    "mixture_log_density",
    "mixture_log_mass",
]

UNIT = math.sqrt(3.0) / math.pi
"""Scale of the logistic distribution of variance 1."""
LEAST, MOST = -5.0, 2.5
"""Range of log s: bounds what a few equal values can gain, and how wide a component can be."""
CLOSEST = 1e-4
"""Least distance of knots, in standard deviations."""
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
        if made.kind not in ("number", "whole", "category") or made.std <= 0 or made.size < 1:
            raise IncompatibleError(
                f"columns: {dict(table)}; expected kind = number, whole (mean, std > 0) or category (size ≥ 1)"
            )
        return made

    @property
    def width(self) -> int:
        """The number of numbers that stand for a cell inside a model."""
        return self.size if self.kind == "category" else 1

    def outputs(self, components: int) -> int:
        """The number of a network's outputs that determine the distribution of a cell."""
        return self.size if self.kind == "category" else 3 * components


class QuantileMap(nn.Module):
    """Piecewise linear maps T of some columns, increasing, with straight tails; the identity until :meth:`fit`.

    Args:
        columns: number of columns.
        knots: number of knots, at least 2.

    The buffers ``x`` and ``z`` are the knots ``(columns, knots)``; ``slopes`` ``(columns, knots + 1)`` those of the
    left tail, of each segment, and of the right tail.
    """

    x: Tensor
    z: Tensor
    slopes: Tensor

    def __init__(self, columns: int, knots: int) -> None:
        super().__init__()
        if knots < 2:
            raise IncompatibleError(f"knots = {knots}; expected at least 2")
        line = torch.linspace(-1.0, 1.0, knots).expand(columns, -1)
        self.register_buffer("x", line.clone())
        self.register_buffer("z", line.clone())
        self.register_buffer("slopes", torch.ones(columns, knots + 1))

    def fit(self, column: int, values: Tensor) -> None:
        """Sets the knots of a column to quantiles of its values, ``(n,)``, which may repeat but not all be equal."""
        seen, counts = torch.unique(values.double(), return_counts=True)
        rank = (counts.cumsum(0) - 0.5 * counts) / counts.sum()
        most = min(self.x.shape[1], max(2, len(values) // 4), len(seen))
        wanted = torch.linspace(float(rank[0]), float(rank[-1]), most, dtype=torch.float64)
        places = torch.unique(torch.searchsorted(rank, wanted - 1e-12).clamp(max=len(seen) - 1))
        kept = [int(places[0])]
        for place in places[1:].tolist():
            if seen[place] - seen[kept[-1]] > CLOSEST:
                kept.append(place)
        if len(kept) < 2:
            return
        x, z = seen[kept], UNIT * torch.logit(rank[kept])
        tail = max(1, len(kept) // 10)
        left, right = (z[tail] - z[0]) / (x[tail] - x[0]), (z[-1] - z[-1 - tail]) / (x[-1] - x[-1 - tail])
        more = torch.arange(1, self.x.shape[1] - len(kept) + 1, dtype=torch.float64)
        self.x[column] = torch.cat([x, x[-1] + more / right])
        self.z[column] = torch.cat([z, z[-1] + more])
        self.slopes[column] = torch.cat([left[None], z.diff() / x.diff(), right.expand(len(more) + 1)])

    def forward(self, x: Tensor, column: slice | int = slice(None)) -> tuple[Tensor, Tensor]:
        """Returns T(x) and log T′(x) of ``(n, columns)``, or of one column ``(n,)``."""
        which, start, slope = self._segment(self.x[column], x, column)
        return _at(self.z[column], which) + (x - start) * slope, slope.log()

    def inverse(self, z: Tensor, column: int) -> Tensor:
        """Returns T⁻¹(z) of one column, ``(n,)``."""
        which, start, slope = self._segment(self.z[column], z, column)
        return _at(self.x[column], which) + (z - start) / slope

    def _segment(self, knots: Tensor, at: Tensor, column: slice | int) -> tuple[Tensor, Tensor, Tensor]:
        """Finds the knot where the segment of each number begins, its value, and the slope."""
        found = at.detach().mT.contiguous() if at.dim() == 2 else at.detach()
        place = torch.searchsorted(knots, found)
        place = place.mT if at.dim() == 2 else place
        which = (place - 1).clamp(min=0)
        return which, _at(knots, which), _at(self.slopes[column], place)


def _at(table: Tensor, places: Tensor) -> Tensor:
    """Reads ``table[j, places[i, j]]``, or ``table[places]`` of one column."""
    return table[places] if table.dim() == 1 else table.mT.gather(0, places)


def mixture_log_density(z: Tensor, answer: Tensor) -> Tensor:
    """Computes the log-density of mixtures of logistic distributions at z.

    Args:
        z: numbers, ``(…)``.
        answer: a network's answer, ``(…, 3·components)``.
    """
    log_weights, mean, log_scale = _parameters(answer)
    t = (z[..., None] - mean) * torch.exp(-log_scale)
    each = functional.logsigmoid(t) + functional.logsigmoid(-t) - log_scale
    return torch.logsumexp(log_weights + each, -1)


def mixture_log_mass(below: Tensor, above: Tensor, answer: Tensor) -> Tensor:
    """Computes the log-probability of the interval from ``below`` to ``above``; see :func:`mixture_log_density`."""
    log_weights, mean, log_scale = _parameters(answer)
    a, b = ((edge[..., None] - mean) * torch.exp(-log_scale) for edge in (below, above))
    each = functional.logsigmoid(b) + functional.logsigmoid(-a) + torch.log(-torch.expm1((a - b).clamp(max=-1e-12)))
    return torch.logsumexp(log_weights + each, -1)


def draw_mixture(answer: Tensor, streams: Streams) -> Tensor:
    """Draws z of mixtures of logistic distributions, ``(n,)``, from answers ``(n, 3·components)``."""
    log_weights, mean, log_scale = _parameters(answer)
    which = streams.categorical(log_weights.exp())[:, None]
    u = streams.uniform(1).clamp(2.0**-25, 1.0 - 2.0**-24)
    return (mean.gather(1, which) + log_scale.gather(1, which).exp() * torch.logit(u)).squeeze(1)


def _parameters(answer: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns log w, μ and log s, each ``(…, components)``."""
    weight, mean, scale = answer.unflatten(-1, (3, -1)).unbind(-2)
    components = mean.shape[-1]
    first = torch.linspace(-0.3, 0.3, components, device=mean.device) if components > 1 else 0.0
    return weight.log_softmax(-1), mean + first, (scale + math.log(UNIT)).clamp(LEAST, MOST)


def inside_cube(x: Tensor) -> tuple[Tensor, Tensor]:
    """Finds the category of numbers ``(n, K)``, and whether they lie in its unit cube; both ``(n,)``."""
    code = x.argmax(1)
    centre = 2.0 * functional.one_hot(code, x.shape[1]) - 1.0
    return code, ((x - centre).abs() <= 0.5 + EDGE).all(1)


def margins_of(columns: Sequence[Mapping[str, Any]] | None, width: int) -> list[Margin]:
    """Reads the columns of a config; all are numbers unless given.

    Raises:
        IncompatibleError: they have another number of numbers than a sample.
    """
    made = [Margin()] * width if columns is None else [Margin.of(column) for column in columns]
    if (has := sum(margin.width for margin in made)) != width or not made:
        raise IncompatibleError(f"columns have {has} numbers, and shape has {width}; expected as many, and at least one")
    return made
