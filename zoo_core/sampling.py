"""Draws samples from a model, batch by batch; sample i depends on the seed and on i, not on the batch size."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch

from zoo_core import plugins
from zoo_core.errors import ConditionError, IncompatibleError
from zoo_core.interfaces import Call, Condition, Frame, Model, Ragged, Sampler, SampleSpace, Streams, Values
from zoo_core.interfaces.values import cat
from zoo_core.loading import load
from zoo_core.plugins.catalogue import resolve
from zoo_core.plugins.option_values import wrong_option
from zoo_core.processes import Processes

__all__ = [
    "default_batch_size",
    "default_guidance",
    "default_part_size",
    "describe",
    "guidance_strength",
    "make_sampler",
    "plain_condition",
    "quick_sampler",
    "sample",
    "sample_in_processes",
]

Progress = Callable[[int, int], None]

GUIDANCE = "guidance"
"""Key of an entry's ``sampler`` table that holds for every sampler of the model, not only for the default one."""


def make_sampler(model: Model, name: str | None = None, /, *, nfe: int | None = None, **options: Any) -> Sampler[Any]:
    """Makes a sampler by name, and checks that it fits the model.

    Args:
        model: model to be sampled.
        name: registered name of a sampler; the model's default sampler unless given.
        nfe: greatest number of network evaluations per sample, in place of ``steps``; the sampler takes as many steps
            as they allow.
        options: options of the sampler (``steps=50``, ``eta=0.5``); for the model's default sampler, the options in its
            entry hold unless given here.

    Raises:
        UnknownNameError: there is no such sampler.
        IncompatibleError: the sampler does not fit the model, has no such option, or an option is out of its range.
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
            cost = sampler.evaluations(1)
            raise IncompatibleError(f"nfe = {nfe}; one step of {name!r} costs {cost} evaluations, so give more")
        sampler = _made(kind, name, {**options, "steps": steps})
    sampler.check(model)
    return sampler


def _made(kind: Any, name: str, options: Mapping[str, Any]) -> Sampler[Any]:
    try:
        sampler: Sampler[Any] = kind(**options)
    except (TypeError, ValueError) as err:
        raise IncompatibleError(f"sampler {name!r}: {err}") from err
    defaults = {key: p.default for key, p in inspect.signature(kind).parameters.items()}
    known = {key: value for key, value in defaults.items() if isinstance(value, (str, int, float, list, type(None)))}
    sampler.made_with = {**known, **options}
    return sampler


def default_guidance(model: Model) -> float:
    """Returns the guidance strength of a model unless the user gives one: that of its entry, or 1."""
    default = model.entry.sampler if model.entry else None
    return float(default.options.get(GUIDANCE, 1.0)) if default is not None else 1.0


def default_batch_size(model: Model) -> int:
    """Chooses the number of samples that are drawn at once, by the size of a sample.

    The time of a small network goes into calls, not into arithmetic: two-dimensional flows are four times as fast in
    batches of 16,384 as in batches of 64.  Image networks occupy the processor fully with 64 images of 32×32, whose
    activations take a few hundred MiB; of larger images there are fewer, one of 256×256 in three channels.
    """
    on_gpu = model.device.type != "cpu"
    numbers = _numbers(model.space)
    if model.space.kind == "image":
        return max(1, min(64, 2**18 // numbers)) * (16 if on_gpu else 1)
    return max(64, min(16_384, 2**20 // numbers)) * (8 if on_gpu else 1)


def default_part_size(space: SampleSpace) -> int:
    """Chooses the number of samples in one file of a long run, about a million numbers, for every device the same.

    It is a multiple of the batch size on a CPU, so that a run in parts has the batches of a run in one piece.
    """
    numbers = _numbers(space)
    size = max(1, min(64, 2**18 // numbers)) if space.kind == "image" else max(64, min(16_384, 2**20 // numbers))
    while 2 * size <= 16_384 and 2 * size * _numbers(space) <= 2**20:
        size *= 2
    return size


def _numbers(space: SampleSpace) -> int:
    """Counts the numbers of a sample; an open axis counts as 256."""
    return max(math.prod(space.sizes), 1) * (256 if space.open_axis else 1)


def quick_sampler(model: Model, steps: int) -> Sampler[Any]:
    """Makes the model's default sampler with at most ``steps`` steps, for a quick test of the model."""
    sampler = make_sampler(model)
    return make_sampler(model, steps=steps) if (getattr(sampler, "steps", None) or 0) > steps else sampler


