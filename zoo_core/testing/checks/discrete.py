"""Checks probabilities of levels, bits and tokens: at most one, with the sum one, and in agreement with samples."""

from __future__ import annotations

import math

import torch

from zoo_core.interfaces import Condition, Density, DirectSampler, Model, can
from zoo_core.sampling import sample
from zoo_core.testing import tiny_data
from zoo_core.testing.behaviour import streams_for
from zoo_core.testing.check import check, require
from zoo_core.testing.checks.density import FALSE_ALARM, chi_square
from zoo_core.testing.states import all_states, index_of, small_variant
from zoo_core.testing.subjects import ModelSubject

SUM_SLACK = 1e-3
"""Allowed error of a sum of thousands of float32 probabilities, each with a relative error of 1e-6."""

SAMPLES = 4000


def _is_discrete(subject: ModelSubject) -> bool:
    return subject.plan.discrete or subject.plan.space.kind == "tokens"


@check(
    "model",
    needs=("Density",),
    when=lambda subject: _is_discrete(subject) and not subject.is_spoken_for,
    slow=lambda subject: subject.is_slow_density,
)
def check_discrete_log_prob_is_at_most_zero(subject: ModelSubject) -> None:
    """``log_prob`` of levels, bits or tokens is at most 0: it is the logarithm of a probability.

    A wrong constant, or a forgotten normaliser, can raise it above 0.
    """
    model, n = subject.model, 8
    assert isinstance(model, Density)
    batch = tiny_data.batch(model, n)
    with torch.inference_mode():
        value = model.log_prob(batch.x, condition=batch.condition, streams=streams_for(model, n))
    worst = value.max().item()
    require(
        worst <= 1e-4,
        f"{subject.name}: log_prob is {worst:.4g} nats; of something discrete it is at most 0: is it normalised?",
    )


@check("model", needs=("Density",), when=_is_discrete)
def check_probabilities_sum_to_one(subject: ModelSubject) -> None:
    """Σ exp(log_prob(x)) over all states is 1 ± 0.001 for an exact model, and at most that for a bound.

    A conditional model is summed under one condition.  For sequences of any length, the sum over the shorter ones is at
    most 1.  If there are too many states, the same family with a small shape is checked; without one, nothing is.
    """
    model = _enumerable(subject)
    if model is None:
        return
    assert isinstance(model, Density)
    states = all_states(model)
    assert states is not None
    total = _probabilities(model).sum().item()
    exact = model.log_prob_is == "exact" and model.space.open_axis is None
    require(
        total <= 1 + SUM_SLACK and (total >= 1 - SUM_SLACK or not exact),
        f"{subject.name}: the probabilities of {len(states)} states add up to {total:.5g}; expected "
        f"{'1' if exact else 'at most 1'} ± {SUM_SLACK}: is the normaliser there?",
    )


@check("model", needs=("Density", "DirectSampler"), when=_is_discrete)
def check_discrete_samples_agree_with_log_prob(subject: ModelSubject) -> None:
    """4,000 samples of a small discrete model fall on its states as often as ``log_prob`` says, by a χ² test.

    States that are not enumerated (longer sequences) count as one state.  A correct model fails the test with
    probability one in a million.  Models that draw means in place of samples (a VAE of images) are left out.
    """
    model = _enumerable(subject)
    if model is None or not can(model, DirectSampler) or not isinstance(model, DirectSampler):
        return
    states = all_states(model)
    assert states is not None
    assert isinstance(model, Density)
    if model.log_prob_is != "exact":
        return
    x = sample(model, SAMPLES, sampler="direct", condition=_one(model, SAMPLES))
    found = index_of(model.space.to_user(states), x)
    mass = _probabilities(model).double()
    expected = torch.cat([mass, (1 - mass.sum()).clamp_min(0)[None]]) * SAMPLES
    observed = torch.bincount(found, minlength=len(expected)).double()
    statistic, freedom = chi_square(observed, expected)
    p = torch.special.gammaincc(torch.tensor(freedom / 2.0), torch.tensor(statistic / 2.0)).item()
    require(
        p >= FALSE_ALARM,
        f"{subject.name}: samples do not have the probabilities of log_prob: χ² = {statistic:.0f} for {freedom} "
        f"degrees of freedom, p = {p:.1g}; expected at least {FALSE_ALARM:g}",
    )


def _enumerable(subject: ModelSubject) -> Model | None:
    kept: dict[str, Model | None] = subject.__dict__.setdefault("_small", {})
    if "model" not in kept:
        kept["model"] = small_variant(subject.model)
    return kept["model"]


def _probabilities(model: Model) -> torch.Tensor:
    states = all_states(model)
    assert states is not None
    assert isinstance(model, Density)
    n = len(states)
    condition = _one(model, n)
    with torch.inference_mode():
        value: torch.Tensor = model.log_prob(states, condition=condition, streams=streams_for(model, n)).double().exp()
    return value if math.isfinite(value.sum().item()) else torch.full_like(value, math.inf)


def _one(model: Model, n: int) -> Condition | None:
    one = tiny_data.condition(model, 0, 1)
    return None if one is None else one.rows(torch.zeros(n, dtype=torch.int64))
