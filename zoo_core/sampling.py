"""Samples of a model, batch by batch; sample i depends on the seed and on i only."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo_core import plugins
from zoo_core.catalogue import resolve
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Condition, Frame, Model, Sampler, Streams
from zoo_core.loading import load
from zoo_core.processes import Processes

__all__ = ["default_guidance", "make_sampler", "quick_sampler", "sample", "sample_in_processes"]

Progress = Callable[[int, int], None]

GUIDANCE = "guidance"
"""The key of an entry's ``sampler`` that is the model's own, whichever sampler draws."""


def make_sampler(model: Model, name: str | None = None, **options: Any) -> Sampler:
    """A sampler by name, checked against the model.

    Args:
        model: what will be sampled.
        name: a registered sampler; the model's default where not given.
        options: of the sampler (``steps=50``, ``eta=0.5``).  The model's own defaults hold where it is its default.

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
    try:
        sampler: Sampler = kind(**options)
    except (TypeError, ValueError) as err:
        raise IncompatibleError(f"sampler {name!r}: {err}") from err
    sampler.check(model)
    return sampler


def default_guidance(model: Model) -> float:
    """How strongly a model's conditions are followed unless the user says: as its entry says, else 1."""
    default = model.entry.sampler if model.entry else None
    return float(default.options.get(GUIDANCE, 1.0)) if default is not None else 1.0


def quick_sampler(model: Model, steps: int) -> Sampler:
    """The model's default sampler with at most ``steps`` steps: for a look at the model, not for its best samples."""
    sampler = make_sampler(model)
    return make_sampler(model, steps=steps) if (getattr(sampler, "steps", None) or 0) > steps else sampler


def sample(
    model: Model | str,
    n: int,
    *,
    sampler: str | Sampler | None = None,
    seed: int = 0,
    batch_size: int = 64,
    condition: Condition | None = None,
    guidance: float | None = None,
    first: int = 0,
    observer: Callable[[int, Frame], None] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Tensor:
    """Draws samples ``first`` … ``first + n − 1`` of a seed.

    Args:
        model: a model, or the name of one.
        n: how many, at least 1.
        sampler: a sampler or its name; the model's default unless given.
        seed: of the user.
        batch_size: how many are drawn at once: a matter of speed and memory, not of what is drawn.
        condition: what to condition on, ``n`` rows.
        guidance: how strongly; 1 is the conditional model itself.  The model's default unless given.
        first: the global index of the first sample, for drawing in parts or on several machines.
        observer: is shown ``(start of the batch, frame)`` at every step.
        progress: is told ``(done, of)`` after every batch.
        options: of the sampler.

    Returns:
        ``(n, *space.shape)`` on the user's side, on the CPU: images in [0, 1], points as they are; float32 unless the
        model is in float64.

    Raises:
        IncompatibleError: ``n`` or ``batch_size`` below 1, or a sampler that does not fit.
        ConditionError: a condition that the model does not accept.
    """
    if n < 1 or batch_size < 1:
        raise IncompatibleError(f"n = {n} and batch_size = {batch_size}; both are at least 1")
    if isinstance(model, str):
        model = load(model)
    chosen = sampler if isinstance(sampler, Sampler) else make_sampler(model, sampler, **options)
    chosen.check(model)
    if condition is not None:
        condition.check(chosen.conditions(model))
    guidance = default_guidance(model) if guidance is None else guidance
    dtype = torch.float64 if model.dtype == torch.float64 else torch.float32
    parts = []
    with torch.inference_mode():
        for start in range(0, n, batch_size):
            stop = min(start + batch_size, n)
            streams = Streams(seed, "sample", first + start, stop - start, device=model.device, dtype=dtype)
            rows = condition.rows(start, stop).to(model.device) if condition is not None else None
            watch = None if observer is None else (lambda frame, start=start: observer(start, frame))
            x = chosen.sample(model, streams, condition=rows, guidance=guidance, observer=watch)
            parts.append(model.space.to_user(x).cpu())
            if progress is not None:
                progress(stop, n)
    return torch.cat(parts).clone()  # out of inference mode: an ordinary tensor


def sample_in_processes(
    processes: Processes, model: Model, n: int, *, condition: Condition | None = None, first: int = 0, **options: Any
) -> Tensor:
    """As :func:`sample`, each process drawing its share; all of them return all samples, those that one would draw."""
    part = processes.part(n)
    if not part:
        rows = torch.empty(0, *[int(size or 0) for size in model.space.shape])
    else:
        mine = None if condition is None else condition.rows(part.start, part.stop)
        rows = sample(model, len(part), condition=mine, first=first + part.start, **options)
    return processes.gather(rows)
