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
@click.option("-n", "count", type=click.IntRange(min=1), default=64, show_default=True, help="Number of samples.")
@click.option(
    "--sampler",
    help="Name of the sampler; 'zoo samplers --for NAME' lists those that fit.  [default: the model's own]",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Number of solver steps of an iterative sampler.  [default: the sampler's own]",
)
@click.option("--nfe", type=click.IntRange(min=1), help="Network evaluations per sample at most, in place of --steps.")
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    callback=key_values,
    help="Option of the sampler, such as eta=0.5; may be repeated.",
)
@click.option(
    "--condition",
    multiple=True,
    metavar="KEY=VALUE",
    callback=key_values,
    help="Value of a condition: a number, a name, or a list whose items are used in turn (label=3, 'label=[0,1]'); may "
    "be repeated.",
)
@click.option("--label", type=int, help="Number of the class to draw, short for --condition label=N.")
@click.option(
    "--guidance",
    type=float,
    help="Strength of guidance by the condition; 1 is the conditional model without guidance.  [default: the model's "
    "own]",
)
@click.option(
    "--seed", default=0, show_default=True, help="Seed of the random numbers; the same seed draws the same samples."
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Number of samples drawn at once, a matter of speed and memory.  [default: chosen for the model]",
)
@click.option(
    "--out",
    metavar="FILE|FOLDER/",
    help="File for the samples: a picture (.png), a table (.csv), text (.txt, .json), sound (.wav) or arrays (.npz, "
    ".npy, .safetensors); or a folder/ for a file each.  [default: NAME.png, NAME.csv, NAME.wav or NAME/]",
)
@click.option(
    "--trajectory",
    metavar="FILE",
    help="File for the steps of the sampler, as an animation (film.gif) or as a row of pictures (strip.png).",
)
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

    NAME is a model of the registry, hf:ORG/REPO[@REVISION] or ./FOLDER.  The work of an iterative sampler is set by
    --steps, or by --nfe: then it takes as many steps as the network evaluations allow.  Sample i depends on the seed
    and on i, not on -n or --batch-size (apart from the rounding of convolutions).

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
    if out is not None:  # a file that no model could write is refused before anything is fetched
        check_target(out)
    if trajectory is not None:
        check_trajectory(trajectory)
    model = load(name, device=device, dtype=dtype, offline=offline, weights_from=weights_from)
    warn_about_plugins()
    space = model.space.user
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
            film.append(render(model.space.to_user(frame.state).cpu(), space))

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
