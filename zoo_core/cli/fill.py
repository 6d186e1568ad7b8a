"""``zoo fill``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from zoo_core.cli.options import batch_size, conditions, key_values, noted, placement, solver_steps, with_flags
from zoo_core.cli.output import complete_model, how_made, json_option, print_json, progress, warn_about_plugins
from zoo_core.errors import DivergenceError, IncompatibleError
from zoo_core.files.formats import PICTURES, check_source, check_target, is_folder


@click.command("fill", short_help="Complete samples in files: missing cells, a masked part, the end of a sequence.")
@click.argument("name", shell_complete=complete_model)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option(
    "--mask",
    metavar="PART",
    help="Part of every sample that is known: left, right, top, bottom, border, box=X,Y,W,H or around=X,Y,W,H of an "
    "image, prefix=N of a sequence, a picture that is white there, or a list of 0 and 1.  "
    "[default: all but empty cells]",
)
@click.option(
    "--length",
    type=click.IntRange(min=1),
    help="Length to which samples of any length are continued.  [default: the length that they have]",
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of completions of each sample.",
)
@click.option(
    "--seed", default=0, show_default=True, help="Seed of the random numbers; the same seed draws the same completions."
)
@click.option(
    "--sampler",
    help="Name of a sampler that completes samples.  [default: the model's exact completion, or the first that fits]",
)
@solver_steps
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    callback=key_values,
    help="Option of the sampler, such as resamplings=10; may be repeated.",
)
@conditions("samples")
@batch_size("samples handled")
@click.option(
    "--out",
    required=True,
    metavar="FILE|FOLDER/",
    help="File for the completed samples, or a folder/ for several files or completions.",
)
@noted
@placement
@json_option
def command(
    name: str,
    files: tuple[str, ...],
    mask: str | None,
    length: int | None,
    count: int,
    seed: int,
    sampler: str | None,
    steps: int | None,
    options: dict[str, Any],
    condition: dict[str, Any],
    label: int | None,
    batch_size: int | None,
    out: str,
    note: bool,
    device: str,
    dtype: str | None,
    offline: bool | None,
    weights_from: str,
    as_json: bool,
) -> None:
    """Complete samples in files: missing cells, a masked part, the end of a sequence.

    What is missing is drawn given what is known: exactly, if the model can, or by a sampler, such as inpaint for models
    on a path.  Known values stay as they are; of a CSV file every other character does.  In a folder, a result has the
    name of its FILE, with the number of the completion for -n above 1.  Completion c of sample i depends on the seed, c
    and i only.  Results say how they were made: see 'zoo again'.

    \b
    Examples:
      zoo fill gmm-eight-gaussians points.csv --out filled.csv
      zoo fill gmm-eight-gaussians points.csv -n 5 --out filled/
      zoo fill ddpm-mnist three.png --mask left --out whole.png
      zoo fill ddpm-mnist digits/*.png --mask around=10,10,8,8 -n 4 --out filled/
    """
    from zoo_core.filling import fill, way_of
    from zoo_core.filling.given import Given
    from zoo_core.interfaces.values import finite_rows
    from zoo_core.loading import load
    from zoo_core.sampling import default_guidance
    from zoo_core.saving.making import of_files, part_of_filling
    from zoo_core.saving.manifest import NAME, Manifest, check_free, sorted_files

    options, condition = with_flags(options, steps=steps), with_flags(condition, "--condition", label=label)
    check_target(out)
    if note and is_folder(out):
        check_free(Path(out), "fill")
    for file in files:
        check_source(file)
    places = _places(files, out, count)
    model = load(name, device=device, dtype=dtype, offline=offline, weights_from=weights_from)
    warn_about_plugins()
    space = model.space.user
    for file in files:
        check_source(file, space)
    began = time.perf_counter()
    given = Given.read(files, space, mask=mask, length=length)
    n, known = len(given.x), given.known
    if bool(known.all()):
        raise IncompatibleError(f"nothing is missing in {', '.join(files)[:200]}; leave cells empty, or give --mask")
    way = way_of(model, known, sampler, **options)
    made = how_made(note, out, lambda: of_files(
        "fill", model, name, files, mask=mask, length=length, completions=count, sampler=way, condition=condition,
        guidance=default_guidance(model) if condition else None, seed=seed, n=n, dtype=dtype, offline=offline,
    ))  # fmt: skip
    completed = fill(
        model,
        given.x,
        known,
        n=count,
        seed=seed,
        sampler=way,
        condition=condition or None,
        batch_size=batch_size,
        progress=progress(f"filling by {name}"),
    )
    if is_folder(out):
        Path(out).mkdir(exist_ok=True)
    written = []
    for i, (part, targets) in enumerate(zip(given.parts, places, strict=True)):
        for completion, (whole, target) in enumerate(zip(completed, targets, strict=True)):
            own = None
            if made is not None:
                own = part_of_filling(made, made.inputs[i], first=part.start, n=given.counts[i], completion=completion)
            written.append(given.save(whole[part], part, target, own))
    if made is not None and is_folder(out):
        Manifest(made, sorted_files(written)).write(Path(out) / NAME)
    seconds = time.perf_counter() - began
    if (wrong := sum(int((~finite_rows(whole)).sum()) for whole in completed)) > 0:
        raise DivergenceError(f"{wrong} of {count * n} samples in {out} are not finite; try --dtype float64")
    how = "exactly" if way is None else f"by {way.name}"
    if as_json:
        rows = [{"in": f, "out": [str(t) for t in to]} for f, to in zip(files, places, strict=True)]
        shown = {"model": name, "how": how, "n": count, "seed": seed, "seconds": round(seconds, 3), "files": rows}
        print_json({**shown, "missing": int((~known).sum())})
    else:
        number = "1 sample" if n == 1 else f"{n} samples"
        times = "" if count == 1 else f", {count} times,"
        click.echo(f"{number} completed{times} {how} by {name} in {seconds:.1f} s: {out}", err=True)


def _places(files: tuple[str, ...], out: str, count: int) -> list[list[Path]]:
    """Decides which file each completion of each file is written to.

    Raises:
        IncompatibleError: several results would be one file, or an input would be replaced.
    """
    from zoo_core.saving.manifest import NAME

    if not is_folder(out):
        if len(files) > 1 or count > 1:
            what = f"{count} completions" if count > 1 else f"{len(files)} files"
            raise IncompatibleError(f"{what} cannot be written to one file {out!r}; use a folder: {Path(out).stem}/")
        places = [[Path(out)]]
    else:
        places = []
        for file in map(Path, files):
            # A compressed picture would change the pixels that are known.
            suffix = ".png" if file.suffix.lower() in PICTURES else file.suffix
            ends = [""] if count == 1 else [f"-{number}" for number in range(count)]
            places.append([Path(out) / f"{file.stem}{end}{suffix}" for end in ends])
    inputs, seen = {Path(file).resolve() for file in files}, set()
    for place in (target for targets in places for target in targets):
        if place.resolve() in inputs:
            raise IncompatibleError(f"{place} is one of the files to complete; write to another --out")
        if place.name == NAME and is_folder(out):
            raise IncompatibleError(f"{place} is where the list of results is written; rename the file to complete")
        if place.resolve() in seen:
            raise IncompatibleError(f"two results would both be {place}; complete the files apart")
        seen.add(place.resolve())
    return places
