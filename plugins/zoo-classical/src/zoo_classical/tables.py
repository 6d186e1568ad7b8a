r"""Tables of probabilities: a loaded die, or the joint distribution of several columns of categories.

    p(x) = p_{x₁ … x_d},        T(x) = the indicator of each cell,        η = log p,        A = 0.

Maximum likelihood gives relative frequencies.  Under a Dirichlet(α) prior the mode is (counts + α − 1)/(n + Σ(α − 1)).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from zoo_classical.probabilities import Outcomes
from zoo_core.interfaces import Condition, SampleSpace, Streams
from zoo_core.interfaces.columns import Column

__all__ = ["Categorical"]


class Categorical(Outcomes):
    """A table of probabilities of the cells of one column of categories or several.

    Args:
        columns: names of the categories of each column, by the column's name: ``{"face": ["1", "2"]}``.

    Raises:
        ValueError: there is no column, or a column has no category.

    The buffer ``probabilities`` has one axis for each column.
    """

    def __init__(self, columns: Mapping[str, Sequence[str]]) -> None:
        self.sizes = tuple(len(names) for names in columns.values())
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"columns have {list(self.sizes)} categories; expected a column, with at least 1 each")
        super().__init__(1, self.sizes)
        made = tuple(Column(name, "category", categories=tuple(names)) for name, names in columns.items())
        self.space = SampleSpace("table", (len(made),), columns=made)

    def cell(self, x: Tensor) -> Tensor:
        """Finds the number of each sample's cell in the flattened table, int64 ``(n,)``."""
        place = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        for codes, size in zip(x.long().unbind(1), self.sizes, strict=True):
            place = place * size + codes.clamp(0, size - 1)
        return place

    def holds(self, x: Tensor) -> Tensor:
        most = torch.tensor(self.sizes, device=x.device)
        return ((x >= 0) & (x < most) & (x == x.floor())).all(1)

    def sufficient(self, x: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(self.cell(x), len(self.sums)).double()

    def total(self, x: Tensor, weights: Tensor) -> Tensor:
        return torch.zeros_like(self.sums).index_add_(0, self.cell(x), weights)

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        return torch.where(self.holds(x), self.natural()[self.cell(x)], -torch.inf)

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        place = streams.categorical(self.mean())
        return torch.stack(torch.unravel_index(place, self.sizes), 1).to(streams.dtype)

    def names(self) -> list[str]:
        """Names the cells: ``p(face=1)``, ``p(first=0, second=1)``."""
        labels = [[f"{c.name}={value}" for value in c.categories] for c in self.space.columns]
        return [f"p({', '.join(cell)})" for cell in itertools.product(*labels)]
