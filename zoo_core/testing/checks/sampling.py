"""Checks samples of models: their shape and range, and what they may depend on."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor

from zoo_core import plugins
from zoo_core.interfaces import Ragged, Values
from zoo_core.interfaces.values import finite_rows
from zoo_core.plugins.catalogue import resolve
from zoo_core.sampling import make_sampler, sample
from zoo_core.testing import tiny_data
from zoo_core.testing.behaviour import answers, streams_for
from zoo_core.testing.check import check, require
from zoo_core.testing.comparing import gap, largest, numbers, same
from zoo_core.testing.subjects import ModelSubject

BATCH_SLACK = 1e-4
"""Allowed difference between batch sizes, relative to the largest value.

Kernels for other shapes add in another order, with errors of 1e-7, and a few sampler steps through a deep network
multiply them by less than a thousand.
"""

STEPS = 3

FEW = 64
"""Number of samples with few possible values, such as throws of a coin, of which three are often equal by chance."""


@check("model", when=lambda subject: subject.can_be_drawn, of_weights=True)
def check_samples_have_shape_dtype_and_range(subject: ModelSubject) -> None:
    """``sample(model, n)`` is ``(n, *space.shape)``, float32 (tokens: int64), finite, in [0, 1] if bounded.

    Samples in the model's range must be finite too, because clamping to the user's range hides infinities.
    """
    n, space = 3, subject.model.space
    x = subject.draw(n)
    shape = tuple(x.shape)
    fits = len(shape) == 1 + len(space.shape) and shape[0] == n
    fits = fits and all(size in (None, found) for size, found in zip(space.shape, shape[1:], strict=True))
    require(fits, f"{subject.name}: samples have shape {shape}; expected ({n}, {', '.join(map(str, space.shape))})")
    require(
        isinstance(x, Ragged) == (space.open_axis is not None),
        f"{subject.name}: samples are a {type(x).__name__}; expected a Tensor where the shape is fixed, a Ragged of "
        "values and lengths where an axis is open",
    )
    expected = torch.int64 if space.kind == "tokens" else subject.model.state_dtype
    require(x.dtype == expected, f"{subject.name}: samples are {x.dtype}; expected {expected}")
    require(bool(finite_rows(x).all()), f"{subject.name}: samples are not finite")
    inside = _model_side(subject, n)
    require(
        bool(finite_rows(inside).all()),
        f"{subject.name}: samples are not finite before they are clamped to the range",
    )
    if space.low is not None:
        low, high = numbers(x).min().item(), numbers(x).max().item()
        require(low >= 0 and high <= 1, f"{subject.name}: samples lie in [{low:.3g}, {high:.3g}]; expected [0, 1]")
    if space.vocabulary is not None:
        low, high = numbers(x).min().item(), numbers(x).max().item()
        require(
            low >= 0 and high < space.vocabulary,
            f"{subject.name}: tokens lie in {low} … {high}; the vocabulary of {space.vocabulary} is 0 … "
            f"{space.vocabulary - 1}",
        )


@check("model", when=lambda subject: subject.can_be_drawn, of_weights=True)
def check_same_seed_same_samples(subject: ModelSubject) -> None:
    """The same seed gives the same samples to the bit; another seed gives others.

    The check finds random numbers that do not come from the streams but from a generator of the model, the clock, or
    the state of an earlier call.
    """
    n = FEW if subject.is_countable else 3
    one, two, other = subject.draw(n, seed=1), subject.draw(n, seed=1), subject.draw(n, seed=2)
    require(
        same(one, two),
        f"{subject.name}: two draws of seed 1 differ by {gap(one, two):.3g}; draw all random numbers from the streams",
    )
    require(not same(one, other), f"{subject.name}: seeds 1 and 2 give the same samples; is the seed used?")


@check("model", when=lambda subject: subject.can_be_drawn)
def check_samples_do_not_depend_on_the_batch(subject: ModelSubject) -> None:
    """Sample i depends on (seed, i) only: alone, in another batch size or drawn later it is the same.

    Differences up to 1e-4 of the largest value are allowed, since convolutions and matrix products of other shapes add
    in another order.  The check finds batch normalisation that is not frozen, and a generator for a whole batch.
    """
    n = 5
    whole = subject.draw(n, batch_size=n)
    slack = BATCH_SLACK * max(1.0, largest(whole))
    for what, part, rows in (
        ("one by one", subject.draw(n, batch_size=1), slice(0, n)),
        ("in batches of 3", subject.draw(n, batch_size=3), slice(0, n)),
        ("from the fourth on", subject.draw(2, first=3), slice(3, n)),
    ):
        apart = gap(whole[rows], part)
        require(
            apart <= slack,
            f"{subject.name}: samples drawn {what} differ by {apart:.3g} from a batch of {n} (allowed {slack:.3g}); "
            "use one stream per sample and let no batch-mate matter",
        )


@check("model", when=lambda subject: subject.can_be_drawn, long=True)
def check_every_fitting_sampler_runs(subject: ModelSubject) -> None:
    """Each sampler that accepts the model draws finite samples of its shape, in 3 steps.

    A sampler must refuse the model if the family does not declare a capability that the sampler needs.  Other samplers
    may refuse it for reasons of their own, such as a path that couples noise and data; the default sampler may not.
    """
    drawn = subject.draw(2)
    for component in plugins.load().catalogue.all("sampler"):
        why = resolve(component.target)().misfit(subject.model)
        if component.misfit(subject.family) is not None:
            require(
                why is not None,
                f"sampler {component.name!r} accepts {subject.name}, which lacks what it needs; see Sampler.needs",
            )
            continue
        if why is not None:
            require(component.name != subject.sampler_name, f"{subject.name}: its sampler {component.name!r} {why}")
            continue
        sampler = make_sampler(subject.model, component.name)
        if getattr(sampler, "steps", None) and resolve(component.target)(steps=STEPS).misfit(subject.model) is None:
            sampler = make_sampler(subject.model, component.name, steps=STEPS)
        x = sample(subject.model, 2, sampler=sampler, condition=subject.condition(2))
        require(
            _like(x, drawn) and bool(finite_rows(x).all()),
            f"{subject.name}: sampler {component.name!r} gives {tuple(x.shape)}, expected {tuple(drawn.shape)}, finite",
        )


@check("model")
def check_global_generators_are_left_alone(subject: ModelSubject) -> None:
    """Sampling, log-probabilities, codes and predictions leave the generators of torch, numpy and random as they were.

    The generators belong to the user: results must not depend on their state, nor change it.
    """
    with torch.random.fork_rng(devices=[]):
        before = (torch.get_rng_state(), np.random.get_state(), random.getstate())
        answers(subject, subject.model)
        after = (torch.get_rng_state(), np.random.get_state(), random.getstate())
    moved = [
        name
        for name, was, now in zip(("torch's", "numpy's", "random's"), before, after, strict=True)
        if repr(was) != repr(now) or (isinstance(was, Tensor) and isinstance(now, Tensor) and not torch.equal(was, now))
    ]
    require(not moved, f"{subject.name} draws from {' and '.join(moved)} global generator; draw from the streams")


def _like(x: Values, other: Values) -> bool:
    """Says whether two batches have the same shape, apart from an axis of any length."""
    if isinstance(x, Ragged) or isinstance(other, Ragged):
        return isinstance(x, Ragged) and isinstance(other, Ragged) and len(x) == len(other) and x.axis == other.axis
    return x.shape == other.shape


def _model_side(subject: ModelSubject, n: int) -> Values:
    model = subject.model
    condition = tiny_data.condition(model, 0, n)
    with torch.inference_mode():
        drawn: Values = subject.sampler(STEPS).sample(model, streams_for(model, n), condition=condition)
    return drawn
