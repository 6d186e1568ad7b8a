"""Scores how unusual examples are under a model, with p-values calibrated against held-out data.

A row with missing values is compared with held-out rows that lack the same values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from zoo_core.datasets.prepared import Prepared
from zoo_core.datasets.reading import read_samples
from zoo_core.errors import DivergenceError, IncompatibleError
from zoo_core.evaluation import data_of
from zoo_core.interfaces import Condition, DataSet, Density, Model, Streams, Values, can
from zoo_core.loading import load
from zoo_core.randomness import generator
from zoo_core.sampling import default_batch_size
from zoo_core.scoring.calibration import p_values, rate_interval, usable_rate
from zoo_core.scoring.statistics import Seen, Statistic, statistic_for

__all__ = ["Scores", "held_out_from", "score"]

Progress = Callable[[int, int], None]

LEARNED = 1000
"""Greatest number of training examples that a statistic learns from."""

MOST_COLUMNS = 256
"""Greatest number of columns whose contributions are computed."""


@dataclass(frozen=True)
class Scores:
    """How unusual n examples are.

    Attributes:
        score: statistic, ``(n,)`` in float64: the greater, the more unusual.
        p: calibrated p-values, ``(n,)``: the share of usual examples that are at least as unusual.
        flagged: whether p is at most ``false_alarms``, bool ``(n,)``.
        contributions: surprise of each value given the others of its row, −log p(x_j | x_rest) in nats, ``(n, d)``;
            NaN for missing values; ``None`` where it is not exact.
        statistic: name of the statistic.
        note: description of the statistic, which continues the sentence "scored by …".
        held_out: number of held-out examples that p is calibrated by.
        false_alarms: share of usual examples that are flagged.
        interval: 95 % interval of this share over sets of held-out examples of this size.
    """

    score: Tensor
    p: Tensor
    flagged: Tensor
    contributions: Tensor | None
    statistic: str
    note: str
    held_out: int
    false_alarms: float
    interval: tuple[float, float]


def score(
    model: Model | str,
    x: Values | DataSet,
    *,
    statistic: str | None = None,
    false_alarms: float | None = None,
    held_out: DataSet | None = None,
    training: DataSet | None = None,
    n: int = 2000,
    seed: int = 0,
    condition: Condition | Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Scores how unusual examples are.

    Args:
        model: model, or a reference to one.
        x: examples in the user's range, ``(k, *space.shape)``, with NaN where the model takes missing values; or a data
            set.
        statistic: ``surprise``, ``profile`` or ``own`` (:mod:`zoo_core.scoring.statistics`); the model's default unless
            given.
        false_alarms: share of usual examples to flag; 0.01, or the least that the held-out data allow, unless given.
        held_out: usual examples that the model was not trained on; the test split of the model's data unless given.
        training: examples that the statistic learns from, where it does; the training split unless given, or half of
            the held-out examples where it is not known.
        n: greatest number of held-out examples to use.
        seed: seed of the random numbers and of the choice of held-out examples.
        condition: condition of the examples, as for :func:`zoo_core.sample`; held-out examples then have their own.
        batch_size: number of examples handled at once; chosen for the model unless given.
        progress: function that is called with ``(done, total)`` after every batch.

    Raises:
        IncompatibleError: no statistic fits the model, its data are not known, or an argument is out of its range.
        DivergenceError: a score is not a number.
    """
    if isinstance(model, str):
        model = load(model)
    kind = statistic_for(model, statistic)
    held_out = data_of(model, "test") if held_out is None else held_out
    if not len(held_out):
        raise IncompatibleError(f"{held_out.name} has no examples to calibrate with; give some with held_out=…")
    chosen = torch.randperm(len(held_out), generator=generator(seed, "calibration"))[:n]
    rate = usable_rate(false_alarms, len(chosen))
    data = x if isinstance(x, DataSet) else _data(model, x, held_out, condition)
    conditional = condition is not None or isinstance(x, DataSet)
    table = [_Examples(model, each, seed, conditional) for each in (data, held_out)]
    every = torch.arange(len(data))
    hidden = _hidden(model, data, held_out)
    patterns = [(torch.zeros(0), every)] if hidden is None else _patterns(hidden)
    total = len(every) + len(chosen) * len(patterns)
    run = _Run(kind, batch_size or default_batch_size(model), progress, total)
    if kind.learns:
        known = _training(model) if training is None else training
        if known is None:  # half of the held-out examples stand for them, and only the others calibrate
            known, some, chosen = held_out, chosen[: len(chosen) // 2], chosen[len(chosen) // 2 :]
            rate = usable_rate(false_alarms, len(chosen))
        else:
            some = torch.randperm(len(known), generator=generator(seed, "training"))[:LEARNED]
        run.total += len(some)
        kind.learn(run.values(_Examples(model, known, seed, conditional), some))
    scores, p = torch.empty(len(every), dtype=torch.float64), torch.empty(len(every), dtype=torch.float64)
    for pattern, rows in patterns:
        usual = kind.compare(run.values(table[1], chosen, pattern))
        scores[rows] = kind.compare(run.values(table[0], rows))
        p[rows] = p_values(scores[rows], usual)
        if bool(usual.isnan().any()):
            raise DivergenceError("the score of a held-out example is not a number; try --dtype float64")
    if bool((wrong := scores.isnan()).any()):
        raise DivergenceError(f"the score of example {int(wrong.nonzero()[0])} is not a number; try --dtype float64")
    return Scores(
        scores,
        p,
        p <= rate,
        _contributions(model, kind, table[0], run),
        kind.name,
        kind.note,
        len(chosen),
        rate,
        rate_interval(rate, len(chosen)),
    )


def held_out_from(model: Model, source: str) -> DataSet:
    """Reads usual examples from a file, to calibrate with.

    Args:
        model: model whose sample space the examples must belong to.
        source: path of a file (:func:`zoo_core.datasets.reading.read_samples`).
    """
    x = read_samples(source, model.space.user, missing=model.takes_missing)
    known = _training(model)
    levels = known.levels if known is not None else 256 if model.space.kind == "image" else None
    like = DataSet(source, "test", x, levels=levels, space=model.space.user)
    return replace(_data(model, x, like, None), name=source)


def _training(model: Model) -> DataSet | None:
    """Loads the training split of a model's data; ``None`` where the model has no recipe that names them."""
    try:
        return data_of(model, "train")
    except IncompatibleError:
        return None


class _Examples:
    """The examples of a data set on the model's side, with their conditions or without."""

    def __init__(self, model: Model, data: DataSet, seed: int, conditional: bool) -> None:
        self.prepared, self.conditional, self.seed = Prepared(model, data, seed), conditional, seed

    def seen(self, which: Tensor, hidden: Tensor) -> Seen:
        """Reads rows, and hides the values of a mask from the model."""
        model, data = self.prepared.model, self.prepared.data
        batch = self.prepared.rows(which)
        if not self.conditional:
            batch = replace(batch, condition=None)
        if hidden.numel():
            encoding = model.space.encoding
            inside = hidden if encoding is None else encoding.inside(hidden[None])[0]
            batch = replace(batch, x=batch.x.masked_fill(inside, math.nan))
        if batch.x.is_floating_point():
            batch = replace(batch, x=batch.x.to(model.state_dtype))
        purpose = f"score/{data.name}/{data.split}"
        streams = Streams(self.seed, purpose, 0, len(data), device=model.device, dtype=model.state_dtype)
        return Seen(batch.to(model.device), data.rows(which).x, data.levels, streams.rows(which))


@dataclass
class _Run:
    """The evaluation of a statistic, batch by batch."""

    statistic: Statistic
    size: int
    progress: Progress | None
    total: int
    done: int = 0

    def values(self, examples: _Examples, which: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Computes the statistic of rows, whose hidden values are missing."""
        mask, parts = torch.zeros(0) if hidden is None else hidden, []
        for part in torch.split(which, self.size):
            with torch.inference_mode():
                parts.append(self.statistic.of(examples.seen(part, mask)))
            self.done += len(part)
            if self.progress is not None and self.done <= self.total:
                self.progress(self.done, self.total)
        return torch.cat(parts)


def _data(model: Model, x: Values, like: DataSet, condition: Condition | Mapping[str, Any] | None) -> DataSet:
    """Makes a data set of a user's examples, stored as the held-out data are.

    Grey levels are those of the held-out data, so that what is done to these is done to the examples.
    """
    if isinstance(condition, Mapping):
        condition = Condition.of(condition, model.conditions, len(x))
    columns = {} if condition is None else dict(condition.values)
    if like.levels is not None and isinstance(x, Tensor):
        grey = (x * (like.levels - 1)).round().clamp(0, like.levels - 1)
        stored: Values = grey.to(torch.uint8 if like.levels <= 256 else torch.int32)
    else:
        stored = x if model.space.encoding is not None else model.space.from_user(x)
    return DataSet("scored", "test", stored, columns, levels=like.levels, space=like.sample_space)


def _hidden(model: Model, data: DataSet, held_out: DataSet) -> Tensor | None:
    """Returns the mask of missing values of examples, bool ``(n, *shape)``.

    ``None`` where none is missing, or values are missing in the held-out data too, which are then used as they are.
    """
    if not (model.takes_missing and isinstance(data.x, Tensor) and data.x.is_floating_point()):
        return None
    hidden = torch.isnan(data.x)
    usual = held_out.rows(torch.arange(min(len(held_out), 256))).x
    if not bool(hidden.any()) or (isinstance(usual, Tensor) and bool(torch.isnan(usual).any())):
        return None
    return hidden


def _patterns(hidden: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Lists the different masks, each with the rows that have it."""
    masks, which = torch.unique(hidden, dim=0, return_inverse=True)
    return [(mask, (which == i).nonzero().squeeze(1)) for i, mask in enumerate(masks)]


def _contributions(model: Model, statistic: Statistic, examples: _Examples, run: _Run) -> Tensor | None:
    """Computes −log p(x_j | x_rest) = log p(x_rest) − log p(x) of each value, where the marginals are exact."""
    shape = model.space.user.shape
    integrates = model.takes_missing and model.marginals_are == "exact"
    exact = integrates and can(model, Density) and cast(Any, model).log_prob_is == "exact"
    if not exact or statistic.name != "surprise" or len(shape) != 1 or shape[0] is None or shape[0] > MOST_COLUMNS:
        return None
    every = torch.arange(len(examples.prepared))
    whole = run.values(examples, every)
    columns = []
    for j in range(shape[0]):
        hidden = torch.zeros(shape[0], dtype=torch.bool)
        hidden[j] = True
        columns.append(whole - run.values(examples, every, hidden))
    missing = torch.isnan(cast(Tensor, examples.prepared.data.x))
    return torch.stack(columns, 1).masked_fill(missing, math.nan)
