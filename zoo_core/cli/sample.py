"""``zoo sample``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from zoo_core.cli.options import (
    batch_size,
    conditions,
    key_values,
    noted,
    placement,
    sampler_options,
    solver_steps,
    with_flags,
)
from zoo_core.cli.output import complete_model, how_made, json_option, print_json, progress, warn_about_plugins
from zoo_core.cli.shards import report, shard_options


@click.command("sample", short_help="Draw samples into a picture, a file or a folder.")
@click.argument("name", shell_complete=complete_model)
@click.option("-n", "count", type=click.IntRange(min=1), default=64, show_default=True, help="Number of samples.")
@click.option(
    "--sampler",
    help="Name of the sampler; 'zoo samplers --for NAME' lists those that fit.  [default: the model's own]",
)
@solver_steps
@click.option("--nfe", type=click.IntRange(min=1), help="Network evaluations per sample at most, in place of --steps.")
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    callback=key_values,
    help="Option of the sampler, such as eta=0.5; may be repeated.",
)
@conditions("samples")
@click.option(
    "--guidance",
    type=float,
    help="Strength of guidance by the condition; 1 is the conditional model without guidance.  [default: the model's "
    "own]",
)
@click.option(
    "--seed", default=0, show_default=True, help="Seed of the random numbers; the same seed draws the same samples."
)
@batch_size("samples drawn")
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
@click.option(
    "--first",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Index of the first sample, for drawing more of a seed's samples.",
)
@shard_options
@noted
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
    first: int,
    shard: tuple[int, int] | None,
    part: int | None,
    form: str | None,
    note: bool,
    device: str,
    dtype: str | None,
    offline: bool | None,
    weights_from: str,
    as_json: bool,
) -> None:
    """Draw samples into a picture, a file or a folder.

    NAME is a model of the registry, hf:ORG/REPO[@REVISION] or ./FOLDER.  The work of an iterative sampler is set by
    --steps, or by --nfe: then it takes as many steps as the network evaluations allow.  Sample i depends on the seed
    and on i, not on -n, --first, --shard or --batch-size (apart from the rounding of convolutions).

    Files say how they were made: 'zoo again FILE' makes them again and compares.  Shards need no word from each other;
    when all have been drawn into one folder, 'zoo verify FOLDER' compares their hashes.

    \b
    Examples:
      zoo sample ddpm-mnist -n 64 --seed 0 --out samples.png
      zoo sample ddpm-mnist --sampler ancestral --out digits/
      zoo sample ddpm-mnist --steps 20 --set eta=1.0 --trajectory film.gif
      zoo sample cgan-mnist --label 3
      zoo sample gmm-eight-gaussians -n 2000 --out points.csv
      zoo sample ddpm-mnist --sampler inpaint --set image=a.png --set mask=left
      zoo sample ddpm-mnist -n 1000000 --shard 3/16 --out digits/
    """
    from zoo_core.errors import DivergenceError
    from zoo_core.files.formats import PICTURES, check_target, default_target, file_stem, is_folder
    from zoo_core.interfaces import Condition
    from zoo_core.interfaces.values import finite_rows
    from zoo_core.loading import load
    from zoo_core.pictures import Recorder, check_trajectory, save_trajectory, shown
    from zoo_core.processes import Processes, world_size
    from zoo_core.sampling import describe, guidance_strength, make_sampler, sample, sample_in_processes
    from zoo_core.saving.making import of_sampling
    from zoo_core.saving.samples import save_samples

    options = sampler_options(options, steps, nfe)
    condition = with_flags(condition, "--condition", label=label)
    if shard is None:
        if part is not None or form is not None:
            raise click.UsageError("--part and --format are for --shard K/N; 1/1 draws all samples in one process")
    elif out is None or not is_folder(out):
        raise click.UsageError("--shard writes several files; give --out FOLDER/, with the slash")
    elif trajectory is not None or not note:
        raise click.UsageError("--shard takes no --trajectory, and its files say how they were made; leave that out")
    if out is not None and shard is None:  # what no model could write is refused before anything is fetched
        check_target(out)
    if trajectory is not None:
        check_trajectory(trajectory)
    model = load(name, device=device, dtype=dtype, offline=offline, weights_from=weights_from)
    warn_about_plugins()
    space = model.space.user
    if shard is not None and out is not None:
        from zoo_core.sharding import sample_shard

        began = time.perf_counter()
        done = sample_shard(
            model, count, out, shard=shard[0], of=shard[1], format=None if form is None else f".{form.lstrip('.')}",
            sampler=make_sampler(model, sampler, **options), seed=seed, first=first, condition=condition,
            guidance=guidance, batch_size=batch_size, part_size=part, dtype=dtype, reference=name, offline=offline,
            progress=progress(f"sampling {name}"),
        )  # fmt: skip
        report(done, name, out, time.perf_counter() - began, as_json)
        return
    target = default_target(space.kind, file_stem(name), count) if out is None else out
    check_target(target, space, count)
    if trajectory is not None:
        check_trajectory(trajectory, space)
    chosen = make_sampler(model, sampler, **options)
    given = Condition.of(condition, chosen.conditions(model), count, first) if condition else None
    film = Recorder(model.space)
    strength = guidance_strength(guidance, chosen, model, conditioned=bool(condition))
    made = how_made(note, target, lambda: of_sampling(
        model, name, chosen, condition=condition, guidance=strength, seed=seed, first=first, n=count, dtype=dtype,
        offline=offline,
    ))  # fmt: skip
    began = time.perf_counter()
    settings: dict[str, Any] = {
        "sampler": chosen,
        "seed": seed,
        "batch_size": batch_size,
        "condition": given,
        "guidance": guidance,
        "first": first,
        "observer": film if trajectory else None,
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
    save_samples(x, target, space, made)
    if trajectory:
        suffix = Path(trajectory).suffix
        shows = "film" if suffix.lower() == ".gif" else "strip"
        said = made.at(suffix, shows=shows, n=film.count).text() if made is not None and film.count else ""
        save_trajectory(film.frames, trajectory, said)
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
        only = f" (a picture of the first {drawn}; .npz has all)" if drawn < count else ""
        samples = "1 sample" if count == 1 else f"{count} samples"
        click.echo(f"{samples} of {name} in {seconds:.1f} s: {target}{only}", err=True)
