"""Checks models that complete samples, and models that take missing values.

Together, the checks of completions catch a conditional distribution that is wrong in one coordinate, coordinates that
are drawn independently where they depend on each other, and rows that get the mask or the noise of another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from zoo_core.interfaces import Completer, Condition, Density, DirectSampler, Model, Ragged, Streams, Values, can
from zoo_core.testing import quadrature, tiny_data
from zoo_core.testing.behaviour import streams_for
from zoo_core.testing.check import check, require
from zoo_core.testing.checks.density import FALSE_ALARM, chi_square
from zoo_core.testing.comparing import gap, largest, numbers, same
from zoo_core.testing.subjects import ModelSubject

ROWS = 3
DRAWS = 1000
GRID = 1000
MANY, PATTERNS = 1500, 8
INTEGRAL_SLACK = 2e-3
"""Nats by which a density of known values may differ from the integral over the missing one."""


def _is_exact(subject: ModelSubject) -> bool:
    """Says whether log p is exact and can be computed some ten thousand times: a small model stands for a large one."""
    model = subject.plan
    return (
        not subject.is_large and isinstance(model, Density) and model.log_prob_is == "exact" and not model.many_passes
    )


@check("model", needs=("Completer",))
def check_completions_keep_what_is_known(subject: ModelSubject) -> None:
    """Known coordinates stay as they are to the bit; unknown ones are not read, and their completions are valid.

    Every row has another mask, one of them with everything known and one with nothing.  Unknown coordinates are filled
    with NaN, or −1 for tokens, which must change nothing.  A row alone is completed as among others, within 1e-4.
    """
    model, n = subject.model, 6
    x, condition = tiny_data.batch(model, n).x, subject.condition(n)
    known = _masks(model, x, n)
    with torch.inference_mode():
        made = _complete(model, x, known, condition, 0)
        require(len(made) == n and numbers(made).shape == numbers(x).shape, f"{subject.name}: complete changes shapes")
        kept = torch.equal(numbers(made)[known], numbers(x)[known])
        require(kept, f"{subject.name}: complete changes known coordinates; return those of x")
        unread = numbers(x).masked_fill(~known, -1 if not x.is_floating_point() else math.nan)
        require(
            same(made, _complete(model, _with(x, unread), known, condition, 0)),
            f"{subject.name}: complete reads unknown coordinates; only those that are known have values",
        )
        valid = bool(torch.isfinite(numbers(made)).all())
        if model.space.kind == "tokens":
            valid = valid and bool(((numbers(made) >= 0) & (numbers(made) < (model.space.vocabulary or 0))).all())
        require(valid, f"{subject.name}: complete gives values that are no samples: {numbers(made).flatten()[:3]}")
        last = x[n - 1 :]
        mask = known[n - 1 :]
        if isinstance(last, Ragged):
            mask = mask.narrow(last.axis, 0, last.data.shape[last.axis])
        alone = _complete(model, last, mask, subject.condition(n, n - 1), n - 1)
    apart = gap(alone, made[n - 1 :])
    slack = 1e-4 * max(1.0, largest(made))
    require(apart <= slack, f"{subject.name}: a completion differs by {apart:.3g} alone and among others")


@check("model", needs=("Completer", "Density"), when=_is_exact, long=True)
def check_completions_have_the_conditional_distribution(subject: ModelSubject) -> None:
    """1,000 completions of one hidden coordinate have the density that ``log_prob`` gives along it, for three samples.

    Numbers are compared by a Kolmogorov–Smirnov test with the integral of the density, tokens and bits by a χ² test.  A
    correct model fails it with probability one in a million.  A model that completes prefixes only hides the last one.
    """
    model = subject.model
    condition = subject.condition(ROWS)
    x = _samples(model, ROWS, condition)
    for row in range(ROWS):
        flat = numbers(x[row : row + 1]).flatten(1)
        places = [(row * 7 + 1) % flat.shape[1], flat.shape[1] - 1]
        hidden = next((place for place in places if _completes(model, x[row : row + 1], place)), None)
        if hidden is not None:
            one = None if condition is None else condition.rows(torch.full((DRAWS,), row))
            _compare(subject, x[row : row + 1], hidden, one)


def _compare(subject: ModelSubject, x: Values, hidden: int, condition: Condition | None) -> None:
    model = subject.model
    assert isinstance(model, Density)
    many = _repeated(x, DRAWS)
    known = torch.ones_like(numbers(many), dtype=torch.bool)
    known.view(DRAWS, -1)[:, hidden] = False
    density = _along(model, x, hidden, None if condition is None else condition.rows(slice(0, 1)))
    with torch.inference_mode():
        drawn = numbers(_complete(model, many, known, condition, 0)).view(DRAWS, -1)[:, hidden]
        if (states := _states(model)) is not None:
            expected = torch.softmax(density(states), 0) * DRAWS
            observed = (drawn[:, None] == states).double().sum(0)
            statistic, freedom = chi_square(observed, expected)
            p = torch.special.gammaincc(torch.tensor(freedom / 2.0), torch.tensor(statistic / 2.0)).item()
        else:
            p = _kolmogorov(drawn.double(), density)
    require(
        p >= FALSE_ALARM,
        f"{subject.name}: completions of coordinate {hidden} do not have the density of log_prob given the others: "
        f"p = {p:.1g}; expected at least {FALSE_ALARM:g}",
    )


def _kolmogorov(drawn: Tensor, density: Callable[[Tensor], Tensor]) -> float:
    """Tests draws against an unnormalised log-density on the line; returns the p-value (Kolmogorov's bound).

    The integral is the sum of trapezia between the draws themselves, where the mass should be, and a grid around them.
    """
    low, high = drawn.min().item(), drawn.max().item()
    margin = 2.0 * max(high - low, 1e-6)
    at = torch.cat([drawn, torch.linspace(low - margin, high + margin, GRID, dtype=torch.float64)]).sort().values
    height = density(at)
    height = (height - height.max()).exp()
    mass = torch.cat([torch.zeros(1, dtype=torch.float64), 0.5 * (height[1:] + height[:-1]) * at.diff()]).cumsum(0)
    expected, n = mass / mass[-1], len(drawn)
    seen = torch.searchsorted(drawn.sort().values, at, right=True) / n
    distance = (expected - seen).abs().max().item()
    return min(1.0, 2.0 * math.exp(-2.0 * n * max(distance - 1 / n, 0.0) ** 2))


@check("model", needs=("Completer", "Density", "DirectSampler"), when=_is_exact, long=True)
def check_completions_leave_the_distribution_invariant(subject: ModelSubject) -> None:
    """Samples, of which random coordinates are hidden and completed, are samples again: log p has its distribution.

    1,500 values of ``log_prob`` before and after are compared by a Kolmogorov–Smirnov test of two samples.  The check
    finds coordinates that are drawn from their own conditional distributions and not jointly.  A correct model fails
    it with probability one in a million.
    """
    model = subject.model
    assert isinstance(model, Density)
    one = tiny_data.condition(model, 0, 1)
    condition = None if one is None else one.rows(torch.zeros(MANY, dtype=torch.int64))
    x = _samples(model, MANY, condition)
    known = _masks(model, x, PATTERNS)[torch.arange(MANY) % PATTERNS]
    with torch.inference_mode():
        made = _complete(model, x, known, condition, 0)
        before, after = (
            model.log_prob(v, condition=condition, streams=streams_for(model, MANY)).double() for v in (x, made)
        )
    both = torch.cat([before, after]).sort().values
    share = [torch.searchsorted(v.sort().values, both, right=True) / MANY for v in (before, after)]
    distance = (share[0] - share[1]).abs().max().item()
    p = min(1.0, 2.0 * math.exp(-MANY * distance**2))
    require(
        p >= FALSE_ALARM,
        f"{subject.name}: hiding and completing coordinates changes the distribution of log_prob, from a mean of "
        f"{before.mean():.4g} to {after.mean():.4g}: p = {p:.1g}; are they drawn jointly?",
    )


@check("model", needs=("Density",), when=lambda s: _is_exact(s) and _integrates(s.plan), long=True)
def check_missing_values_are_integrated_out(subject: ModelSubject) -> None:
    """``log_prob`` of a row with NaN is log ∫ p(x) over the missing value, within 0.002 nats.

    Of a row without any value it is 0, or the logarithm of the probability of its length where that is open; other rows
    of the batch do not change.
    """
    model = subject.model
    assert isinstance(model, Density)
    condition = subject.condition(ROWS + 1)
    x = _samples(model, ROWS + 1, condition)
    data = numbers(x).clone()
    with torch.inference_mode():
        whole = model.log_prob(x, condition=condition, streams=streams_for(model, ROWS + 1))
        hidden = [(row * 7 + 1) % numbers(x[row : row + 1]).numel() for row in range(ROWS)]
        for row, place in enumerate(hidden):
            data.view(ROWS + 1, -1)[row, place] = math.nan
        found = model.log_prob(_with(x, data), condition=condition, streams=streams_for(model, ROWS + 1)).double()
        nothing = model.log_prob(_with(x, torch.full_like(data, math.nan)), condition=condition)
    same_row = torch.allclose(found[-1], whole[-1].double(), rtol=1e-4, atol=1e-4)
    require(same_row, f"{subject.name}: log_prob of a whole row changes where another lacks a value")
    at_most, worst = isinstance(x, Ragged), nothing.abs().max().item()
    require(
        bool((nothing < 1e-3).all()) if at_most else worst < 1e-3,
        f"{subject.name}: log_prob of rows without any value is {worst:.3g}; expected {'at most ' if at_most else ''}0",
    )
    for row, place in enumerate(hidden):
        one = None if condition is None else condition.rows(slice(row, row + 1))
        expected = _integral(model, x[row : row + 1], place, one)
        require(
            abs(found[row].item() - expected) <= INTEGRAL_SLACK,
            f"{subject.name}: log_prob with coordinate {place} missing is {found[row]:.5g}; its integral is "
            f"{expected:.5g} nats",
        )


def _integral(model: Model, x: Values, hidden: int, condition: Condition | None) -> float:
    """Computes log ∫ p(x) over one coordinate."""
    density = _along(model, x, hidden, condition)
    with torch.inference_mode():
        around = numbers(x).flatten()[hidden].double() + torch.linspace(-1, 1, 401, dtype=torch.float64)
        top = density(around).max()
        return math.log(quadrature.integrate(lambda v: density(v[:, 0]) - top, around[:, None]).total) + top.item()


def _along(model: Model, x: Values, place: int, condition: Condition | None) -> Callable[[Tensor], Tensor]:
    """Returns log p of one row, with the condition of one row, as a function of one of its coordinates."""
    assert isinstance(model, Density)

    def density(values: Tensor) -> Tensor:
        rows, zeros = _repeated(x, len(values)), torch.zeros(len(values), dtype=torch.int64)
        data = numbers(rows).clone()
        data.view(len(values), -1)[:, place] = values.to(data.dtype)
        given = None if condition is None else condition.rows(zeros)
        found: Tensor = model.log_prob(_with(rows, data), condition=given, streams=streams_for(model, len(values)))
        return found.double()

    return density


def _integrates(model: Model) -> bool:
    """Says whether a model claims that log p of a row with missing numbers is the integral over them."""
    return model.takes_missing and model.marginals_are == "exact" and _is_real(model)


def _is_real(model: Model) -> bool:
    return not (model.discrete or model.binarises) and model.space.is_numeric


def _states(model: Model) -> Tensor | None:
    """Returns the values that a coordinate of a discrete model can have; ``None`` for real numbers."""
    if model.space.kind == "tokens":
        return torch.arange(model.space.vocabulary or 0)
    if not model.binarises:
        return None
    low, high = (0.0, 1.0) if model.space.low is None else (model.space.low, model.space.high or 0.0)
    return torch.tensor([low, high])


def _samples(model: Model, n: int, condition: Condition | None) -> Values:
    """Draws samples on the model's side; takes tiny data where they cannot be drawn directly."""
    if not can(model, DirectSampler) or not isinstance(model, DirectSampler):
        return cast(Values, tiny_data.batch(model, n).x)
    with torch.inference_mode():
        return cast(Values, model.draw(streams_for(model, n), condition=condition))


def _masks(model: Model, x: Values, n: int) -> Tensor:
    """Makes n random masks: the first knows everything, the second nothing; prefixes where only these fit."""
    shape = (n, *numbers(x).shape[1:])
    share = Streams(0, "masks", 0, n).uniform(*shape[1:])
    known = share < 0.5
    if not _fits(model, known):
        length = math.prod(shape[1:])
        cut = (Streams(0, "cut", 0, n).uniform(1) * length).long()
        known = (torch.arange(length) < cut).view(shape)
    known[0], known[1] = True, False
    return known


def _completes(model: Model, x: Values, hidden: int) -> bool:
    known = torch.ones_like(numbers(x), dtype=torch.bool)
    known.view(1, -1)[0, hidden] = False
    return _fits(model, known)


def _fits(model: Model, known: Tensor) -> bool:
    assert isinstance(model, Completer)
    return model.completes(known) is None


def _complete(model: Model, x: Values, known: Tensor, condition: Condition | None, start: int) -> Values:
    assert isinstance(model, Completer)
    streams = streams_for(model, len(x), start=start)
    made: Values = model.complete(x, known, streams, condition=condition)
    return made


def _with(x: Values, data: Tensor) -> Values:
    return Ragged(data, x.lengths, x.axis) if isinstance(x, Ragged) else data


def _repeated(x: Values, n: int) -> Values:
    return x[torch.zeros(n, dtype=torch.int64)]
