"""Completes samples whose values are known in part: exactly where the model can, else by a sampler that can.

Completion c of sample i depends on the sample, its mask, the seed, c and i, not on the other samples or the batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from zoo_core import plugins
from zoo_core.errors import IncompatibleError, PluginError
from zoo_core.filling.masks import known_part
from zoo_core.interfaces import Call, Completer, Condition, Model, Ragged, Sampler, Streams, Values, can
from zoo_core.loading import load
from zoo_core.plugins.catalogue import resolve
from zoo_core.sampling import default_batch_size, default_guidance, make_sampler

__all__ = ["fill", "way_of"]

Progress = Callable[[int, int], None]


def fill(
    model: Model | str,
    x: Values,
    known: Tensor | str | Sequence[float] | None = None,
    *,
    n: int = 1,
    seed: int = 0,
    sampler: str | Sampler[Any] | None = None,
    condition: Condition | Mapping[str, Any] | None = None,
    guidance: float | None = None,
    batch_size: int | None = None,
    first: int = 0,
    first_completion: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> list[Values]:
    """Draws what is missing of samples given what is known of them, n times.

    Args:
        model: model, or a reference to one.
        x: samples in the user's range, ``(k, *space.shape)``; NaN is a missing value.
        known: what is known of ``x``, besides that NaN is not: a mask of each sample, bool of the shape of ``x``, or
            one for all samples in words (:func:`zoo_core.filling.masks.mask_of`).
        n: number of completions of each sample, at least 1.
        seed: seed of the random numbers, any integer.
        sampler: sampler that can complete samples, or its name; unless given, the model's own exact completion, or the
            first sampler that fits.
        condition: condition of the samples, as for :func:`zoo_core.sample`.
        guidance: strength of guidance by the condition; the model's default unless given.
        batch_size: number of samples handled at once; chosen for the model unless given.
        first: global index of the first sample, for filling in parts.
        first_completion: number of the first completion that is drawn.
        progress: function that is called with ``(done, total)`` after every batch.
        options: options of the sampler (``steps=100``).

    Returns:
        n completed copies of ``x`` on the CPU, whose known values are those of ``x`` to the bit.

    Raises:
        IncompatibleError: neither the model nor a sampler that fits it can complete such samples, or an argument is out
            of its range.
        ConditionError: the model does not accept the condition.
    """
    if isinstance(model, str):
        model = load(model)
    if n < 1 or (batch_size is not None and batch_size < 1):
        raise IncompatibleError(f"n = {n} and batch_size = {batch_size}; expected at least 1 for both")
    data = x.data if isinstance(x, Ragged) else x
    if not isinstance(known, Tensor):
        known = known_part(x, known, model.space.user)
    elif known.shape != data.shape or known.dtype != torch.bool:
        raise IncompatibleError(
            f"known is {known.dtype} of shape {tuple(known.shape)}; expected bool of shape {tuple(data.shape)}"
        )
    elif data.is_floating_point():
        known = known & ~torch.isnan(data)
    inner = _mask_inside(model, known)
    way = _way(model, inner, sampler, options)
    accepted = model.conditions if way is None else way.conditions(model)
    if isinstance(condition, Mapping):
        condition = Condition.of(condition, accepted, len(x), first)
    elif condition is not None:
        condition.check(accepted)
    strength = default_guidance(model) if guidance is None else guidance
    size, rows = batch_size or default_batch_size(model), (~known).flatten(1).any(1).nonzero().squeeze(1)
    completed = []
    for number in range(n):
        made = data.clone()
        for done, which in _batches(rows, size):
            streams = Streams(
                seed, f"fill/{first_completion + number}", first, len(x), device=model.device, dtype=model.state_dtype
            )
            part, mask = _inside(model, x[which], _rows(known, x, which))
            given = None if condition is None else condition.rows(which).to(model.device, model.state_dtype)
            call = Call(streams.rows(which), given, strength if given is not None else 1.0)
            with torch.inference_mode():
                if way is None:
                    drawn = cast(Any, model).complete(part, mask, call.streams, condition=given)
                else:
                    drawn = way.complete(model, part, mask, call)
                drawn = model.space.to_user(drawn).cpu()
            values = (drawn.data if isinstance(drawn, Ragged) else drawn).to(data.dtype)
            if isinstance(x, Ragged):
                made.narrow(x.axis, 0, values.shape[x.axis])[which] = values
            else:
                made[which] = values
            if progress is not None:
                progress(number * len(rows) + done, n * len(rows))
        made = torch.where(known, data, made)
        completed.append(Ragged(made, x.lengths, x.axis) if isinstance(x, Ragged) else made)
    return completed


def way_of(model: Model, known: Tensor, sampler: str | None = None, **options: Any) -> Sampler[Any] | None:
    """Returns the sampler by which :func:`fill` would complete such samples; ``None`` where the model itself does.

    Raises:
        IncompatibleError: they cannot be completed.
    """
    return _way(model, _mask_inside(model, known), sampler, options)


def _way(
    model: Model, known: Tensor, sampler: str | Sampler[Any] | None, options: Mapping[str, Any]
) -> Sampler[Any] | None:
    """Returns the sampler that completes samples; ``None`` where the model itself does."""
    if sampler is not None:
        chosen = sampler if isinstance(sampler, Sampler) else make_sampler(model, sampler, **options)
        if not chosen.completes:
            others = ", ".join(one.name for one in _completing(model)) or "none is installed"
            raise IncompatibleError(f"sampler {chosen.name!r} completes no samples; those that do: {others}")
        return chosen
    reasons = []
    if can(model, Completer):
        why = cast(Completer[Any], model).completes(known)
        if why is None:
            if options:
                given = ", ".join(options)
                raise IncompatibleError(f"this model completes samples exactly, without options; leave {given} out")
            return None
        reasons.append(f"this model {why}")
    meant = list(_completing(model))
    for kind in _completing():
        try:
            return make_sampler(model, kind.name, **options)
        except IncompatibleError as err:
            if kind in meant:
                reasons.append(str(err))
    because = "; ".join(reasons) or "no sampler that can is installed"
    raise IncompatibleError(f"{type(model).__name__} cannot complete samples: {because}")


def _completing(model: Model | None = None) -> Iterator[type[Sampler[Any]]]:
    """Yields the installed samplers that can complete samples; with a model only those meant for its family or any."""
    for component in plugins.load().catalogue.all("sampler"):
        family = "" if model is None or model.entry is None else model.entry.family
        if model is not None and component.families and family not in component.families:
            continue
        try:
            kind = resolve(component.target)
        except PluginError:
            continue  # zoo plugins doctor reports it
        if getattr(kind, "completes", False):
            yield kind


def _inside(model: Model, x: Values, known: Tensor) -> tuple[Values, Tensor]:
    """Brings samples to the model's side, with 0 where they are unknown."""
    data = x.data if isinstance(x, Ragged) else x
    clean = data.masked_fill(~known, 0)
    if model.binarises:
        clean = (clean > 0.5).to(data.dtype)
    if clean.is_floating_point() and model.space.encoding is None:
        clean = clean.to(model.state_dtype)
    values: Values = Ragged(clean, x.lengths, x.axis) if isinstance(x, Ragged) else clean
    inside = model.space.from_user(values)
    if model.space.encoding is not None:
        inside = inside.to(model.state_dtype)
    return inside.to(model.device), _mask_inside(model, known).to(model.device)


def _mask_inside(model: Model, known: Tensor) -> Tensor:
    """Brings a mask of a user's cells or pixels to the numbers inside a model; black that was added is known."""
    space = model.space
    if space.encoding is not None:
        return space.encoding.inside(known)
    return ~space.padded(~known) if space.cropped is not None else known


def _rows(known: Tensor, x: Values, which: Tensor) -> Tensor:
    """Selects the masks of some rows, cut as :class:`Ragged` cuts their padding."""
    mask = known[which]
    return mask.narrow(x.axis, 0, int(x.lengths[which].max())) if isinstance(x, Ragged) else mask


def _batches(rows: Tensor, size: int) -> Iterator[tuple[int, Tensor]]:
    """Yields the rows in batches, each with the count of rows up to its end."""
    for start in range(0, len(rows), size):
        yield min(start + size, len(rows)), rows[start : start + size]
