"""Tests metrics quickly: with few examples, samples that are drawn once, and the first model that a metric accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from zoo_core import datasets, evaluation
from zoo_core.datasets.densities import DENSITIES
from zoo_core.errors import ZooError
from zoo_core.evaluation import evaluate, metric_named
from zoo_core.interfaces import Call, DataSet, Metric, Model, Result, Sampler, Streams, Values
from zoo_core.testing import tiny_data
from zoo_core.testing.component_subjects import MetricSubject
from zoo_core.testing.local_data import data_here
from zoo_core.testing.subjects import ModelSubject

__all__ = ["Replayed", "Trial", "Want", "count", "few_examples", "trial"]

SAMPLES = 120
HELD_OUT = 3
EXAMPLES = 240
STEPS = 3

IMAGES = ("digits", "mnist", "fashion-mnist")
"""Image data sets of the core, which are used if they are on this machine."""

POINTS = ("eight-gaussians", "two-gaussians-1d")


class Want(Exception):
    """A metric cannot be tested on this machine, or not with few examples; the message has the metric's reason."""


class Replayed(Sampler[Model]):
    """Samples of a model that are drawn once, in few steps, and used for many metrics, since drawing takes time."""

    name = "replayed"

    def __init__(self, subject: ModelSubject) -> None:
        model = subject.model
        streams = Streams(0, "sample", 0, SAMPLES, device=model.device, dtype=model.state_dtype)
        with torch.inference_mode():
            self.x = subject.sampler(STEPS).sample(model, streams, condition=subject.condition(SAMPLES))

    def draw(self, model: Model, call: Call) -> Values:
        drawn: Values = self.x[call.streams.start : call.streams.start + len(call.streams)]
        return drawn


@dataclass(frozen=True, eq=False)
class Trial:
    """A metric with a model and data that it accepts, and with samples if it needs them."""

    metric: Metric[Any]
    model: Model
    data: DataSet
    sampler: Sampler | None

    @property
    def n(self) -> int:
        return count(self.metric)

    def measure(self) -> Result:
        """Measures the model as ``zoo eval`` does."""
        return evaluate(self.model, self.metric, data=self.data, n=self.n, sampler=self.sampler)

    def computed(self, sizes: list[int], join: Callable[[list[Any]], Any]) -> Result:
        """Computes the result from one state per batch.

        Args:
            sizes: sizes of the batches.
            join: function that merges the states.
        """
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        spans = [(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        batches = (
            evaluation._held_out_batches(self.model, self.data, spans, 0)
            if self.sampler is None
            else evaluation._sample_batches(self.model, self.data, spans, 0, self.sampler)
        )
        with torch.inference_mode():
            states = [
                self.metric.update(self.metric.init(self.model, self.data), self.model, batch, streams)
                for batch, streams in batches
            ]
        return self.metric.compute(join(states))


def count(metric: Metric[Any]) -> int:
    """Returns the number of examples or samples that a metric is tested with."""
    return SAMPLES if metric.uses == "samples" else HELD_OUT


def few_examples(subject: ModelSubject, metric: Metric[Any]) -> Iterator[DataSet]:
    """Yields generated examples, then a few of the model's own data, if they are on this machine.

    Generated examples are quick, because there is no density, features or test set to compare with; some metrics refuse
    them for that reason.
    """
    yield replace(tiny_data.generated_for(subject.model, EXAMPLES), split="tiny")
    entry = subject.entry
    name = entry.recipe.get("data", {}).get("name") if entry else None
    if name in DENSITIES and "label" not in subject.model.conditions:  # they have no labels
        yield _points(name, metric)
    if name in IMAGES and (data := data_here(name)) is not None:
        yield _few(data)


def trial(subject: MetricSubject, *, whole: bool = False) -> Trial:
    """Returns a metric with the first model and data that it accepts; the result is cached.

    Args:
        subject: subject of the metric.
        whole: whether to use a whole training set in place of a few examples, for metrics that refuse few.

    Raises:
        Want: the metric accepts no model and data; the message is its last refusal.
    """
    kept: dict[bool, Trial | str] = subject.__dict__.setdefault("_trials", {})
    if whole not in kept:
        kept[whole] = _found(subject, whole)
    found = kept[whole]
    if isinstance(found, str):
        raise Want(found)
    return found


def _found(subject: MetricSubject, whole: bool) -> Trial | str:
    metric = metric_named(subject.component.name).quick()
    refusal, late_refusal = "no model here has what it needs", ""
    for candidate in subject.models:
        sampler: Sampler | None = None
        for data in _candidates(candidate, metric, whole):
            try:
                metric.check(candidate.model, data)
                if metric.uses == "samples":
                    sampler = sampler or Replayed(candidate)
            except ZooError as err:
                refusal = str(err)
                continue
            found = Trial(metric, candidate.model, data, sampler)
            try:
                if metric.uses == "samples":
                    found.measure()
                return found
            except ZooError as err:  # a refusal after all samples were measured has the better reason
                late_refusal = str(err)
    return late_refusal or refusal


def _candidates(candidate: ModelSubject, metric: Metric[Any], whole: bool) -> Iterator[DataSet]:
    if not whole:
        yield from few_examples(candidate, metric)
    if candidate.entry is None and candidate.is_image:
        found = [data for name in IMAGES if (data := data_here(name)) is not None]
        yield from found if whole else map(_few, found)
    elif candidate.entry is None:
        yield from (_points(name, metric) for name in POINTS)


def _points(name: str, metric: Metric[Any]) -> DataSet:
    return replace(datasets.load(name, n=EXAMPLES), split="tiny" if metric.uses == "samples" else "test")


def _few(data: DataSet) -> DataSet:
    """Takes a few examples as a split named "tiny", since metrics compute baselines of the whole of a known split."""
    rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:EXAMPLES]
    return replace(data.take(rows), split="tiny")
