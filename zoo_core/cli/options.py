"""Options that several verbs share, and how they read ``KEY=VALUE``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

__all__ = ["key_values", "placement", "sampler_options", "with_flags"]


def placement(function: Any) -> Any:
    """Adds the options of every verb that builds a model: device, dtype, offline and where its weights come from."""
    for option in (
        click.option("--weights-from", default="auto", metavar="WHERE", help="auto, bundled, cache, hub or a folder."),
        click.option("--offline", is_flag=True, default=None, help="Use no network."),
        click.option("--dtype", metavar="TYPE", help="float32, bfloat16, float16 or float64."),
        click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps or auto."),
    ):
        function = option(function)
    return function


def key_values(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Reads ``eta=0.5`` as ``{"eta": 0.5}``: JSON values, or words.

    Raises:
        click.BadParameter: an item without a key or an equals sign, or two values for one key.
    """
    parsed: dict[str, Any] = {}
    for item in values:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{item!r} is not KEY=VALUE")
        if key in parsed:
            raise click.BadParameter(f"{key!r} is given twice; leave one out")
        try:
            parsed[key] = json.loads(text)
        except json.JSONDecodeError:
            parsed[key] = text
    return parsed


def with_flags(settings: Mapping[str, Any], flag: str = "--set", **flags: Any) -> dict[str, Any]:
    """Adds what flags of their own say (``--steps 10``) to what ``--set KEY=VALUE`` says.

    Args:
        settings: the values of ``flag``, by key.
        flag: the option that ``settings`` came from.
        flags: the value of ``--steps`` as ``steps=…``; ``None`` where it was not given.  An underscore is a hyphen, and
            a pair is another key: ``dataset=("data.name", "digits")`` of ``--dataset digits``.

    Raises:
        click.UsageError: one thing was said twice.
    """
    merged = dict(settings)
    for name, given in flags.items():
        key, value = given if isinstance(given, tuple) else (name, given)
        if value is None:
            continue
        if key in merged:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} {value} and {flag} {key}={merged[key]} are one setting; leave one out")
        merged[key] = value
    return merged


def sampler_options(settings: Mapping[str, Any], steps: int | None, nfe: int | None) -> dict[str, Any]:
    """Gives the options of a sampler: those of ``--set``, ``--steps`` and ``--nfe``.

    Args:
        settings: the values of ``--set``.
        steps: the value of ``--steps``.
        nfe: the value of ``--nfe``, a budget of network evaluations in place of steps.

    Returns:
        Keyword arguments of :func:`zoo_core.sampling.make_sampler`.

    Raises:
        click.UsageError: one thing was said twice.
    """
    if "nfe" in settings:
        raise click.UsageError(f"nfe is no option of a sampler; say --nfe {settings['nfe']}")
    options = with_flags(settings, steps=steps)
    if nfe is None:
        return options
    if "steps" in options:
        said = f"--set steps={options['steps']}" if steps is None else f"--steps {steps}"
        raise click.UsageError(f"--nfe {nfe} and {said} both say how many steps to take; leave one out")
    return {**options, "nfe": nfe}
