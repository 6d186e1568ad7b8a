"""Metrics that compare two sets of rows, all of them at once: samples, and as many training examples.

Their states are the rows, in parts that remember where they belong: merged in any order they are the same set.  The
standard error of a score is that of the mean over ten splits of both sets, each scored alone; for a share it is at
least that of a coin thrown n times (small splits may all agree).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from zoo_core.interfaces import Batch, Metric, Model, Result, Streams
from zoo_core.interfaces.dataset import DataSet
from zoo_metrics import real
from zoo_metrics.extractor import extractor_for

__all__ = ["Collected", "TwoSampleMetric"]

SPLITS = 10


@dataclass(frozen=True)
class Collected:
    """Rows of samples, with the index of the first of each part.

    Attributes:
        data: what they are compared with.
        parts: ``(index, (n, d))``.
        memo: what was computed of them, for the metrics that share them.
    """

    data: DataSet
    parts: tuple[tuple[int, Tensor], ...] = ()
    memo: dict[Hashable, Any] = field(default_factory=dict, compare=False)

    def rows(self) -> Tensor:
        """All rows, in the order of the samples."""
        return torch.cat([rows for _, rows in sorted(self.parts, key=lambda part: part[0])])


class TwoSampleMetric(Metric[Collected]):
    """A score of two sets of rows.

    Attributes:
        kind: what is computed; metrics of one kind and view share it.
        name: which of the kind's numbers this is.
        view: rows are features of the data set's extractor, or the coordinates themselves.
        share: whether the number is a share of n.
        most: at most so many samples are compared.
    """

    uses = "samples"
    kind: str
    name: str
    view: Literal["features", "coordinates"] = "features"
    direction: Literal["lower", "higher"] = "lower"
    share = False
    most = real.MOST

    @abstractmethod
    def scores(self, fake: Tensor, true: Tensor) -> Mapping[str, float]:
        """The numbers of this kind for rows of samples ``(n, d)`` and of training examples ``(m, d)``."""

    def about(self) -> str:
        """The settings of the score, for the protocol."""
        return ""

    def shares(self) -> Hashable:
        return ("collected", self.view)

    def size(self, data: DataSet) -> int:
        return min(self.most, real.size(data))

    def check(self, model: Model, data: DataSet) -> None:
        real.check(model, data)
        if self.view == "features" and data.levels is not None:
            extractor_for(data)

    def by_default(self, model: Model) -> bool:
        return self.view == "features" or model.space.kind == "points"  # nobody wants distances between grey values

    def init(self, model: Model, data: DataSet) -> Collected:
        self.check(model, data)
        return Collected(data)

    def update(self, state: Collected, model: Model, batch: Batch, streams: Streams) -> Collected:
        rows = batch.x.flatten(1)
        if state.data.levels is None:
            rows = rows.double()
        elif self.view == "features":
            rows = extractor_for(state.data)(batch.x)[0]
        else:
            rows = rows.float()  # as the real images are, whatever the model computes in
        return Collected(state.data, (*state.parts, (streams.start, rows)))

    def merge(self, a: Collected, b: Collected) -> Collected:
        return Collected(a.data, a.parts + b.parts)

    def compute(self, state: Collected) -> Result:
        fake, true = self._sets(state)
        key = (self.kind, "scores")
        if key not in state.memo:
            whole = self.scores(fake, true)
            splits = [self.scores(f, t) for f, t in zip(fake.chunk(SPLITS), true.chunk(SPLITS), strict=True)]
            state.memo[key] = (whole, splits, self.anchors(state.data, true, len(fake)))
        whole, splits, anchors = state.memo[key]
        value = whole[self.name]
        each = torch.tensor([split[self.name] for split in splits], dtype=torch.float64)
        stderr = each.std().item() / math.sqrt(SPLITS)
        if self.share:
            stderr = max(stderr, math.sqrt(value * (1 - value) / len(fake)))
        words = [f"{len(true):,} training examples", self.about()]
        if state.data.levels is not None:
            words.insert(0, f"{state.data.levels} levels")
            if self.view == "features":
                words.insert(0, f"features {extractor_for(state.data).name}")
        return Result(
            value=value,
            stderr=stderr,
            n=len(fake),
            unit="",
            direction=self.direction,
            anchors=anchors.get(self.name, {}),
            protocol=", ".join(filter(None, words)),
        )

    def anchors(self, data: DataSet, true: Tensor, n: int) -> Mapping[str, Mapping[str, float]]:
        """What real test examples score: shipped for the usual sample size, else measured."""
        known = real.shipped().get(f"{self.kind}/{data.name}/{n}")
        if known is not None and real.is_whole_training_set(data):
            return known
        view = real.features if self.view == "features" else real.coordinates
        return real.anchors(lambda rows: self.scores(rows, true), view, data, n)

    def _sets(self, state: Collected) -> tuple[Tensor, Tensor]:
        """The samples, and as many training examples (or all there are)."""
        fake = state.rows()[: self.most]
        real.check_count(len(fake))
        key = ("true", self.view, len(fake))
        if key not in state.memo:
            chosen = real.some(state.data, len(fake), "reference")
            state.memo[key] = real.features(chosen) if self.view == "features" else real.coordinates(chosen)
        return fake, state.memo[key]
