"""Checks and counts evaluations for samplers that use an inner sampler."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from zoo_core import plugins
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import Model
from zoo_core.plugins.catalogue import resolve
from zoo_core.sampling import make_sampler

__all__ = ["inner_evaluations", "inner_misfit"]


def inner_misfit(model: Model, name: str, options: Mapping[str, Any], *, takes_noise: bool = False) -> str | None:
    """Says why the inner sampler does not fit, as a continuation of "sampler 'NAME' …"; ``None`` where it does.

    Args:
        model: model to be sampled.
        name: registered name of the inner sampler.
        options: options of the inner sampler.
        takes_noise: whether the inner sampler must accept a given initial state.
    """
    try:
        inner = make_sampler(model, name, **options)
    except IncompatibleError as err:
        return f"cannot use sampler = {name!r}: {err}"
    if takes_noise and not inner.takes_noise:
        return f"cannot use sampler = {name!r}, which cannot begin from a given state; try 'ddim'"
    return None


def inner_evaluations(name: str, steps: int) -> int:
    """Counts the network evaluations of ``steps`` steps of the inner sampler."""
    kind = resolve(plugins.load().catalogue.get("sampler", name).target)
    inner = kind(steps=steps) if "steps" in inspect.signature(kind).parameters else kind()
    count: int = inner.evaluations(steps)
    return count
