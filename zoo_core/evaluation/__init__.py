"""Measures a model: its likelihood on held-out data, or the quality of its samples.

All metrics of a run share one pass: held-out data are read once, and each sample is drawn once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import torch

from zoo_core import datasets, plugins
from zoo_core.datasets.prepared import Prepared, encoded
from zoo_core.errors import DivergenceError, IncompatibleError
from zoo_core.interfaces import Batch, DataSet, Metric, Model, Result, Sampler, Streams
from zoo_core.interfaces.values import finite_rows
from zoo_core.plugins.catalogue import resolve
from zoo_core.sampling import Progress, default_batch_size, default_guidance, describe, make_sampler, sample

if TYPE_CHECKING:
    from zoo_core.processes import Processes

__all__ = [
    "data_for",
    "data_of",
    "default_metrics",
    "evaluate",
    "evaluate_all",
    "fitting",
    "metric_named",
    "misfit_of",
]

_SPLIT = {"data": "test", "samples": "train"}


def metric_named(metric: str | Metric[Any]) -> Metric[Any]:
    """Returns a metric by its registered name, or a metric as it is given.

    Raises:
        UnknownNameError: there is no such metric.
    """
    if not isinstance(metric, str):
        return metric
    found: Metric[Any] = resolve(plugins.load().catalogue.get("metric", metric).target)()
    return found


def data_for(model: Model, metric: Metric[Any]) -> DataSet:
    """Loads the data that a metric measures a model against: the test split for likelihoods, else the training split.

    Samples are compared with the training split, so that the test split can serve as a baseline: its score is about the
    best that samples can have.

    Raises:
        IncompatibleError: the model has no recipe that names its data.
    """
    data = data_of(model, _SPLIT[metric.uses])
    return encoded(model, data) if metric.uses == "samples" else data


def data_of(model: Model, split: str) -> DataSet:
    """Loads a split, ``train`` or ``test``, of the data that a model was trained on.

    Raises:
        IncompatibleError: the model has no recipe that names its data.
    """
    if model.entry is None or "data" not in model.entry.recipe:
        raise IncompatibleError(
            f"{type(model).__name__} has no recipe that names its data; give the data set with data=…"
        )
    named = {key: value for key, value in model.entry.recipe["data"].items() if key not in ("n", "split")}
    return datasets.load(**named, split=split)


def misfit_of(model: Model, metric: Metric[Any], data: DataSet | None = None) -> str | None:
    """Says why a metric cannot measure a model; ``None`` if it can.

    Args:
        model: built model.
        metric: metric.
        data: data set to measure against; the model's own data unless given.
    """
    if metric.uses == "samples" and (model.entry is None or model.entry.sampler is None):
        return f"needs samples, and {type(model).__name__} has no default sampler"
    try:
        metric.check(model, data if data is not None else data_for(model, metric))
    except IncompatibleError as err:
        return str(err)
    return None


def fitting(model: Model, *, slow: bool = False) -> list[str]:
    """Names the metrics that fit a model and its data.

    Args:
        model: built model.
        slow: whether to include metrics that are measured only if they are named, since they take hours or say little.
    """
    names = []
    data: dict[str, DataSet] = {}
    for component in plugins.load().catalogue.all("metric"):
        metric = metric_named(component.name)
        if metric.uses not in data:
            try:
                data[metric.uses] = data_for(model, metric)
            except IncompatibleError:
                continue
        if misfit_of(model, metric, data[metric.uses]) is None and (slow or metric.by_default(model)):
            names.append(component.name)
    return names


def default_metrics(model: Model) -> list[str]:
    """Names the metrics that a model is measured by unless the user names some.

    Raises:
        IncompatibleError: there is no such metric; the message names other metrics that fit.
    """
    if names := fitting(model):
        return names
    label = model.entry.id if model.entry else type(model).__name__
    if others := fitting(model, slow=True):
        raise IncompatibleError(f"{label} has no default metric; name one that fits with --metric: {', '.join(others)}")
    data_for(
        model, metric_named(plugins.load().catalogue.all("metric")[0].name)
    )  # raises the error about the data, if they are missing
    raise IncompatibleError(f"no metric fits {label}; zoo metrics --for {label} says why")


def evaluate(model: Model, metric: str | Metric[Any], **options: Any) -> Result:
    """Measures a model by one metric; the options are those of :func:`evaluate_all`."""
    return evaluate_all(model, [metric], **options)[0]


def evaluate_all(
    model: Model,
    metrics: Sequence[str | Metric[Any]],
    *,
    data: DataSet | None = None,
    n: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    sampler: Sampler[Any] | None = None,
    progress: Progress | None = None,
    processes: Processes | None = None,
) -> list[Result]:
    """Measures a model by several metrics, which share held-out data and samples.

    Args:
        model: model to measure.
        metrics: metrics or their names.
        data: data set to measure against; the model's own data unless given, in the split that each metric needs.
        n: number of held-out examples, in a seeded order, or of samples; the metric's own number unless given.
        seed: seed of the samples, the order of the examples, dequantisation and the metrics' random numbers.
        batch_size: number of examples handled at once, chosen for the model unless given; it changes results by
            rounding only.
        sampler: sampler that draws the samples; the model's default unless given.
        progress: function that is called with ``(done, total)``.
        processes: processes that share the work; every one of them gets the results.

    Returns:
        One result per metric, in the order of ``metrics``.

    Raises:
        UnknownNameError: there is no such metric.
        IncompatibleError: a metric does not fit the model or the data.
        DivergenceError: a sample is not finite.
    """
    found = [metric_named(metric) for metric in metrics]
    references: dict[str, DataSet] = {}
    for metric in found:
        if metric.uses not in references:
            given = data if data is None or metric.uses == "data" else encoded(model, data)
            references[metric.uses] = given or data_for(model, metric)
    groups: dict[tuple[str, int], list[int]] = {}
    for i, metric in enumerate(found):
        reference = references[metric.uses]
        metric.check(model, reference)
        size = (
            min(n or metric.size(reference), len(reference)) if metric.uses == "data" else n or metric.size(reference)
        )
        groups.setdefault((metric.uses, size), []).append(i)
    results: dict[int, Result] = {}
    batch_size = batch_size or default_batch_size(model)
    for (uses, size), members in groups.items():
        reference = references[uses]
        note = ""
        if uses == "samples":
            sampler = sampler or make_sampler(model)
            strength = default_guidance(model)
            note = describe(sampler) + (f", guidance = {strength:g}; " if strength != 1.0 else "; ")
        starts = range(0, size, batch_size)
        mine = starts if processes is None else [starts[i] for i in processes.part(len(starts))]
        spans = [(start, min(start + batch_size, size)) for start in mine]
        batches = (
            _held_out_batches(model, reference, spans, seed)
            if uses == "data" or sampler is None
            else _sample_batches(model, reference, spans, seed, sampler)
        )
        for i, result in _measure(
            [(i, found[i]) for i in members], model, reference, batches, size, progress, processes
        ):
            results[i] = replace(result, protocol=note + result.protocol)
    return [results[i] for i in range(len(found))]


def _measure(
    metrics: Sequence[tuple[int, Metric[Any]]],
    model: Model,
    data: DataSet,
    batches: Iterator[tuple[Batch[Any], Streams]],
    size: int,
    progress: Progress | None,
    processes: Processes | None,
) -> Iterator[tuple[int, Result]]:
    """Runs one pass over batches and yields a result for each metric; metrics that share a state update it once."""
    key_of: dict[int, Hashable] = {i: m.shares() or i for i, m in metrics}
    owners = {key_of[i]: metric for i, metric in reversed(metrics)}
    states = {key: metric.init(model, data) for key, metric in owners.items()}
    done = 0
    with torch.inference_mode():
        for batch, streams in batches:
            for key, metric in owners.items():  # restarted streams: a result must not depend on the other metrics
                states[key] = metric.update(states[key], model, batch, streams.restarted())
            done += len(batch)
            if progress is not None:
                progress(done, size)
    for key, metric in owners.items():
        states[key] = reduce(metric.merge, _of_all(states[key], processes))
    for i, metric in metrics:
        yield i, metric.compute(states[key_of[i]])


def _of_all(state: Any, processes: Processes | None) -> list[Any]:
    """Gathers the states of all processes, in the order of their ranks."""
    if processes is None or processes.size == 1:
        return [state]
    states: list[Any] = [None] * processes.size
    torch.distributed.all_gather_object(states, state)
    return states


def _held_out_batches(
    model: Model, data: DataSet, spans: Sequence[tuple[int, int]], seed: int
) -> Iterator[tuple[Batch[Any], Streams]]:
    """Yields batches of held-out examples in the model's range, in a seeded order."""
    examples = Prepared(model, data, seed)
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))
    for start, stop in spans:
        batch = examples.rows(order[start:stop]).to(model.device)
        if batch.x.is_floating_point():
            batch = replace(batch, x=batch.x.to(model.state_dtype))
        yield batch, Streams(seed, "evaluation", start, stop - start, device=model.device, dtype=model.state_dtype)