def plain_condition(model: Model) -> dict[str, Any] | None:
    """Returns a value for each condition that a model requires, for a quick test; ``None`` if it requires none."""
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
    """Draws ``n`` samples from a model.

    Args:
        model: model, or a reference to one.
        n: number of samples, at least 1.
        sampler: sampler or its name; the model's default unless given.
        seed: seed of the random numbers, any integer; the same seed draws the same samples.
        batch_size: number of samples drawn at once, which affects speed and memory only; chosen for the model unless
            given.
        condition: condition of the samples: a :class:`Condition` of ``n`` rows, or values by name.  A value is one for
            all samples (``{"label": 3}``), or a list whose items are used in turn (``{"label": [0, 1]}``): sample i has
            item i modulo the length of the list.  Without one, a model with ``draw_condition`` draws it.
        guidance: strength of guidance by the condition; 1 is the conditional model without guidance.  The model's
            default unless given, and 1 without a condition.
        nfe: greatest number of network evaluations per sample, in place of ``steps``.
        first: global index of the first sample, for drawing in parts or on several machines.
        observer: function that is called with ``(start of the batch, frame)`` at every step.
        progress: function that is called with ``(done, total)`` after every batch.
        options: options of the sampler (``steps=50``).

    Returns:
        The samples ``first`` … ``first + n − 1`` as a tensor ``(n, *space.shape)`` on the CPU, in the user's range:
        images in [0, 1], points in the units of the data.  It is float32 unless the model is float64.  If samples have
        different lengths, a :class:`~zoo_core.interfaces.Ragged`.

    Raises:
        IncompatibleError: ``n``, ``batch_size``, ``seed`` or ``guidance`` is out of range, or the sampler does not fit.
        ConditionError: the model does not accept the condition.
    """
    seed = _whole("seed", seed)
    if _whole("n", n) < 1 or (batch_size is not None and _whole("batch_size", batch_size) < 1):
        raise IncompatibleError(f"n = {n} and batch_size = {batch_size}; expected at least 1 for both")
    if isinstance(model, str):
        model = load(model)
    chosen = sampler if isinstance(sampler, Sampler) else make_sampler(model, sampler, nfe=nfe, **options)
    chosen.check(model)
    accepted = chosen.conditions(model)
    if isinstance(condition, Mapping):
        condition = Condition.of(condition, accepted, n, first)
    elif condition is not None:
        condition.check(accepted)
        if len(condition) != n:
            raise ConditionError(f"the condition has {len(condition)} rows; expected n = {n}")
    strength = guidance_strength(guidance, chosen, model, conditioned=condition is not None)
    size = batch_size or default_batch_size(model)
    parts: list[Values] = []
    with torch.inference_mode():
        for start in range(0, n, size):
            stop = min(start + size, n)
            streams = Streams(seed, "sample", first + start, stop - start, device=model.device, dtype=model.state_dtype)
            rows: Condition | None = None
            if condition is not None:
                rows = condition.rows(slice(start, stop))
            elif accepted == model.conditions:  # a sampler that takes others, such as an image to complete, asks itself
                rows = model.draw_condition(Streams(seed, "condition", first + start, stop - start))
            rows = None if rows is None else rows.to(model.device, model.state_dtype)
            watch = None if observer is None else (lambda frame, start=start: observer(start, frame))
            x = chosen.run(model, Call(streams, rows, strength, watch))
            if isinstance(x, Ragged) != (model.space.open_axis is not None):
                expected = "a Tensor" if isinstance(x, Ragged) else "a Ragged of values and lengths"
                raise IncompatibleError(
                    f"sampler {chosen.name!r} gave a {type(x).__name__} for {model.space.words()}; expected {expected}"
                )
            parts.append(model.space.to_user(x).cpu())
            if progress is not None:
                progress(stop, n)
    return cat(parts).clone()  # a copy made outside inference mode, which autograd can use


def _whole(name: str, value: object) -> int:
    """Returns an integer (Python's or NumPy's) as a Python integer; other types are refused, floats among them."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise IncompatibleError(f"{name} = {value!r}; expected an integer") from None


def guidance_strength(guidance: float | None, sampler: Sampler[Any], model: Model, *, conditioned: bool) -> float:
    """Returns the guidance strength of samples: the one that is given, else the model's, or 1 without a condition.

    Args:
        guidance: strength as the user gave it, if at all.
        sampler, model: what the samples are drawn with.
        conditioned: whether the user gave a condition.

    Raises:
        IncompatibleError: the given strength is not finite, or cannot be used with the sampler, model and condition.
    """
    if guidance is None:
        return default_guidance(model) if conditioned else 1.0
    if isinstance(guidance, bool) or not isinstance(guidance, (int, float)) or not math.isfinite(guidance):
        raise IncompatibleError(f"guidance = {guidance}; expected a finite number, 1 for the conditional model itself")
    if guidance != 1.0:
        known = sampler.conditions(model)
        if not sampler.guides:
            raise IncompatibleError(f"guidance = {guidance:g}; sampler {sampler.name!r} does not guide: leave it out")
        if not known:
            raise IncompatibleError(f"guidance = {guidance:g}; this model is unconditional: there is nothing to follow")
        if not conditioned:
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
    """Draws samples in several processes; every process returns all of them, as :func:`sample` would draw them."""
    part = processes.part(n)
    if isinstance(condition, Mapping):
        given = options.get("sampler")
        chosen = given if isinstance(given, Sampler) else make_sampler(model, given)
        condition = Condition.of(condition, chosen.conditions(model), n, first)
    rows: Values | None = None
    if part:
        mine = None if condition is None else condition.rows(slice(part.start, part.stop))
        rows = sample(model, len(part), condition=mine, first=first + part.start, **options)
    return processes.gather(rows)


def describe(sampler: Sampler[Any]) -> str:
    """Describes a sampler by name, steps and the options that are not defaults: ``ddim, 50 steps, eta = 1``."""
    kind = type(sampler)
    words = [sampler.name]
    if isinstance(steps := getattr(sampler, "steps", None), int):
        words.append(f"{steps} steps")
    for name, parameter in inspect.signature(kind).parameters.items():
        value = getattr(sampler, name, parameter.default)
        if name != "steps" and value != parameter.default:
            words.append(f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}")
    return ", ".join(words)
