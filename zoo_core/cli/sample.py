"""``zoo sample``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.options import key_values, placement, sampler_options, with_flags
from zoo_core.cli.output import complete_model, json_option, print_json, progress, warn_about_plugins

if TYPE_CHECKING:
    from zoo_core.interfaces import Frame

_FILM_FRAMES = 40


@click.command("sample", short_help="Draw samples into a picture, a file or a folder.")
@click.argument("name", shell_complete=complete_model)
@click.option("-n", "count", type=click.IntRange(min=1), default=64, show_default=True, help="How many.")
@click.option("--sampler", help="See 'zoo samplers --for NAME'.")
@click.option("--steps", type=click.IntRange(min=1), help="Solver steps of an iterative sampler.")
@click.option(
    "--nfe", type=click.IntRange(min=1), help="In place of --steps: as many as so many network evaluations allow."
)
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    callback=key_values,
    help="An option of the sampler (eta=0.5).",
)
@click.option(
    "--condition",
    multiple=True,
    metavar="KEY=VALUE",
    callback=key_values,
    help="What to condition on: a number, a name, or a list that goes round (label=3, 'label=[0,1]').",
)
@click.option("--label", type=int, help="The same as --condition label=N.")
@click.option(
    "--guidance", type=float, help="How strongly to follow the condition; 1 is as it is.  [default: the model's]"
)
@click.option("--seed", default=0, show_default=True, help="The same seed draws the same samples.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="How many at once; changes no sample.  [default: chosen for the model]",
)
@click.option(
    "--out",
    metavar="FILE|FOLDER/",
    help="A picture (.png), a table (.csv), text (.txt, .json), sound (.wav), arrays (.npz, .npy, .safetensors) or "
    "folder/, as the samples are.  [default: NAME.png, NAME.csv or NAME/]",
)
@click.option("--trajectory", metavar="FILE", help="How the samples came to be: film.gif or strip.png.")
@placement
@json_option
def command(
    name: str,
    count: int,
    sampler: str | None,
    steps: int | None,
    nfe: int | None,
    options: dict[str, Any],
    condition: dict[str, Any],
    label: int | None,
    guidance: float | None,
    seed: int,
    batch_size: int | None,
    out: str | None,
    trajectory: str | None,
    device: str,
    dtype: str | None,
    offline: bool | None,
    weights_from: str,
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
      zoo sample gmm-eight-gaussians -n 2000 --out points.csv
      zoo sample ddpm-mnist --sampler inpaint --set image=a.png --set mask=left
    """
    from zoo_core.errors import DivergenceError
    from zoo_core.evaluation import describe
    from zoo_core.files.formats import PICTURES, check_target, default_target, file_stem
    from zoo_core.interfaces import Condition
    from zoo_core.interfaces.values import finite_rows
    from zoo_core.loading import load
    from zoo_core.pictures import check_trajectory, render, save_trajectory, shown
    from zoo_core.processes import Processes, world_size
    from zoo_core.sampling import make_sampler, sample, sample_in_processes
    from zoo_core.saving.samples import save_samples

    options = sampler_options(options, steps, nfe)
    condition = with_flags(condition, "--condition", label=label)
    if out is not None:  # what no model could write is refused before anything is fetched
        check_target(out)
    if trajectory is not None:
        check_trajectory(trajectory)
    model = load(name, device=device, dtype=dtype, offline=offline, weights_from=weights_from)
    warn_about_plugins()
    space = model.space
    target = default_target(space.kind, file_stem(name), count) if out is None else out
    check_target(target, space, count)
    if trajectory is not None:
        check_trajectory(trajectory, space)
    chosen = make_sampler(model, sampler, **options)
    given = Condition.of(condition, chosen.conditions(model), count) if condition else None
    film: list[Any] = []

    def watch(start: int, frame: Frame) -> None:
        stride = max(1, frame.steps // _FILM_FRAMES)
        if start == 0 and ((frame.steps - frame.step) % stride == 0 or frame.step == 1):
            film.append(render(space.to_user(frame.state).cpu(), space))

    began = time.perf_counter()
    settings: dict[str, Any] = {
        "sampler": chosen,
        "seed": seed,
        "batch_size": batch_size,
        "condition": given,
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
    save_samples(x, target, space)
    if trajectory:
        save_trajectory(film, trajectory)
    if (wrong := int((~finite_rows(x)).sum())) > 0:
        how = describe(chosen)
        raise DivergenceError(f"{wrong} of {count} samples in {target} are not finite with {how}; try other options")
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
        drawn = shown(space, count) if target.lower().endswith(PICTURES) else count
        first = f" (a picture of the first {drawn}; .npz has all)" if drawn < count else ""
        samples = "1 sample" if count == 1 else f"{count} samples"
        click.echo(f"{samples} of {name} in {seconds:.1f} s: {target}{first}", err=True)