def _sample_batches(
    model: Model, data: DataSet, spans: Sequence[tuple[int, int]], seed: int, sampler: Sampler[Any]
) -> Iterator[tuple[Batch[Any], Streams]]:
    """Yields batches of samples in the user's range, rounded to the data's levels.

    A conditional model gets conditions of examples that are drawn from the data, so that their frequencies agree.
    """
    for start, stop in spans:
        count = stop - start
        condition = None
        if wanted := sampler.conditions(model):
            for name, spec in wanted.items():
                if name not in data.columns and not spec.null:
                    has = f"{data.name} has none to draw from"
                    raise IncompatibleError(f"the model is conditioned on {name!r}, and {has}")
            like = data.rows(Streams(seed, "label", start, count).integers(len(data))).condition
            condition = None if like is None else like.only(wanted)
        x = sample(model, count, sampler=sampler, seed=seed, first=start, batch_size=count, condition=condition)
        if not bool((finite := finite_rows(x)).all()):
            first = start + int((~finite).nonzero()[0])
            more = "try more steps, or another sampler" if hasattr(sampler, "steps") else "try --dtype float64"
            raise DivergenceError(f"sample {first} is not finite with {describe(sampler)}; {more}")
        if model.space.encoding is not None:
            x = model.space.from_user(x)
        if data.levels is not None:
            x = (x * (data.levels - 1)).round() / (data.levels - 1)
        yield Batch(x, condition), Streams(seed, "evaluation", start, count, dtype=model.state_dtype)
