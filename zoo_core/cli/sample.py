"""``zoo sample``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.load import placement
from zoo_core.cli.output import complete_model, json_option, print_json, progress, warn_about_plugins

if TYPE_CHECKING:
    from zoo_core.interfaces import Condition, Frame

_FILM_FRAMES = 40


def key_values(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """``eta=0.5`` as ``{"eta": 0.5}``: JSON values, or words."""
    parsed = {}
    for item in values:
        key, equals, text = item.partition("=")
        if not equals:
            raise click.BadParameter(f"{item!r} is not KEY=VALUE")
        try:
            parsed[key] = json.loads(text)
        except json.JSONDecodeError:
            parsed[key] = text
    return parsed


@click.command("sample", short_help="Draw samples into a picture, a file or a folder.")
@click.argument("name", shell_complete=complete_model)
@click.option("-n", "count", type=click.IntRange(min=1), default=64, show_default=True, help="How many.")
@click.option("--sampler", help="See 'zoo samplers --for NAME'.")
@click.option("--steps", type=click.IntRange(min=1), help="Network evaluations, for an iterative sampler.")
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    callback=key_values,
    help="An option of the sampler (eta=0.5).",
)
@click.option(
    "--condition", multiple=True, metavar="KEY=VALUE", callback=key_values, help="What to condition on (label=3)."
)
@click.option("--label", type=int, help="The same as --condition label=N.")
@click.option(
    "--guidance", type=float, help="How strongly to follow the condition; 1 is as it is.  [default: the model's]"
)
@click.option("--seed", default=0, show_default=True, help="The same seed draws the same samples.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="How many at once; changes no sample.",
)
@click.option("--out", metavar="FILE|FOLDER/", help="grid.png, samples.safetensors or folder/  [default: NAME.png]")
@click.option("--trajectory", metavar="FILE", help="How the samples came to be: film.gif or strip.png.")
@placement
@json_option
def command(
    name: str,
    count: int,
    sampler: str | None,
    steps: int | None,
    options: dict[str, Any],
    condition: dict[str, Any],
    label: int | None,
    guidance: float | None,
    seed: int,
    batch_size: int,
    out: str | None,
    trajectory: str | None,
    device: str,
    dtype: str | None,
    offline: bool | None,
    source: str,
    as_json: bool,
) -> None:
    """Draw samples into a picture, a file or a folder.

    Sample i depends on the seed and on i only: not on -n, nor on --batch-size (up to the rounding of convolutions).

    \b
    Examples:
      zoo sample ddpm-mnist -n 64 --seed 0 --out samples.png
      zoo sample ddpm-mnist --sampler ancestral --out digits/
      zoo sample ddpm-mnist --steps 20 --set eta=1.0 --trajectory film.gif
      zoo sample cgan-mnist --label 3
      zoo sample ddpm-mnist --sampler inpaint --set image=a.png --set mask=left
    """
    from zoo_core import pictures
    from zoo_core.loading import load
    from zoo_core.processes import Processes, world_size
    from zoo_core.sampling import make_sampler, sample, sample_in_processes

    target = out or f"{name.rstrip('/').rpartition('/')[2].replace(':', '-')}.png"
    pictures.check_target(target)
    if trajectory:
        pictures.check_trajectory(trajectory)
    model = load(name, device=device, dtype=dtype, offline=offline, source=source)
    warn_about_plugins()
    chosen = make_sampler(model, sampler, **options, **({"steps": steps} if steps else {}))
    if label is not None:
        condition = {**condition, "label": label}
    film: list[Any] = []

    def watch(start: int, frame: Frame) -> None:
        stride = max(1, frame.steps // _FILM_FRAMES)
        if start == 0 and ((frame.steps - frame.step) % stride == 0 or frame.step == 1):
            film.append(pictures.render(model.space.to_user(frame.state.float()).cpu(), model.space))

    began = time.perf_counter()
    settings: dict[str, Any] = {
        "sampler": chosen,
        "seed": seed,
        "batch_size": batch_size,
        "condition": _condition(condition, count),
        "guidance": guidance,
        "observer": watch if trajectory else None,
        "progress": progress(f"sampling {name}"),
    }
    if world_size() == 1:
        x = sample(model, count, **settings)
    else:
        processes = Processes(device)
        x = sample_in_processes(processes, model, count, **settings)
        processes.close()
        if not processes.first:
            return
    seconds = time.perf_counter() - began
    pictures.save_samples(x, target, model.space)
    if trajectory:
        pictures.save_trajectory(film, trajectory)
    if as_json:
        print_json(
            {
                "model": name,
                "n": count,
                "seed": seed,
                "seconds": round(seconds, 3),
                "out": target,
                "trajectory": trajectory,
            }
        )
    else:
        click.echo(f"{count} samples of {name} in {seconds:.1f} s: {Path(target)}", err=True)


def _condition(values: dict[str, Any], count: int) -> Condition | None:
    """``{"label": 3}`` for every sample, or ``{"label": [0, 1, 2]}`` over and over."""
    import torch

    from zoo_core.errors import ConditionError
    from zoo_core.interfaces import Condition

    if not values:
        return None
    rows = {}
    for key, value in values.items():
        try:
            tensor = torch.as_tensor(value if isinstance(value, list) else [value])
        except (TypeError, ValueError, RuntimeError) as err:
            raise ConditionError(f"condition {key}={value!r} is neither a number nor a list of numbers") from err
        rows[key] = tensor[torch.arange(count) % len(tensor)]
    return Condition(**rows)
