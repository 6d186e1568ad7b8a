"""Samples of a model, batch by batch; sample i depends on the seed and on i only."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch

from zoo_core import plugins
from zoo_core.errors import ConditionError, IncompatibleError
from zoo_core.interfaces import Call, Condition, Frame, Model, Ragged, Sampler, Streams, Values
from zoo_core.interfaces.values import cat
from zoo_core.loading import load
from zoo_core.plugins.catalogue import resolve
from zoo_core.plugins.option_values import wrong_option
from zoo_core.processes import Processes

__all__ = [
    "default_batch_size",
    "default_guidance",
    "make_sampler",
    "plain_condition",
    "quick_sampler",
    "sample",
    "sample_in_processes",
]

Progress = Callable[[int, int], None]

GUIDANCE = "guidance"
"""The key of an entry's ``sampler`` that is the model's own, whichever sampler draws."""


def make_sampler(model: Model, name: str | None = None, /, *, nfe: int | None = None, **options: Any) -> Sampler[Any]:
    """Makes a sampler by name, checked against the model.

    Args:
        model: model to be sampled.
        name: registered name of a sampler; the model's default where not given.
        nfe: number of network evaluations that a sample may cost, in place of ``steps``: as many steps as they pay for.
        options: options of the sampler (``steps=50``, ``eta=0.5``).  The model's own defaults hold where it is its
            default.

    Raises:
        UnknownNameError: no such sampler.
        IncompatibleError: it does not fit the model, or has no such option, or the value is out of range.
    """
    catalogue = plugins.load().catalogue
    default = model.entry.sampler if model.entry else None
    if name is None:
        if default is None:
            raise IncompatibleError(
                f"{type(model).__name__} has no default sampler; name one ('zoo samplers' lists them)"
            )
        name = default.name
    if default is not None and name == default.name:
        options = {**{key: value for key, value in default.options.items() if key != GUIDANCE}, **options}
    kind = resolve(catalogue.get("sampler", name).target)
    known = [p for p in inspect.signature(kind).parameters if p != "self"]
    for option in options:
        if option not in known:
            has = f"its options are {', '.join(known)}" if known else "it has none"
            raise IncompatibleError(f"sampler {name!r} has no option {option!r}; {has}")
    if (wrong := wrong_option(kind, options)) is not None:
        raise IncompatibleError(f"sampler {name!r} has {wrong}")
    sampler = _made(kind, name, options)
    if nfe is not None:
        if "steps" not in known:
            raise IncompatibleError(f"sampler {name!r} takes no steps, so nfe = {nfe} cannot set them; leave it out")
        steps = sampler.steps_within(nfe)
        if steps < 1:
            raise IncompatibleError(f"nfe = {nfe}; one step of {name!r} costs {sampler.evaluations(1)} evaluations")
        sampler = _made(kind, name, {**options, "steps": steps})
    sampler.check(model)
    return sampler


def _made(kind: Any, name: str, options: Mapping[str, Any]) -> Sampler[Any]:
    try:
        sampler: Sampler[Any] = kind(**options)
    except (TypeError, ValueError) as err:
        raise IncompatibleError(f"sampler {name!r}: {err}") from err
    return sampler


def default_guidance(model: Model) -> float:
    """Gives the strength with which a model's conditions are followed unless the user says: its entry's, else 1."""
    default = model.entry.sampler if model.entry else None
    return float(default.options.get(GUIDANCE, 1.0)) if default is not None else 1.0


def default_batch_size(model: Model) -> int:
    """Chooses how many samples to handle at once: many small ones, few large ones.

    A small network is bound by the calls, not by the arithmetic: two-dimensional flows draw four times as quickly by
    16,384 as by 64.  Image networks fill the processor with 64 images, whose layers take a few hundred MiB.
    """
    on_gpu = model.device.type != "cpu"
    if model.space.kind == "image":
        return 1024 if on_gpu else 64
    numbers = max(math.prod(model.space.sizes), 1) * (256 if model.space.open_axis else 1)
    return max(64, min(16_384, 2**20 // numbers)) * (8 if on_gpu else 1)


def quick_sampler(model: Model, steps: int) -> Sampler[Any]:
    """Makes the model's default sampler with at most ``steps`` steps: for a look at it, not for its best samples."""
    sampler = make_sampler(model)
    return make_sampler(model, steps=steps) if (getattr(sampler, "steps", None) or 0) > steps else sampler


def plain_condition(model: Model) -> dict[str, Any] | None:
    """Gives a value for each condition that a model cannot do without, to see that it runs; ``None`` without any."""
    needed = {name: spec for name, spec in model.conditions.items() if not spec.null}
    values = {name: torch.zeros(spec.shape) if spec.classes is None else 0 for name, spec in needed.items()}
    return values | {name: [0] for name, spec in needed.items() if spec.kind == "tokens"} or None


