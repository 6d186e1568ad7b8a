"""Translates samples from one domain to another, batch by batch.

The translation of sample i depends on the sample, the seed and i, not on the batch size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch

from zoo_core.errors import ConditionError, IncompatibleError
from zoo_core.interfaces import Condition, Model, Streams, Translator, Values
from zoo_core.interfaces.capabilities import lacking
from zoo_core.interfaces.values import cat
from zoo_core.sampling import default_batch_size

__all__ = ["domain", "translate"]

Progress = Callable[[int, int], None]


def translate(
    model: Model,
    x: Values,
    *,
    to: str | int,
    source: str | int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    first: int = 0,
    progress: Progress | None = None,
) -> Any:
    """Translates samples into another domain.

    Args:
        model: model that is a :class:`~zoo_core.interfaces.Translator`.
        x: samples in the user's range, ``(n, *space.shape)``.
        to: name or number of the target domain.
        source: name or number of the source domain; ``None`` if it is not known.
        seed: seed of the random numbers, any integer; it matters for models whose translation is random.
        batch_size: number of samples handled at once; chosen for the model unless given.
        first: global index of the first sample, for translating in parts.
        progress: function that is called with ``(done, total)`` after every batch.

    Returns:
        The translated samples in the user's range, on the CPU.

    Raises:
        IncompatibleError: the model cannot translate, or there are no samples.
        ConditionError: the model has no such domain, or needs a source domain.
    """
    if (reason := lacking(model, [Translator])) is not None:
        raise IncompatibleError(f"translating {reason}; name a model that can")
    if not len(x):
        raise IncompatibleError("there are no samples to translate; give at least one")
    target = domain(model, to)
    origin = None if source is None else domain(model, source)
    size, n = batch_size or default_batch_size(model), len(x)
    parts: list[Values] = []
    with torch.inference_mode():
        for start in range(0, n, size):
            stop = min(start + size, n)
            rows = model.space.from_user(x[start:stop]).to(model.device)
            if rows.is_floating_point():
                rows = rows.to(model.state_dtype)
            streams = Streams(
                seed, "translate", first + start, stop - start, device=model.device, dtype=model.state_dtype
            )
            made = cast(Any, model).translate(
                rows, source=_condition(origin, len(rows), model), target=_condition(target, len(rows), model),
                streams=streams,
            )  # fmt: skip
            parts.append(model.space.to_user(made).cpu())
            if progress is not None:
                progress(stop, n)
    return cat(parts).clone()


def domain(model: Model, name: str | int) -> int:
    """Returns the number of a model's domain.

    Args:
        model: model with a condition ``domain``.
        name: name or number of the domain.

    Raises:
        ConditionError: there is no such domain; the message lists the model's domains.
    """
    spec = model.conditions.get("domain")
    if spec is None or spec.classes is None:
        raise ConditionError(f"{type(model).__name__} names no domains, so there is nothing to translate to")
    if isinstance(name, str) and name in spec.names:
        return spec.names.index(name)
    text = str(name)
    if not isinstance(name, bool) and text.isdecimal() and int(text) < spec.classes:
        return int(text)
    known = ", ".join(spec.names) if spec.names else f"0 … {spec.classes - 1}, which have no names"
    raise ConditionError(f"domain {text[:80]!r} is unknown; expected one of {known}")


def _condition(number: int | None, count: int, model: Model) -> Condition | None:
    return None if number is None else Condition(domain=torch.full((count,), number, device=model.device))
