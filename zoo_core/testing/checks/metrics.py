"""Metrics: of a model, those that fit; and each metric on a model that it fits."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from zoo_core import plugins
from zoo_core.errors import ConditionError, IncompatibleError
from zoo_core.evaluation import metric_named
from zoo_core.interfaces import Result
from zoo_core.testing.check import ConformanceError, check, require, skip
from zoo_core.testing.component_subjects import MetricSubject
from zoo_core.testing.measuring import Replayed, Trial, Want, few_examples, trial
from zoo_core.testing.subjects import ModelSubject

MERGE_SLACK = 1e-5
"""Between batches, relative to the value: sums of float32 features add in another order."""


@check("model")
def check_every_fitting_metric_runs(subject: ModelSubject) -> None:
    """Each metric that accepts the model and its data, and takes minutes and not hours, gives a finite number.

    On a few examples or samples drawn in few steps: that it runs, not what it says.  Metrics may refuse with an
    IncompatibleError, and a model without its label with a ConditionError; anything else that is raised is a failure.
    """
    _measure_all(subject, by_default=True)


@check("model", when=lambda subject: not subject.is_spoken_for, slow=lambda subject: True)
def check_every_long_metric_runs(subject: ModelSubject) -> None:
    """The same for the metrics that are measured only where they are asked for.

    Where a density is an ODE through an image network, of one model of those with the same code and data.
    """
    _measure_all(subject, by_default=False)


def _measure_all(subject: ModelSubject, *, by_default: bool) -> None:
    samples: Replayed | None = None
    for component in plugins.load().catalogue.all("metric"):
        if component.misfit(subject.family) is not None:
            continue
        metric = metric_named(component.name)
        of_samples = metric.uses == "samples"
        if metric.by_default(subject.model) is not by_default or (of_samples and not subject.can_be_drawn):
            continue
        if of_samples and samples is None:
            samples = Replayed(subject)
        for data in few_examples(subject, metric):
            found = Trial(metric, subject.model, data, samples if of_samples else None)
            result = _result(f"{subject.name}: metric {component.name!r}", found)
            if result is not None:
                _check_result(f"{subject.name}: metric {component.name!r}", result, found.n)
                break


def _result(who: str, found: Trial) -> Result | None:
    """What is measured; ``None`` where the metric refuses."""
    try:
        found.metric.check(found.model, found.data)
        return found.measure()
    except (IncompatibleError, ConditionError):
        return None
    except Exception as err:
        raise ConformanceError(f"{who} raised {type(err).__name__}: {' '.join(str(err).split())}") from err


@check("metric")
def check_metric_measures(subject: MetricSubject) -> None:
    """On a model that it fits the metric gives a finite value and error, the n that was asked for, and how it was done.

    The value alone is no result: tables want its error, its direction, its unit and the protocol.  Skipped where the
    metric accepts no model or data that are on this machine.
    """
    _check_measures(subject, _trial(subject))


@check("metric", long=True)
def check_metric_states_merge(subject: MetricSubject) -> None:
    """States of three batches, merged in either grouping and in one batch, give one result within 1e-5 of its size.

    Batches and machines are then the same thing.  States travel between processes, so they pass through pickle here.
    """
    _check_merges(subject, _trial(subject))


@check("metric")
def check_metric_is_seeded(subject: MetricSubject) -> None:
    """Measured twice with one seed the number is the same, and no global generator of torch, numpy or random moved."""
    _check_seeded(subject, _trial(subject))


@check("metric", slow=lambda subject: True)
def check_metric_with_all_of_the_data(subject: MetricSubject) -> None:
    """The three checks before, for a metric that refuses a few examples (its anchors take a whole test set).

    Skipped for the others.
    """
    try:
        trial(subject)
    except Want:
        pass
    else:
        skip(f"metric {subject.name!r} takes a few examples: see check_metric_measures")
    found = _trial(subject, whole=True)
    _check_measures(subject, found)
    _check_merges(subject, found)
    _check_seeded(subject, found)


def _trial(subject: MetricSubject, *, whole: bool = False) -> Trial:
    try:
        return trial(subject, whole=whole)
    except Want as err:
        return skip(f"metric {subject.name!r}: {err}")


def _check_measures(subject: MetricSubject, found: Trial) -> None:
    result = found.computed([found.n], lambda states: states[0])
    _check_result(f"metric {subject.name!r}", result, found.n)
    said = bool(result.protocol.strip())
    require(said, f"metric {subject.name!r} has no protocol; say what one must know to measure it again")


def _check_merges(subject: MetricSubject, found: Trial) -> None:
    merge, third = found.metric.merge, found.n // 3
    sizes = [third, third, found.n - 2 * third]

    def computed(sizes: list[int], join: Callable[[list[Any]], Any]) -> Result:
        return found.computed(sizes, lambda states: join([pickle.loads(pickle.dumps(state)) for state in states]))

    whole = computed([found.n], lambda states: states[0])
    for how, result in (
        ("(a + b) + c", computed(sizes, lambda s: merge(merge(s[0], s[1]), s[2]))),
        ("a + (b + c)", computed(sizes, lambda s: merge(s[0], merge(s[1], s[2])))),
    ):
        for what in ("value", "stderr", "n"):
            one, other = getattr(whole, what), getattr(result, what)
            require(
                abs(one - other) <= MERGE_SLACK * max(1.0, abs(one)),
                f"metric {subject.name!r}: {what} is {one:.8g} in one batch and {other:.8g} as {how}; look at merge",
            )


def _check_seeded(subject: MetricSubject, found: Trial) -> None:
    with torch.random.fork_rng(devices=[]):
        before = (torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate())
        one, two = found.measure(), found.measure()
        after = (torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate())
    require(
        one.value == two.value, f"metric {subject.name!r} gave {one.value}, then {two.value}; draw from the streams"
    )
    require(before == after, f"metric {subject.name!r} draws from a global generator; draw from the streams")


def _check_result(who: str, result: Result, n: int) -> None:
    require(
        math.isfinite(result.value) and math.isfinite(result.stderr) and result.stderr >= 0,
        f"{who} gives {result.value} ± {result.stderr}; expected finite numbers and an error of at least 0",
    )
    require(result.n == n, f"{who} says that it rests on n = {result.n}; it was shown {n}")
    require(
        result.direction in ("lower", "higher"), f"{who}: direction = {result.direction!r}; expected lower or higher"
    )
