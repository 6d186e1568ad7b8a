r"""Autoregressive models of the columns of a table, in any order (Uria et al. 2014; Hoogeboom et al. 2022).

One network is given any set S of a row's cells, and says how every other cell is distributed given these,

    q(x_j | x_S),        S ⊂ {1 … d},  j ∉ S,

because its inputs say which cells are known.  The distributions of single cells are those of
:mod:`zoo_autoregressive.margins`.  The density of a row is that of one order, the columns' own,

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

from zoo_autoregressive.margins import (
    Margin,
    QuantileMap,
    draw_mixture,
    inside_cube,
    margins_of,
    mixture_log_density,
    mixture_log_mass,
)
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Completer, Condition, DataSet, Density, DirectSampler, Model, SampleSpace, Streams

__all__ = ["AutoregressiveTable"]

FEWEST_STEPS, MOST_STEPS = 200, 8000
"""Bounds of the number of training steps for a reader's own table."""


class AutoregressiveTable(Model, Density, DirectSampler, Completer):
    """An autoregressive model of a table's columns in any order.

    Args:
        shape: ``[numbers]``: the numbers of a row inside the model, one for each column of numbers, K for a category.
        columns: columns as tables with ``kind`` and ``mean``, ``std`` or ``size``
            (:class:`~zoo_autoregressive.margins.Margin`); all are numbers unless given.
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
        self.margins = margins_of(columns, shape[0])
        ends = torch.tensor([0, *(margin.width for margin in self.margins)]).cumsum(0).tolist()
        self.places = [slice(start, stop) for start, stop in zip(ends, ends[1:], strict=False)]
        self.of_column: Tensor
        widths = torch.tensor([margin.width for margin in self.margins])
        self.register_buffer("of_column", torch.arange(len(widths)).repeat_interleave(widths), persistent=False)
        self.starts: Tensor
        self.register_buffer("starts", torch.tensor(ends[:-1]), persistent=False)
        self.real = [j for j, margin in enumerate(self.margins) if margin.kind != "category"]
        self.map = QuantileMap(max(1, len(self.real)), knots)
        whole = [self.margins[j] if self.margins[j].kind == "whole" else Margin() for j in self.real]
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor([m.mean for m in whole], dtype=torch.float64), persistent=False)
        self.std: Tensor
        self.register_buffer("std", torch.tensor([m.std for m in whole], dtype=torch.float64), persistent=False)
        self.whole: Tensor
        self.register_buffer("whole", torch.tensor([self.margins[j].kind == "whole" for j in self.real]), persistent=False)
        outputs = [margin.outputs(components) for margin in self.margins]
        marks = torch.tensor([0, *outputs]).cumsum(0).tolist()
        self.answers = [slice(start, stop) for start, stop in zip(marks, marks[1:], strict=False)]
        self.first = nn.Linear(shape[0] + len(self.margins), hidden)
        self.gate = nn.Linear(len(self.margins), hidden)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.SiLU(), nn.Dropout(dropout), nn.Linear(hidden, hidden)
            )
            for _ in range(blocks)
        )
        self.last = nn.Linear(hidden, marks[-1])
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @classmethod
    def config_for(cls, config: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Adapts a config to other data, whose columns it is told."""
        adapted = super().config_for(config, data, shape)
        columns = [column for column in data.sample_space.columns if column.width]
        if not columns:
            adapted.pop("columns", None)
            return adapted
        kinds = {"number": "number", "integer": "whole", "date": "whole", "category": "category"}
        tables: list[dict[str, Any]] = []
        for column in columns:
            table: dict[str, Any] = {"kind": kinds[column.type]}
            if table["kind"] == "whole":
                table |= {"mean": column.mean, "std": column.std}
            elif table["kind"] == "category":
                table |= {"size": column.width}
            tables.append(table)
        return {**adapted, "columns": tables}

    @classmethod
    def recipe_for(cls, recipe: Mapping[str, Any], data: DataSet, shape: Sequence[int]) -> dict[str, Any]:
        """Takes about one step for each example, so that a few hundred rows are not learned by heart."""
        return {"steps": min(int(recipe.get("steps", MOST_STEPS)), max(FEWEST_STEPS, len(data) + 100))}

    def learn_scales(self, x: Tensor) -> None:
        """Sets the maps T, and the answers for rows of which nothing is known, from data ``(n, numbers)`` with NaN."""
        with torch.no_grad():
            for place, j in enumerate(self.real):
                values = x[:, self.places[j]].squeeze(1)
                self.map.fit(place, values[~values.isnan()])
            for j, margin in enumerate(self.margins):
                if margin.kind == "category":
                    cells = x[:, self.places[j]]
                    codes = cells[~cells.isnan().any(1)].argmax(1)
                    counts = torch.bincount(codes, minlength=margin.size) + 0.5
                    self.last.bias[self.answers[j]] = (counts / counts.sum()).log()

    def codes(self, x: Tensor) -> Tensor:
        """Returns what the network sees of cells: z = T(x) of numbers, 0 and 1 for categories; ``(n, numbers)``."""
        clean = x.nan_to_num(0.0)
        seen = clean.clone()
        for j, margin in enumerate(self.margins):
            if margin.kind == "category":
                code = clean[:, self.places[j]].argmax(1)
                seen[:, self.places[j]] = functional.one_hot(code, margin.size).to(seen.dtype)
        if self.real:
            columns = self.starts[self.real]
            seen[:, columns] = self.map(self._centres(clean[:, columns]))[0]
        return seen

    def features(self, codes: Tensor, known: Tensor) -> Tensor:
        """Computes the hidden units of the network.

        Args:
            codes: :meth:`codes` of the cells, of which those that are not known are not read.
            known: which columns are known, bool ``(n, columns)``.
        """
        mask = known.to(codes.dtype)
        h = self.first(torch.cat([codes * mask[:, self.of_column], mask], 1)) * (1.0 + self.gate(mask))
        for block in self.blocks:
            h = h + block(h)
        return h

    def cell_log_prob(self, x: Tensor, j: int, answer: Tensor) -> Tensor:
        """Computes log q of the cells of column j, ``(n,)``, from the network's answers for it."""
        cells = x[:, self.places[j]]
        if self.margins[j].kind != "category":
            place = self.real.index(j)
            return self._real_log_prob(cells, answer[:, None], slice(place, place + 1)).squeeze(1)
        code, inside = inside_cube(cells)
        found = answer.log_softmax(1).gather(1, code[:, None]).squeeze(1)
        return torch.where(inside, found, -torch.inf)

    def cells_log_prob(self, x: Tensor, answers: Tensor) -> Tensor:
        """Computes log q of all cells, ``(n, columns)``, from the network's answers for all columns."""
        found = x.new_empty(len(x), len(self.margins))
        if self.real:
            parts = torch.stack([answers[:, self.answers[j]] for j in self.real], 1)
            found[:, self.real] = self._real_log_prob(x[:, self.starts[self.real]], parts, slice(None))
        for j, margin in enumerate(self.margins):
            if margin.kind == "category":
                found[:, j] = self.cell_log_prob(x, j, answers[:, self.answers[j]])
        return found

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

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        """Computes the exact log p(x) in nats, ``(n,)``; of a row with missing cells, the learned one of the others."""
        present = ~x.isnan()[:, self.starts]
        return self.chain(x, torch.zeros_like(present), present)

    def chain(self, x: Tensor, known: Tensor, wanted: Tensor) -> Tensor:
        """Computes Σ log q of the cells ``wanted``, one after the other, given those ``known`` and the wanted before.

        Args:
            x: rows, ``(n, numbers)``; cells that are neither known nor wanted are not read.
            known, wanted: columns, bool ``(n, columns)``, with none in both.

        Returns:
            nats, ``(n,)``.
        """
        clean, codes = x.nan_to_num(0.0), self.codes(x)
        total, seen = x.new_zeros(len(x)), known.clone()
        for j in range(len(self.margins)):
            rows = wanted[:, j].nonzero().squeeze(1)
            if len(rows):
                h = self.features(codes[rows], seen[rows])
                answer = functional.linear(h, self.last.weight[self.answers[j]], self.last.bias[self.answers[j]])
                total = total.index_add(0, rows, self.cell_log_prob(clean[rows], j, answer))
            seen = seen.clone()
            seen[:, j] |= wanted[:, j]
        return total

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        x = torch.zeros(len(streams), *self.space.sizes, dtype=streams.dtype, device=streams.device)
        return self.drawn(x, torch.zeros(len(x), len(self.margins), dtype=torch.bool, device=x.device), streams)

    def drawn(self, x: Tensor, known: Tensor, streams: Streams) -> Tensor:
        """Draws the cells of columns that are not known, one after the other, given the known ones and those before.

        Args:
            x: rows, ``(n, numbers)``; unknown cells are not read.
            known: columns that are known, bool ``(n, columns)``.
            streams: random streams, one per row.
        """
        made = torch.where(known[:, self.of_column], x, 0.0)
        codes, seen = self.codes(made), known.clone()
        for j, place in enumerate(self.places):
            answer = self.last.bias[self.answers[j]].expand(len(x), -1)
            if not bool(seen[:, j].all()):  # every row draws its numbers all the same, as it would among others
                h = self.features(codes, seen)
                answer = functional.linear(h, self.last.weight[self.answers[j]], self.last.bias[self.answers[j]])
            cells = self._draw_cells(j, answer, streams).to(made.dtype)
            made[:, place] = torch.where(seen[:, j, None], made[:, place], cells)
            codes[:, place] = torch.where(seen[:, j, None], codes[:, place], self._codes_of(j, cells))
            seen[:, j] = True
        return made

    def _draw_cells(self, j: int, answer: Tensor, streams: Streams) -> Tensor:
        """Draws the cells of column j, ``(n, width)``, from the network's answers for it."""
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

    def _codes_of(self, j: int, cells: Tensor) -> Tensor:
        """Returns :meth:`codes` of the cells of column j, ``(n, width)``."""
        margin = self.margins[j]
        if margin.kind == "category":
            return functional.one_hot(cells.argmax(1), margin.size).to(cells.dtype)
        which = slice(self.real.index(j), self.real.index(j) + 1)
        return self.map(self._centres(cells, which), which)[0]

    def _centres(self, values: Tensor, which: slice = slice(None)) -> Tensor:
        """Replaces whole numbers that noise was added to by the numbers themselves, ``(n, real columns)``."""
        if not bool((whole := self.whole[which]).any()):
            return values
        mean, std = self.mean[which], self.std[which]
        centres = ((values.double() * std + mean).round() - mean) / std
        return torch.where(whole, centres.to(values.dtype), values)

    def known_columns(self, known: Tensor) -> Tensor:
        """Returns which columns are known, bool ``(n, columns)``, of a mask of numbers ``(n, numbers)``."""
        return known.flatten(1)[:, self.starts.to(known.device)]

    def completes(self, known: Tensor) -> str | None:
        columns = self.known_columns(known)
        if bool((columns[:, 1:] & ~columns[:, :-1]).any()):
            return "has the density of one order of its columns, and what is known is not the beginning of it"
        return None

    def complete(self, x: Tensor, known: Tensor, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        """Draws the unknown cells given the known ones, which are the first columns."""
        return torch.where(known, x, self.drawn(x, self.known_columns(known), streams).to(x.dtype))
