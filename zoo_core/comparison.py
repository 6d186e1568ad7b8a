"""Models side by side: the same data, metric, seed and number of samples; quality against what it costs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zoo_core import plugins
from zoo_core.errors import IncompatibleError, UnknownNameError
from zoo_core.evaluation import data_for, describe, evaluate_all, fitting, metric_named
from zoo_core.interfaces import Condition, Denoiser, Model, Result, Sampler, Streams
from zoo_core.sampling import Progress, make_sampler, sample

__all__ = ["Point", "compare", "headlines", "network_evaluations", "samplers_for"]


@dataclass(frozen=True)
class Point:
    """One model with one sampler, by one metric.

    Attributes:
        model: its id.
        sampler: and its steps, in words.
        kind: the sampler's name: points of one model and kind are one curve.
        nfe: network evaluations per sample; 1 where samples are drawn in one go.
        seconds: for 1,000 samples on this machine.
        metric: what was measured.
        result: the measurement.
    """

    model: str
    sampler: str
    kind: str
    nfe: int
    seconds: float
    metric: str
    result: Result


def headlines(models: Sequence[Model]) -> list[str]:
    """The metrics that tables lead with, of those that fit every model.

    Raises:
        IncompatibleError: there is none.
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
    n: int | None = None,
    seed: int = 0,
    batch_size: int = 100,
    progress: Progress | None = None,
) -> Iterator[Point]:
    """Measures every model with every sampler that fits it, at every number of steps.

    Args:
        models: loaded models of the same data.
        metrics: names of metrics that look at samples.
        samplers: names; the model's default where none of them fits.
        steps: for the samplers that take steps; their own unless given.
        n: how many samples; as each metric says unless given.
        seed: of the samples.
        batch_size: samples at once.
        progress: is told ``(done, of)`` for each pass.

    Raises:
        IncompatibleError: different data, a metric that does not look at samples, a model that none fits.
    """
    kinds = [metric_named(metric) for metric in metrics]
    if any(kind.uses != "samples" for kind in kinds):
        raise IncompatibleError("a comparison of samplers needs metrics that look at samples, not at likelihoods")
    names = {(data := data_for(model, kinds[0])).name: len(data) for model in models}
    if len(names) > 1:
        raise IncompatibleError(f"compare models of the same data; these are of {' and '.join(sorted(names))}")
    for model in models:
        for name, sampler in samplers_for(model, samplers, steps):
            seconds, nfe = _cost(model, sampler, seed, batch_size)
            results = evaluate_all(
                model, metrics, n=n, seed=seed, batch_size=batch_size, sampler=sampler, progress=progress
            )
            label = model.entry.id if model.entry else type(model).__name__
            for metric, result in zip(metrics, results, strict=True):
                yield Point(label, describe(sampler), name, nfe, seconds, metric, result)


def samplers_for(model: Model, names: Sequence[str], steps: Sequence[int]) -> Iterator[tuple[str, Sampler]]:
    """The samplers of those names that fit a model, else its default, at each number of steps that they can take."""
    known = [component.name for component in plugins.load().catalogue.all("sampler")]
    for name in names:
        if name not in known:
            raise UnknownNameError("sampler", name, None, f"the samplers are {', '.join(known)}")
    default = model.entry.sampler.name if model.entry and model.entry.sampler else None
    chosen: list[str] = []
    for name in names:
        try:
            make_sampler(model, name)
        except IncompatibleError:
            continue
        chosen.append(name)
    wanted: list[str | None] = [*chosen] or [default]
    for choice in wanted:
        sampler = make_sampler(model, choice)
        label = choice or type(sampler).__name__.lower()
        if steps and hasattr(sampler, "steps"):
            for count in steps:
                yield label, make_sampler(model, choice, steps=count)
        else:
            yield label, sampler


def network_evaluations(model: Model, sampler: Sampler, seed: int = 0) -> int:
    """How often the network is asked for one sample: counted, not taken from the sampler's word."""
    if not isinstance(model, Denoiser):
        return 1
    calls = 0
    original = model.predict

    def counted(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        return original(*arguments, **named)  # type: ignore[arg-type]

    model.predict = counted  # type: ignore[method-assign, assignment]
    try:
        sample(model, 1, sampler=sampler, seed=seed, condition=_any_condition(model, 1))
    finally:
        del model.predict
    return calls


def _cost(model: Model, sampler: Sampler, seed: int, batch_size: int) -> tuple[float, int]:
    """Seconds for 1,000 samples, from one batch after one sample to warm up; and network evaluations."""
    nfe = network_evaluations(model, sampler, seed)
    began = time.perf_counter()
    sample(
        model,
        batch_size,
        sampler=sampler,
        seed=seed,
        batch_size=batch_size,
        condition=_any_condition(model, batch_size),
    )
    return (time.perf_counter() - began) * 1000 / batch_size, nfe


def _any_condition(model: Model, n: int) -> Condition | None:
    """Some label per sample, where the model wants one."""
    if "label" not in model.conditions:
        return None
    return Condition(label=Streams(0, "any label", 0, n).integers(model.conditions["label"].classes or 1))
