r"""Autoregressive models of the columns of a table, in any order (Uria et al. 2014; Hoogeboom et al. 2022).

One network is given any set S of a row's cells, and says how every other cell is distributed given these,

    q(x_j | x_S),        S ⊂ {1 … d},  j ∉ S,

because its inputs say which cells are known.  The distributions of single cells are those of
:mod:`zoo_autoregressive.columns`.  The density of a row is that of one order, the columns' own,

    log p(x) = Σ_j log q(x_j | x_1 … x_{j−1}),

which is exact, and which samples have.  It takes d evaluations of the network, as a sample does.

**Missing cells** are never in S.  So the network is trained on rows with holes as they are, and

    log p(x_K) = Σ_{j ∈ K} log q(x_j | x_{i ∈ K, i < j})

is a density of the known cells K of a row, which sums to one for each K.  It is *learned* for every K: it agrees with
∫ p(x) over the missing cells as far as training brings it, and exactly where K is a beginning of the order.

**Completion.**  The unknown cells U are drawn one after the other, given everything known.  That is a draw from p where
what is known is the beginning of the order.  Elsewhere its density is q(x_U | x_K) = ∏_{j ∈ U} q(x_j | x_K, x_{i ∈ U,
i < j}), which the sampler ``any-order`` corrects, if asked, by weights p(x)/q(x_U | x_K).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.columns import Margin, TableColumns
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Completer, Condition, DataSet, Density, DirectSampler, Model, SampleSpace, Streams

__all__ = ["AutoregressiveTable"]

FEWEST_STEPS, MOST_STEPS, PASSES = 200, 8000, 120
"""Bounds of the number of training steps for a reader's own table, and the passes over it between them."""
FEW_ROWS = 2000
"""Number of rows below which one block and four components learn as well as more, in less time."""


