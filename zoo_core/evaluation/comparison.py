"""Compares models of one data set: sample quality against network evaluations and seconds.

Every model is measured by the same metrics, with the same seed and number of samples.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from zoo_core import plugins
from zoo_core.errors import DivergenceError, IncompatibleError, UnknownNameError
from zoo_core.evaluation import data_for, evaluate_all, fitting, metric_named
from zoo_core.interfaces import Call, Denoiser, Model, Result, Sampler, Streams, Values
from zoo_core.sampling import Progress, describe, make_sampler, sample

__all__ = ["Point", "compare", "headlines", "network_evaluations", "samplers_for"]


@dataclass(frozen=True)
class Point:
    """A measurement of one model with one sampler by one metric.

    Attributes:
        model: id of the model.
        sampler: description of the sampler with its steps.
        kind: name of the sampler; the points of one model and sampler make a curve.
        nfe: network evaluations per sample; 1 for a sampler without steps.
        seconds: seconds that 1,000 samples take on this machine.
        metric: name of the metric.
        result: measured value, with its standard error.
    """

    model: str
    sampler: str
    kind: str
    nfe: int
    seconds: float
    metric: str
    result: Result


def headlines(models: Sequence[Model]) -> list[str]:
    """Names the primary metrics that fit all models.

    Raises:
        IncompatibleError: no primary metric fits all models; the message names the other metrics that do.
    """
    common = set.intersection(*(set(fitting(model)) for model in models))
    names = sorted(name for name in common if metric_named(name).headline)
    if not names:
        raise IncompatibleError(f"name a metric; these fit all the models: {', '.join(sorted(common)) or 'none'}")
    return names


def compare(
    models: Sequence[Model],
    metrics: Sequence[str],
    *,
    samplers: Sequence[str] = (),
    steps: Sequence[int] = (),
    nfe: Sequence[int] = (),
    n: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    progress: Progress | None = None,
    refused: Callable[[str, str, str], None] | None = None,
    known: Container[tuple[str, str, str]] = (),
) -> Iterator[Point]:
    """Measures every model with every sampler that fits it, at every number of steps.

    A combination that cannot be measured, because the sampler does not fit the model or its samples are not finite, is
    left out, and ``refused`` is called with the reason.

    Args:
        models: loaded models of one data set.
        metrics: names of metrics of samples.
        samplers: names of samplers; a model that none of them fits is measured with its default.
        steps: numbers of steps for iterative samplers; each sampler's own number unless given.
        nfe: numbers of network evaluations per sample, in place of ``steps``; a sampler takes as many steps as they
            allow.
        n: number of samples; each metric's own number unless given.
        seed: seed of the samples.
        batch_size: number of samples drawn at once.
        progress: function that is called with ``(done, total)`` in each pass.
        refused: function that is called with ``(model, sampler, reason)`` for each combination that is left out.
        known: measurements to skip, as ``(model, description of the sampler, metric)``.

    Raises:
        IncompatibleError: the models have different data, a metric is not one of samples, or no sampler fits a model.
    """
    kinds = [metric_named(metric) for metric in metrics]
    if any(kind.uses != "samples" for kind in kinds):
        raise IncompatibleError("a comparison of samplers needs metrics of samples, not of likelihoods; name others")
    names = {(data := data_for(model, kinds[0])).name: len(data) for model in models}
    if len(names) > 1:
        raise IncompatibleError(f"compare models of the same data; these are of {' and '.join(sorted(names))}")
    for model in models:
        label = model.entry.id if model.entry else type(model).__name__

        def leave_out(name: str, reason: object, label: str = label) -> None:
            if refused is not None:
                refused(label, name, str(reason))

        for name, sampler in samplers_for(model, samplers, steps, nfe, leave_out):
            wanted = [metric for metric in metrics if (label, describe(sampler), metric) not in known]
            if not wanted:
                continue
            try:
                evaluations = network_evaluations(model, sampler, seed)
                with _clock(sampler) as clock:
                    results = evaluate_all(
                        model, wanted, n=n, seed=seed, batch_size=batch_size, sampler=sampler, progress=progress
                    )
            except (IncompatibleError, DivergenceError) as err:
                if not samplers:
                    raise
                leave_out(describe(sampler), err)
                continue
            seconds = 1000 * clock.seconds / clock.samples
            for metric, result in zip(wanted, results, strict=True):
                yield Point(label, describe(sampler), name, evaluations, seconds, metric, result)


def samplers_for(
    model: Model,
    names: Sequence[str],
    steps: Sequence[int] = (),
    nfe: Sequence[int] = (),
    refused: Callable[[str, object], None] = lambda name, reason: None,
) -> Iterator[tuple[str, Sampler]]:
    """Makes the named samplers that fit a model, or its default if none fits, at each number of steps.

    Args:
        model: model to be sampled.
        names: names of samplers.
        steps: numbers of steps.
        nfe: numbers of network evaluations per sample, in place of steps.
        refused: function that is called with the name and the reason for each sampler that does not fit.

    Yields:
        The name of each sampler, and the sampler.
    """
    known = [component.name for component in plugins.load().catalogue.all("sampler")]
    for name in names:
        if name not in known:
            raise UnknownNameError("sampler", name, None, f"the samplers are {', '.join(known)}")
    default = model.entry.sampler.name if model.entry and model.entry.sampler else None
    chosen: list[str] = []
    for name in names:
        try:
            make_sampler(model, name)
        except IncompatibleError as err:
            refused(name, err)
            continue
        chosen.append(name)
    wanted: list[str | None] = [*chosen] or [default]
    for choice in wanted:
        sampler = make_sampler(model, choice)
        label = sampler.name
        if nfe and hasattr(sampler, "steps"):
            counts = [sampler.steps_within(evaluations) for evaluations in nfe]
            for evaluations in (e for e, count in zip(nfe, counts, strict=True) if not count):
                refused(label, f"{evaluations} network evaluations are too few for one step")
        else:
            counts = list(steps) if hasattr(sampler, "steps") else []
            if not counts:
                yield label, sampler
        for count in filter(None, counts):
            try:
                chosen_sampler = make_sampler(model, choice, steps=count)
            except IncompatibleError as err:  # some samplers accept one step only: of coupled consistency models, say
                if not names:
                    raise
                refused(f"{label}, {count} steps", err)
                continue
            yield label, chosen_sampler


def network_evaluations(model: Model, sampler: Sampler, seed: int = 0) -> int:
    """Counts the network evaluations of one sample by drawing it, which does not rely on what the sampler reports."""
    if not isinstance(model, Denoiser):
        return sampler.evaluations(sampler.steps) if hasattr(sampler, "steps") else 1
    calls = 0
    original = model.predict

    def counted(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        return original(*arguments, **named)  # type: ignore[arg-type]

    model.predict = counted  # type: ignore[method-assign, assignment]
    try:
        sample(model, 1, sampler=sampler, seed=seed, condition=_any_condition(sampler, model))
    finally:
        del model.predict
    return calls


@dataclass
class _Clock:
    """The seconds that a sampler took, and the number of samples that it drew."""

    seconds: float = 0.0
    samples: int = 0


@contextmanager
def _clock(sampler: Sampler) -> Iterator[_Clock]:
    """Measures the time that a sampler takes within a ``with`` block."""
    clock, original = _Clock(), sampler.draw

    def timed(model: Model, call: Call) -> Values:
        began = time.perf_counter()
        drawn = original(model, call)
        clock.seconds += time.perf_counter() - began
        clock.samples += len(call.streams)
        return drawn

    sampler.draw = timed  # type: ignore[method-assign]
    try:
        yield clock
    finally:
        del sampler.draw


def _any_condition(sampler: Sampler, model: Model) -> dict[str, Any] | None:
    """Returns a random label if the model has labels; ``None`` otherwise."""
    spec = sampler.conditions(model).get("label")
    return None if spec is None else {"label": int(Streams(0, "any label", 0, 1).integers(spec.classes or 1))}
