"""What is measured, and what a measurement says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

from zoo_core.errors import IncompatibleError
from zoo_core.interfaces.batch import Batch
from zoo_core.interfaces.dataset import DataSet
from zoo_core.interfaces.model import Model, lacking
from zoo_core.randomness import Streams

__all__ = ["Metric", "Result"]

State = TypeVar("State")


@dataclass(frozen=True)
class Result:
    """A number that can stand in a table.

    Attributes:
        value: the number.
        stderr: its standard error.
        n: how many samples it rests on.
        unit: ``"nats"``, ``"bits/dim"``, ``""`` …
        direction: whether lower or higher is better.
        anchors: named numbers measured the same way, so that the value means something (``{"entropy": 0.289}``).
        protocol: what else one must know to measure it again: dequantisation, extractor, seed.
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
    """Measures a model, batch by batch; states merge, so that batches and machines are the same thing.

    Attributes:
        uses: ``"data"`` where a batch is held-out data on the model's side (likelihoods); ``"samples"`` where it is the
            model's samples on the user's side, images in [0, 1] rounded to the levels of the data they are compared
            with.
        needs: the capabilities that a model must have.
        headline: whether it is what comparisons lead with, unless another is named.
    """

    uses: Literal["data", "samples"]
    needs: ClassVar[tuple[type[Any], ...]] = ()
    headline: bool = False

    def shares(self) -> Hashable | None:
        """Metrics of one run that say the same here, other than ``None``, are given one state between them."""
        return None

    def size(self, data: DataSet) -> int:
        """How many examples or samples to look at unless the user says: all of the data, or 10,000 samples."""
        return len(data) if self.uses == "data" else 10_000

    def by_default(self, model: Model) -> bool:
        """Whether it is measured when no metric is named: it takes minutes, not hours."""
        return True

    def check(self, model: Model, data: DataSet) -> None:
        """Raises :class:`~zoo_core.errors.IncompatibleError`, with the reason, where the metric does not fit.

        Here it looks at :attr:`needs`; a metric that asks more of the model or the data calls this first.
        """
        if (reason := lacking(model, self.needs)) is not None:
            raise IncompatibleError(f"this metric {reason}")

    @abstractmethod
    def init(self, model: Model, data: DataSet) -> State:
        """The state before anything was seen.

        Args:
            model: what is measured.
            data: against what: held-out data, or the training data that samples are compared with.
        """

    @abstractmethod
    def update(self, state: State, model: Model, batch: Batch[Any], streams: Streams) -> State:
        """The state after one more batch; ``streams`` has one stream per example."""

    @abstractmethod
    def merge(self, a: State, b: State) -> State:
        """The state of two disjoint sets of examples; associative."""

    @abstractmethod
    def compute(self, state: State) -> Result:
        """The measurement."""