class AutoregressiveTable(Model, Density, DirectSampler, Completer):
    """An autoregressive model of a table's columns in any order.

    Args:
        shape: ``[numbers]``: the numbers of a row inside the model, one for each column of numbers, K for a category.
        columns: columns as tables with ``kind`` and ``mean``, ``std`` or ``size``
            (:class:`~zoo_autoregressive.columns.Margin`); all are numbers unless given.
        hidden: units of the network.
        blocks: number of residual blocks of two layers.
        components: number of logistic distributions in the mixture of a number.
        knots: greatest number of quantiles of a column that its map T goes through.
        dropout: share of hidden units that are left out in training.

    Raises:
        IncompatibleError: an argument is out of its range, or the columns do not fit the shape.
    """

    takes_missing = True
    marginals_are = "learned"

    def __init__(
        self,
        shape: Sequence[int],
        columns: Sequence[Mapping[str, Any]] | None = None,
        hidden: int = 128,
        blocks: int = 1,
        components: int = 4,
        knots: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(shape) != 1 or hidden < 1 or blocks < 0 or components < 1 or not 0.0 <= dropout < 1.0:
            raise IncompatibleError(
                f"shape = {list(shape)}, hidden = {hidden}, blocks = {blocks}, components = {components}, dropout = "
                f"{dropout}; expected one axis, sizes of at least 1, and a share below 1"
            )
        self.space = SampleSpace("points", tuple(shape))
        self.columns = TableColumns(shape[0], columns, components, knots)
        self.first = nn.Linear(shape[0] + len(self.columns), hidden)
        self.gate = nn.Linear(len(self.columns), hidden)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(hidden),
                nn.Linear(hidden, hidden),
                nn.SiLU(),
                nn.Dropout(dropout),
                nn.Linear(hidden, hidden),
            )
            for _ in range(blocks)
        )
        self.last = nn.Linear(hidden, self.columns.outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @classmethod
    def config_for(cls, config: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Adapts a config to other data, whose columns it is told; a reader's few rows get a small network."""
        adapted = {**super().config_for(config, data, shape)}
        adapted.pop("columns", None)
        if data.split_of is not None and len(data) < FEW_ROWS:
            adapted |= {"blocks": 1, "components": 4}
        columns = [Margin.table(column) for column in data.sample_space.columns if column.width]
        return {**adapted, "columns": columns} if columns else adapted

    @classmethod
    def recipe_for(cls, recipe: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Takes 120 passes over a reader's own table, and lets weights decay, so that rows are not learned by heart."""
        batch = min(int(recipe.get("batch", 64)), 1 << (max(1, len(data) // 2).bit_length() - 1))
        passes = min(MOST_STEPS, max(FEWEST_STEPS, PASSES * len(data) // batch))
        return {"steps": passes, "optimiser": "adamw", "weight_decay": 0.3}

    def learn_scales(self, x: Tensor) -> None:
        """Sets the maps T, and the answers for rows of which nothing is known, from data ``(n, numbers)`` with NaN."""
        with torch.no_grad():
            self.last.bias.copy_(self.columns.fit(x))

    def features(self, codes: Tensor, known: Tensor) -> Tensor:
        """Computes the hidden units of the network.

        Args:
            codes: :meth:`~TableColumns.codes` of the cells, of which those that are not known are not read.
            known: which columns are known, bool ``(n, columns)``.
        """
        codes, mask = codes.to(self.last.weight.dtype), known.to(self.last.weight.dtype)
        h = self.first(torch.cat([codes * mask[:, self.columns.of_number], mask], 1)) * (1.0 + self.gate(mask))
        for block in self.blocks:
            h = h + block(h)
        return h

    def answer(self, j: int, codes: Tensor, known: Tensor) -> Tensor:
        """Computes the network's answers for column j, ``(n, outputs of j)``, from :meth:`features`' arguments."""
        place = self.columns.answers[j]
        found = functional.linear(self.features(codes, known), self.last.weight[place], self.last.bias[place])
        return found.to(codes.dtype)

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes the exact log p(x) in nats, ``(n,)``; of a row with missing cells, the learned one of the others."""
        present = ~x.isnan()[:, self.columns.starts]
        return self.chain(x, torch.zeros_like(present), present)

    def chain(self, x: Tensor, known: Tensor, wanted: Tensor) -> Tensor:
        """Computes Σ log q of the cells ``wanted``, one after the other, given those ``known`` and the wanted before.

        Args:
            x: rows, ``(n, numbers)``; cells that are neither known nor wanted are not read.
            known, wanted: columns, bool ``(n, columns)``, with none in both.

        Returns:
            nats, ``(n,)``.
        """
        clean, codes = x.nan_to_num(0.0), self.columns.codes(x)
        total, seen = x.new_zeros(len(x)), known
        for j in range(len(self.columns)):
            rows = wanted[:, j].nonzero().squeeze(1)
            if len(rows):
                answer = self.answer(j, codes[rows], seen[rows])
                total = total.index_add(0, rows, self.columns.log_prob_of(j, clean[rows], answer))
            seen = seen.clone()
            seen[:, j] |= wanted[:, j]
        return total

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        x = torch.zeros(len(streams), *self.space.sizes, dtype=streams.dtype, device=streams.device)
        return self.drawn(x, torch.zeros(len(x), len(self.columns), dtype=torch.bool, device=x.device), streams)

    def drawn(self, x: Tensor, known: Tensor, streams: Streams) -> Tensor:
        """Draws the cells of columns that are not known, one after the other, given the known ones and those before.

        Args:
            x: rows, ``(n, numbers)``; unknown cells are not read.
            known: columns that are known, bool ``(n, columns)``.
            streams: random streams, one per row.
        """
        made = torch.where(known[:, self.columns.of_number], x, 0.0)
        codes, seen = self.columns.codes(made), known.clone()
        for j, place in enumerate(self.columns.places):
            if bool(seen[:, j].all()):  # rows draw numbers all the same, as they do among others that lack the column
                answer = self.last.bias[self.columns.answers[j]].expand(len(x), -1)
            else:
                answer = self.answer(j, codes, seen)
            cells = self.columns.draw(j, answer, streams).to(made.dtype)
            made[:, place] = torch.where(seen[:, j, None], made[:, place], cells)
            codes[:, place] = torch.where(seen[:, j, None], codes[:, place], self.columns.codes_of(j, cells))
            seen[:, j] = True
        return made

    def known_columns(self, known: Tensor) -> Tensor:
        """Returns which columns are known, bool ``(n, columns)``, of a mask of numbers ``(n, numbers)``."""
        return known.flatten(1)[:, self.columns.starts.to(known.device)]

    def completes(self, known: Tensor) -> str | None:
        columns = self.known_columns(known)
        if bool((columns[:, 1:] & ~columns[:, :-1]).any()):
            return "has the density of one order of its columns, and what is known is not the beginning of it"
        return None

    def complete(self, x: Tensor, known: Tensor, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        """Draws the unknown cells given the known ones, which are the first columns."""
        return torch.where(known, x, self.drawn(x, self.known_columns(known), streams).to(x.dtype))
