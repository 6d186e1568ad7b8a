"""Checks metrics: for each model those that fit, and each metric on a model that it fits."""

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
"""Allowed difference between batch sizes, relative to the value, since float32 features are added in another order."""


@check("model")
def check_every_fitting_metric_runs(subject: ModelSubject) -> None:
    """Each metric that accepts the model and its data, and takes minutes and not hours, gives a finite number.

    The metrics see a few examples, or samples drawn in few steps, so the check shows that they run, not that they are
    right.  A metric may refuse with an IncompatibleError, and a model without its label with a ConditionError; any
    other error is a failure.
    """
    _measure_all(subject, by_default=True)


@check("model", when=lambda subject: not subject.is_spoken_for, slow=lambda subject: True)
def check_every_long_metric_runs(subject: ModelSubject) -> None:
    """Each metric that is measured only if it is named, and accepts the model and its data, gives a finite number.

    If a density takes many passes through an image network, the check runs on one of the models with the same code and
    data.
    """
    _measure_all(subject, by_default=False)


def _measure_all(subject: ModelSubject, *, by_default: bool) -> None:
    samples: Replayed | None = None
    for component in plugins.load().catalogue.all("metric"):
        if component.misfit(subject.family) is not None:
            continue
        metric = metric_named(component.name).quick()
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
    """Returns the result of a measurement; ``None`` if the metric or the model refuses."""
    try:
        found.metric.check(found.model, found.data)
        return found.measure()
    except (IncompatibleError, ConditionError):
        return None
    except Exception as err:
        raise ConformanceError(f"{who} raised {type(err).__name__}: {' '.join(str(err).split())}") from err


@check("metric")
def check_metric_measures(subject: MetricSubject) -> None:
    """On a model that it fits, the metric gives a finite value and error, the right n, a direction and its settings.

    Tables need them besides the value.  The check is skipped if the metric accepts no model and data on this machine.
    """
    _check_measures(subject, _trial(subject))


@check("metric", long=True)
def check_metric_states_merge(subject: MetricSubject) -> None:
    """States of three batches, merged in either grouping and in one batch, give one result within 1e-5 of its size.

    Then a result depends neither on the batch size nor on the number of processes.  The states are pickled, as between
    processes.
    """
    _check_merges(subject, _trial(subject))


@check("metric")
def check_metric_is_seeded(subject: MetricSubject) -> None:
    """Two measurements with one seed give the same number, and use no global generator of torch, numpy or random."""
    _check_seeded(subject, _trial(subject))


@check("metric", slow=lambda subject: True)
def check_metric_with_all_of_the_data(subject: MetricSubject) -> None:
    """The checks of values, merging and seeds hold for a metric that refuses few examples, with a whole data set.

    Such a metric needs a whole test set for its baselines.  The check is skipped for other metrics.
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
    require(said, f"metric {subject.name!r} has no protocol; give the settings that are needed to measure it again")


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
