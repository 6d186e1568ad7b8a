"""Two-sample metrics, which compare all samples at once with an equal number of training examples.

Their states are rows of samples, in parts with their index, so that they can be merged in any order.  The standard
error of a score is that of the mean over ten splits of both sets; for a share it is at least the binomial standard
error of n samples, since all small splits may give one value.
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
from zoo_metrics.extractor import features_for

__all__ = ["Collected", "CollectedMetric", "TwoSampleMetric"]

SPLITS = 10


@dataclass(frozen=True)
class Collected:
    """Rows of samples in parts.

    Attributes:
        data: data set that the samples are compared with.
        parts: pairs of the index of the first row and the rows ``(n, d)``.
        memo: computed scores, for the metrics that share this state.
    """

    data: DataSet
    parts: tuple[tuple[int, Tensor], ...] = ()
    memo: dict[Hashable, Any] = field(default_factory=dict, compare=False)

    def rows(self) -> Tensor:
        """Concatenates all rows in the order of the samples."""
        return torch.cat([rows for _, rows in sorted(self.parts, key=lambda part: part[0])])


class CollectedMetric(Metric[Collected]):
    """A metric of the rows of all samples together.

    Attributes:
        view: rows of a sample, ``features`` of the data set's extractor or its ``coordinates``.
        most: greatest number of samples that are compared.
    """

    uses = "samples"
    view: Literal["features", "coordinates"] = "features"
    direction: Literal["lower", "higher"] = "lower"
    most = real.MOST

    @property
    def rows_of(self) -> real.View:
        """The function from a data set to its rows, ``(n, d)``."""
        return real.features if self.view == "features" else real.coordinates

    def shares(self) -> Hashable:
        return ("collected", self.view)

    def size(self, data: DataSet) -> int:
        return min(self.most, real.size(data))

    def check(self, model: Model, data: DataSet) -> None:
        real.check(model, data)
        if self.view == "features" and data.levels is not None:
            features_for(data)

    def by_default(self, model: Model) -> bool:
        # Distances between grey values say little about images.
        return self.view == "features" or model.space.kind == "points"

    def init(self, model: Model, data: DataSet) -> Collected:
        self.check(model, data)
        return Collected(data)

    def update(self, state: Collected, model: Model, batch: Batch, streams: Streams) -> Collected:
        rows = batch.x.flatten(1)
        if state.data.levels is None:
            rows = rows.double()
        elif self.view == "features":
            rows = features_for(state.data).features(batch.x)
        else:
            rows = rows.float()  # the type of the real images' rows, for models of every precision
        return Collected(state.data, (*state.parts, (streams.start, rows)))

    def merge(self, a: Collected, b: Collected) -> Collected:
        return Collected(a.data, a.parts + b.parts)


class TwoSampleMetric(CollectedMetric):
    """A score of the rows of samples and those of an equal number of training examples.

    Attributes:
        kind: name of the computation, which metrics of one kind and view share.
        name: name of the score among those of the kind.
        share: whether the score is a share of the n samples.
    """

    kind: str
    name: str
    share = False

    @abstractmethod
    def scores(self, fake: Tensor, true: Tensor) -> Mapping[str, float]:
        """Computes the kind's scores from rows of samples ``(n, d)`` and of training examples ``(m, d)``."""

    def about(self) -> str:
        """Describes the settings of the score."""
        return ""

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
                words.insert(0, f"features {features_for(state.data).name}")
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
        """Returns the scores of real test examples, stored for the usual sample size, otherwise measured."""
        known = real.shipped().get(f"{self.kind}/{data.name}/{n}")
        if known is not None and real.is_whole_training_set(data):
            return known
        return real.anchors(lambda rows: self.scores(rows, true), self.rows_of, data, n)

    def _sets(self, state: Collected) -> tuple[Tensor, Tensor]:
        """Returns the samples, and an equal number of training examples, or all if there are fewer."""
        fake = state.rows()[: self.most]
        real.check_count(len(fake))
        key = ("true", self.view, len(fake))
        if key not in state.memo:
            state.memo[key] = self.rows_of(real.some(state.data, len(fake), "reference"))
        return fake, state.memo[key]
