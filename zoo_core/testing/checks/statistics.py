"""Checks statistics objectives on a few generated examples: complete, incomplete and weighted ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from zoo_core.datasets.prepared import Prepared
from zoo_core.interfaces import Batch, Model, StatisticsObjective
from zoo_core.interfaces.values import map_values
from zoo_core.plugins.catalogue import resolve
from zoo_core.randomness import generator
from zoo_core.testing import tiny_data
from zoo_core.testing.check import check, require
from zoo_core.testing.component_subjects import ObjectiveSubject

EXAMPLES = 256

ADD_SLACK = 1e-6
"""Allowed difference between the statistics of a batch and the sum of those of its parts, relative to the largest."""

EM_SLACK = 1e-4
"""Nats per example by which a log-likelihood may fall in one iteration, by rounding and regularisation."""

ROUNDING = 1e-12
"""Relative rounding error of a log-likelihood in float64, which matters if the start is a maximum already."""


@check("objective", when=lambda subject: subject.is_statistics)
def check_statistics_add(subject: ObjectiveSubject) -> None:
    """Statistics of a batch are the sums of those of its parts, within 1e-6; log_likelihood and count are among them.

    Then a result depends neither on the batch size nor on the number of processes.
    """
    model, objective = subject.model.fresh(), _statistics(subject)
    x = tiny_data.batch(model, 64)
    objective.initialise(model, tiny_data.examples(model), 0)
    parts = (x, x.rows(slice(0, 20)), x.rows(slice(20, None)))
    whole, one, two = (objective.statistics(model, part) for part in parts)
    missing = {"log_likelihood", "count"} - set(whole)
    require(not missing, f"{subject.name}: statistics lack {', '.join(sorted(missing))}")
    require(float(whole["count"]) == len(x), f"{subject.name}: count = {float(whole['count']):g} of {len(x)} examples")
    for name, value in whole.items():
        gap, size = (value - one[name] - two[name]).abs().max().item(), max(1.0, value.abs().max().item())
        require(
            gap <= ADD_SLACK * size,
            f"{subject.name}: {name} of a batch is {gap:.3g} from the sum of its halves, of {size:.3g}; do not average",
        )


@check("objective", when=lambda subject: subject.is_statistics and subject.smallest)
def check_likelihood_never_falls(subject: ObjectiveSubject) -> None:
    """Ten iterations raise the mean log-likelihood of 256 examples, and none lowers it by over 1e-4 nats.

    Closed-form maximisation cannot lower it, so a fall is a mistake in the statistics or in the step.  The objective
    has its default options, since with strong regularisation another quantity is maximised.
    """
    model, objective = subject.model.fresh(), _statistics(subject, default=True)
    objective.initialise(model, tiny_data.examples(model), 0)
    _check_rise(subject, model, objective, tiny_data.batch(model, EXAMPLES))


@check("objective", when=lambda s: s.is_statistics and s.smallest and _has_holes(s.model.plan))
def check_likelihood_of_incomplete_data_never_falls(subject: ObjectiveSubject) -> None:
    """With a fifth of the values missing (NaN), ten iterations raise the likelihood of the others as they should.

    A model that ``takes_missing`` says so for its statistics objectives too; the start is found on such data as well.
    """
    model, objective = subject.model.fresh(), _statistics(subject, default=True)
    batch = tiny_data.batch(model, EXAMPLES)
    holes = torch.rand(batch.x.shape, generator=generator(0, "holes")) < 0.2
    x = map_values(batch.x, lambda data: data.masked_fill(holes, math.nan))
    data = tiny_data.examples(model)
    if data.treatment == "none":
        data = Prepared(model, replace(data.data, x=x[torch.arange(len(data))]))
    objective.initialise(model, data, 0)
    _check_rise(subject, model, objective, replace(batch, x=x))


@check("objective", when=lambda subject: subject.is_statistics and subject.weighs)
def check_weights_are_repetitions(subject: ObjectiveSubject) -> None:
    """Statistics of examples with weights 0, 1, 2 and 3 are those of as many equal examples, within 1e-6."""
    model, objective = subject.model.fresh(), _statistics(subject)
    x = tiny_data.batch(model, 64)
    objective.initialise(model, tiny_data.examples(model), 0)
    times = torch.arange(64) % 4
    weighted = objective.statistics(model, replace(x, weights=times.double()))
    repeated = objective.statistics(model, x.rows(torch.arange(64).repeat_interleave(times)))
    for name, value in repeated.items():
        gap, size = (value - weighted[name]).abs().max().item(), max(1.0, value.abs().max().item())
        require(
            gap <= ADD_SLACK * size,
            f"{subject.name}: {name} of weighted examples is {gap:.3g} from that of repeated ones, of {size:.3g}",
        )


def _has_holes(model: Model) -> bool:
    """Says whether values may be missing; a token has no NaN."""
    return model.takes_missing and model.space.kind != "tokens"


def _check_rise(subject: ObjectiveSubject, model: Model, objective: StatisticsObjective, x: Batch) -> None:
    """Takes ten iterations from the model's parameters, none of which may lower the likelihood."""
    history: list[float] = []
    for _ in range(10):
        statistics: Mapping[str, Tensor] = objective.statistics(model, x)
        history.append(float(statistics["log_likelihood"] / statistics["count"]))
        objective.maximise(model, statistics)
    require(all(map(math.isfinite, history)), f"{subject.name}: log-likelihoods are {history}; not finite")
    for i, (a, b) in enumerate(pairwise(history)):
        require(
            b >= a - EM_SLACK,
            f"{subject.name}: the log-likelihood falls from {a:.6f} to {b:.6f} nats at iteration {i + 1}",
        )
    risen = history[-1] >= history[0] - ROUNDING * abs(history[0])
    require(risen, f"{subject.name}: the log-likelihood ends at {history[-1]:.6f}, below its start")


def _statistics(subject: ObjectiveSubject, *, default: bool = False) -> StatisticsObjective:
    made = resolve(subject.component.target)() if default else subject.make()
    assert isinstance(made, StatisticsObjective)
    return made
