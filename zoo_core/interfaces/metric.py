"""The interface of a metric, and the result that it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces.batch import Batch
from zoo_core.interfaces.capabilities import lacking
from zoo_core.interfaces.dataset import DataSet
from zoo_core.interfaces.model import Model
from zoo_core.randomness import Streams

__all__ = ["Metric", "Result"]

State = TypeVar("State")


@dataclass(frozen=True)
class Result:
    """A measured number, with all that is needed to compare and repeat it.

    Attributes:
        value: measured number.
        stderr: standard error of the value.
        n: number of samples or examples that were used.
        unit: ``"nats"``, ``"bits/dim"``, ``""`` …
        direction: whether lower or higher is better.
        anchors: baselines by name, measured in the same way as the value (``{"entropy": 0.289}``).
        protocol: further settings of the measurement: dequantisation, extractor, seed.
    """

    value: float
    stderr: float
    n: int
    unit: str
    direction: Literal["lower", "higher"]
    anchors: Mapping[str, float] = field(default_factory=dict)
    protocol: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Metric(ABC, Generic[State]):
    """Measures a model batch by batch; states merge, so that batches can be spread over machines.

    Attributes:
        uses: ``"data"`` where a batch is held-out data on the model's side (likelihoods); ``"samples"`` where it is the
            model's samples on the user's side, images in [0, 1] rounded to the levels of the data they are compared
            with.
        needs: capabilities that a model must have.
        headline: whether comparisons show this metric first, unless another is named.
    """

    uses: Literal["data", "samples"]
    needs: ClassVar[tuple[type[Any], ...]] = ()
    headline: bool = False

    def shares(self) -> Hashable | None:
        """Returns a key: metrics of one run with equal keys, other than ``None``, share one state."""
        return None

    def size(self, data: DataSet) -> int:
        """Returns the default number of examples or samples: all of the data, or 10,000 samples."""
        return len(data) if self.uses == "data" else 10_000

    def by_default(self, model: Model) -> bool:
        """Says whether the metric is measured when none is named: whether it takes minutes and not hours."""
        return True

    def quick(self) -> Metric[State]:
        """Returns the metric with settings that take seconds, whose value shows that it runs, and not more.

        Returns the metric itself unless overridden: by one that takes minutes however few the examples are.
        """
        return self

    def check(self, model: Model, data: DataSet) -> None:
        """Raises :class:`~zoo_core.errors.IncompatibleError`, with the reason, where the metric does not fit.

        The method checks :attr:`needs`; a metric with further requirements overrides it, and calls it first.
        """
        if (reason := lacking(model, self.needs)) is not None:
            raise IncompatibleError(f"this metric {reason}")

    @abstractmethod
    def init(self, model: Model, data: DataSet) -> State:
        """Returns the state before the first batch.

        Args:
            model: model to measure.
            data: held-out data, or the training data that samples are compared with.
        """

    @abstractmethod
    def update(self, state: State, model: Model, batch: Batch[Any], streams: Streams) -> State:
        """Returns the state after one more batch; ``streams`` has one stream per example."""

    @abstractmethod
    def merge(self, a: State, b: State) -> State:
        """Merges the states of two disjoint sets of examples; merging is associative."""

    @abstractmethod
    def compute(self, state: State) -> Result:
        """Computes the measurement from the state of all examples."""