def sample(
    model: Model | str,
    n: int,
    *,
    sampler: str | Sampler[Any] | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    condition: Condition | Mapping[str, Any] | None = None,
    guidance: float | None = None,
    nfe: int | None = None,
    first: int = 0,
    observer: Callable[[int, Frame], None] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Any:
    """Draws samples ``first`` … ``first + n − 1`` of a seed.

    Args:
        model: model, or the name of one.
        n: number of samples, at least 1.
        sampler: sampler or its name; the model's default unless given.
        seed: any integer; the same seed draws the same samples.
        batch_size: number of samples drawn at once: a matter of speed and memory, not of what is drawn.  Chosen for
            the model unless given.
        condition: what to condition on: a :class:`Condition` of ``n`` rows, or a mapping of values by name, each for
            all samples or a list that goes round (``{"label": 3}``, ``{"label": [0, 1]}``).
        guidance: strength with which the condition is followed; 1 is the conditional model itself.  The model's default
            unless given.
        nfe: number of network evaluations that a sample may cost, in place of ``steps``.
        first: global number of the first sample, for drawing in parts or on several machines.
        observer: function that is shown ``(start of the batch, frame)`` at every step.
        progress: function that is told ``(done, of)`` after every batch.
        options: options of the sampler (``steps=50``).

    Returns:
        A tensor ``(n, *space.shape)`` on the user's side, on the CPU: images in [0, 1], points as they are; float32
        unless the model is in float64.  A :class:`~zoo_core.interfaces.Ragged` where lengths are open.

    Raises:
        IncompatibleError: ``n``, ``batch_size``, ``seed`` or ``guidance`` out of range, or a sampler that does not fit.
        ConditionError: a condition that the model does not accept.
    """
    seed = _whole("seed", seed)
    if _whole("n", n) < 1 or (batch_size is not None and _whole("batch_size", batch_size) < 1):
        raise IncompatibleError(f"n = {n} and batch_size = {batch_size}; both are at least 1")
    if isinstance(model, str):
        model = load(model)
    chosen = sampler if isinstance(sampler, Sampler) else make_sampler(model, sampler, nfe=nfe, **options)
    chosen.check(model)
    accepted = chosen.conditions(model)
    if isinstance(condition, Mapping):
        condition = Condition.of(condition, accepted, n)
    elif condition is not None:
        condition.check(accepted)
        if len(condition) != n:
            raise ConditionError(f"the condition has {len(condition)} rows; expected n = {n}")
    strength = default_guidance(model) if guidance is None else _strength(guidance, chosen, model, condition)
    size = batch_size or default_batch_size(model)
    parts: list[Values] = []
    with torch.inference_mode():
        for start in range(0, n, size):
            stop = min(start + size, n)
            streams = Streams(seed, "sample", first + start, stop - start, device=model.device, dtype=model.state_dtype)
            rows = None if condition is None else condition.rows(slice(start, stop))
            rows = None if rows is None else rows.to(model.device, model.state_dtype)
            watch = None if observer is None else (lambda frame, start=start: observer(start, frame))
            x = chosen.draw(model, Call(streams, rows, strength, watch))
            if isinstance(x, Ragged) != (model.space.open_axis is not None):
                expected = "a Tensor" if isinstance(x, Ragged) else "a Ragged of values and lengths"
                raise IncompatibleError(
                    f"sampler {chosen.name!r} gave a {type(x).__name__} for {model.space.words()}; expected {expected}"
                )
            parts.append(model.space.to_user(x).cpu())
            if progress is not None:
                progress(stop, n)
    return cat(parts).clone()  # out of inference mode: an ordinary tensor


def _whole(name: str, value: object) -> int:
    """An integer of any kind (Python's, NumPy's); nothing else, so that no two spellings of a seed differ."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise IncompatibleError(f"{name} = {value!r}; expected an integer") from None


def _strength(guidance: float, sampler: Sampler[Any], model: Model, condition: Condition | None) -> float:
    """A guidance that means something here."""
    if isinstance(guidance, bool) or not isinstance(guidance, (int, float)) or not math.isfinite(guidance):
        raise IncompatibleError(f"guidance = {guidance}; expected a finite number, 1 for the conditional model itself")
    if guidance != 1.0:
        known = sampler.conditions(model)
        if not sampler.guides:
            raise IncompatibleError(f"guidance = {guidance:g}; sampler {sampler.name!r} does not guide: leave it out")
        if not known:
            raise IncompatibleError(f"guidance = {guidance:g}; this model is unconditional: there is nothing to follow")
        if condition is None:
            raise IncompatibleError(f"guidance = {guidance:g} follows a condition; give one of {', '.join(known)}")
    return float(guidance)


def sample_in_processes(
    processes: Processes,
    model: Model,
    n: int,
    *,
    condition: Condition | Mapping[str, Any] | None = None,
    first: int = 0,
    **options: Any,
) -> Any:
    """Draws as :func:`sample`, each process its share; all of them return all samples, those that one would draw."""
    part = processes.part(n)
    if isinstance(condition, Mapping):
        given = options.get("sampler")
        chosen = given if isinstance(given, Sampler) else make_sampler(model, given)
        condition = Condition.of(condition, chosen.conditions(model), n)
    rows: Values | None = None
    if part:
        mine = None if condition is None else condition.rows(slice(part.start, part.stop))
        rows = sample(model, len(part), condition=mine, first=first + part.start, **options)
    return processes.gather(rows)
