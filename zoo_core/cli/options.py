"""Options that several verbs share, and the reading of ``KEY=VALUE``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

__all__ = [
    "batch_size",
    "conditions",
    "key_values",
    "noted",
    "placement",
    "reading_options",
    "sampler_options",
    "solver_steps",
    "weights_source",
    "with_flags",
]

Command = TypeVar("Command", bound=Callable[..., Any])

noted = click.option(
    "--note/--no-note",
    default=True,
    help="Let files say how they were made, so that 'zoo again' makes them again.  [default: note]",
)

solver_steps = click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Number of solver steps of an iterative sampler.  [default: the sampler's own]",
)


def batch_size(things: str) -> Callable[[Command], Command]:
    """Returns the option ``--batch-size``.

    Args:
        things: what is counted and done, such as ``samples drawn``.
    """
    return click.option(
        "--batch-size",
        type=click.IntRange(min=1),
        help=f"Number of {things} at once, a matter of speed and memory.  [default: chosen for the model]",
    )


def conditions(things: str) -> Callable[[Command], Command]:
    """Returns a decorator that adds ``--condition`` and ``--label``.

    Args:
        things: what has the condition, such as ``samples``.
    """

    def add(function: Command) -> Command:
        label = click.option(
            "--label", type=int, help=f"Number of the class of the {things}, short for --condition label=N."
        )
        condition = click.option(
            "--condition",
            multiple=True,
            metavar="KEY=VALUE",
            callback=key_values,
            help="Value of a condition: a number, a name, or a list whose items are used in turn (label=3, "
            "'label=[0,1]'); may be repeated.",
        )
        return condition(label(function))

    return add


def weights_source(function: Any) -> Any:
    """Adds the options that say where the weights of a model come from."""
    for option in (
        click.option(
            "--weights-from",
            default="auto",
            show_default=True,
            metavar="WHERE",
            help="Source of the weights: bundled, cache, hub, a folder, or auto, which tries the plugin's package, the "
            "cache and the Hub in turn.",
        ),
        click.option("--offline", is_flag=True, default=None, help="Make no network request, as with ZOO_OFFLINE=1."),
    ):
        function = option(function)
    return function


def placement(function: Any) -> Any:
    """Adds the options of every verb that builds a model: its device, its number format, and its weights' source."""
    function = weights_source(function)
    for option in (
        click.option(
            "--dtype",
            metavar="TYPE",
            help="Number format of the model: float32, float64, bfloat16 or float16.  [default: the model's own]",
        ),
        click.option(
            "--device",
            default="cpu",
            show_default=True,
            help="Device to compute on: cpu, cuda, mps, or auto, which takes an accelerator if there is one.",
        ),
    ):
        function = option(function)
    return function


def reading_options(function: Any) -> Any:
    """Adds the options of every verb that reads a user's own data."""
    for option in (
        click.option(
            "--size",
            metavar="WIDTHxHEIGHT",
            callback=_size,
            help="Pixels to which all pictures are brought.  [default: their own size, at most 128×128]",
        ),
        click.option(
            "--leave-out", multiple=True, metavar="COLUMN", help="Column of a table that is not read; may be repeated."
        ),
        click.option("--weight", metavar="COLUMN", help="Column of a table that holds each row's weight, at least 0."),
        click.option("--label", metavar="COLUMN", help="Column of a table that holds each row's class."),
    ):
        function = option(function)
    return function


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Reads ``32x24`` as height 24 and width 32."""
    if value is None:
        return None
    width, times, height = value.lower().replace("×", "x").partition("x")
    try:
        pixels = int(height if times else width), int(width)
    except ValueError:
        pixels = 0, 0
    if not all(1 <= side <= 4096 for side in pixels):
        raise click.BadParameter(f"{value!r} is no size; expected WIDTHxHEIGHT, such as 32x24")
    return pixels


def key_values(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Reads ``eta=0.5`` as ``{"eta": 0.5}``: the value is JSON, or a string where it is not valid JSON.

    Raises:
        click.BadParameter: an item has no key or no equals sign, or a key has two values.
    """
    parsed: dict[str, Any] = {}
    for item in values:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{item!r} is not KEY=VALUE, such as eta=0.5")
        if key in parsed:
            raise click.BadParameter(f"{key!r} is given twice; leave one out")
        try:
            parsed[key] = json.loads(text)
        except json.JSONDecodeError:
            parsed[key] = text
    return parsed


def with_flags(settings: Mapping[str, Any], flag: str = "--set", **flags: Any) -> dict[str, Any]:
    """Merges options that have a flag of their own (``--steps 10``) with those given as ``--set KEY=VALUE``.

    Args:
        settings: values by key, as given with ``flag``.
        flag: name of the option that ``settings`` came from.
        flags: values of the other options: ``steps=10`` for ``--steps 10``, ``None`` for an option that was not given.
            An underscore in a name stands for a hyphen.  A pair names another key: ``dataset=("data.name", "digits")``
            for ``--dataset digits``.

    Raises:
        click.UsageError: one setting was given twice.
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
    """Merges the options of a sampler: ``--set``, ``--steps`` and ``--nfe``.

    Args:
        settings: values of ``--set``, by key.
        steps: value of ``--steps``.
        nfe: value of ``--nfe``, the greatest number of network evaluations per sample.

    Returns:
        Keyword arguments of :func:`zoo_core.sampling.make_sampler`.

    Raises:
        click.UsageError: one setting was given twice.
    """
    if "nfe" in settings:
        raise click.UsageError(f"nfe is no option of a sampler; use --nfe {settings['nfe']}")
    options = with_flags(settings, steps=steps)
    if nfe is None:
        return options
    if "steps" in options:
        said = f"--set steps={options['steps']}" if steps is None else f"--steps {steps}"
        raise click.UsageError(f"--nfe {nfe} and {said} both say how many steps to take; leave one out")
    return {**options, "nfe": nfe}
