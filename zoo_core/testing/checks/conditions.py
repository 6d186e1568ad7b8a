"""Checks that conditional models use their condition and refuse invalid ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from zoo_core.errors import ConditionError
from zoo_core.interfaces import (
    Condition,
    ConditionSpec,
    Denoiser,
    Density,
    DirectSampler,
    LatentVariable,
    Ragged,
    Values,
    can,
)
from zoo_core.testing import tiny_data
from zoo_core.testing.behaviour import encodes, noisy, streams_for
from zoo_core.testing.check import ConformanceError, check, require
from zoo_core.testing.checks.sampling import FEW
from zoo_core.testing.comparing import same
from zoo_core.testing.subjects import ModelSubject


@check("model", when=lambda subject: bool(subject.plan.conditions))
def check_condition_out_of_range_is_refused(subject: ModelSubject) -> None:
    """A label that is −1 or too large, of a wrong shape or type, or under an unknown name is a ConditionError.

    The model's own methods must raise it, not only ``sample``: torch takes −1 for the last class, and an index that is
    too large is an assertion on the GPU that ends the process.  ``condition.check(self.conditions)`` raises it.
    Without a condition, a method must return a result (it may draw a label) or raise a ConditionError.
    """
    for ask, call in _calls(subject):
        try:
            call(None)
        except ConditionError:
            pass
        except Exception as err:
            raise ConformanceError(
                f"{subject.name}: {ask} without a condition raised {type(err).__name__}: {err}; "
                "expected an answer or a ConditionError"
            ) from err
        for what, wrong in _wrong(subject):
            try:
                call(wrong)
            except ConditionError:
                continue
            except Exception as err:
                raise ConformanceError(
                    f"{subject.name}: {ask} with {what} raised {type(err).__name__}: {err}; expected a ConditionError"
                ) from err
            raise ConformanceError(
                f"{subject.name}: {ask} accepted {what}; call condition.check(self.conditions) in it"
            )


@check("model", when=lambda subject: bool(subject.plan.conditions) and subject.can_be_drawn)
def check_condition_matters(subject: ModelSubject) -> None:
    """The same streams give different samples under two conditions, so the condition is not ignored."""
    n = FEW if subject.is_countable else 1
    first, every = subject.condition(1), torch.zeros(n, dtype=torch.int64)
    assert first is not None
    one, other = first.rows(every), _another(subject).rows(every)
    a, b = subject.draw(n, condition=one), subject.draw(n, condition=other)
    require(not same(a, b), f"{subject.name}: two conditions give the same sample; the condition is ignored")


def _calls(subject: ModelSubject) -> Iterator[tuple[str, Callable[[Condition | None], object]]]:
    """Yields every method that takes a condition, as a function of the condition, with valid other arguments."""
    model = subject.model
    batch = tiny_data.batch(model, 1)
    if subject.can_be_drawn:
        yield "sample", lambda c: subject.draw(1, condition=c)
    if can(model, DirectSampler) and isinstance(model, DirectSampler):
        yield "draw", lambda c: model.draw(streams_for(model, 1), condition=c)
    if can(model, Density) and isinstance(model, Density):
        yield "log_prob", lambda c: model.log_prob(batch.x, condition=c, streams=streams_for(model, 1))
    if isinstance(model, LatentVariable):
        z = model.draw_latent(streams_for(model, 1))
        yield "decode", lambda c: model.decode(z, condition=c)
        if encodes(model):
            yield "encode", lambda c: model.encode(batch.x, condition=c)
    if isinstance(model, Denoiser):
        t, x_t = noisy(model, batch)[0]
        yield "predict", lambda c: model.predict(x_t, t, condition=c)


def _wrong(subject: ModelSubject) -> Iterator[tuple[str, Condition]]:
    """Yields conditions that must be refused, each with one mistake and its description."""
    good = subject.condition(1)
    assert good is not None
    for name, spec in subject.model.conditions.items():
        for what, value in _wrong_values(name, spec):
            yield what, Condition(**{**good.values, name: value})
    yield "an unknown condition", Condition(**good.values, no_such_condition=torch.zeros(1))


def _wrong_values(name: str, spec: ConditionSpec) -> Iterator[tuple[str, Values]]:
    if spec.kind == "tokens":
        assert spec.classes is not None
        yield (
            f"{name} with token {spec.classes}",
            Ragged(torch.full((1, 1), spec.classes), torch.ones(1, dtype=torch.int64)),
        )
        yield f"{name} as numbers", torch.zeros((1, 2))
        return
    if spec.classes is not None:
        yield f"{name} = −1", torch.full((1, *spec.shape), -1)
        least = spec.classes + spec.null
        yield f"{name} = {least} (of {spec.classes} classes)", torch.full((1, *spec.shape), least)
        yield f"{name} = 0.5", torch.full((1, *spec.shape), 0.5)
    else:
        yield f"{name} of infinite numbers", torch.full((1, *spec.shape), torch.inf)
    kind = torch.int64 if spec.classes is not None else torch.float32
    yield f"{name} with an axis too many", torch.zeros((1, *spec.shape, 2), dtype=kind)


def _another(subject: ModelSubject) -> Condition:
    """Returns a valid condition that differs from the first in every value."""
    first = subject.condition(1)
    assert first is not None
    changed: dict[str, Values] = {}
    for name, spec in subject.model.conditions.items():
        value = first.values[name]
        if isinstance(value, Ragged):
            changed[name] = Ragged((value.data + 1) % (spec.classes or 1), value.lengths, value.axis)
        else:
            changed[name] = value + 1.0 if spec.classes is None else (value + 1) % spec.classes
    return Condition(**changed)
