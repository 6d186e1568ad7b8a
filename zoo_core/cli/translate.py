"""``zoo translate``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_core import plugins, registry
from zoo_core.cli.options import placement
from zoo_core.cli.output import json_option, print_json, progress, warn_about_plugins
from zoo_core.errors import DivergenceError, IncompatibleError, RegistryError
from zoo_core.fetching.references import entry_of
from zoo_core.files.formats import PICTURES, check_source, check_target, is_folder, is_one_picture
from zoo_core.lookup.compatibility import facts_of

if TYPE_CHECKING:
    from zoo_core.interfaces import SampleSpace, Values


def complete_translator(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Completes the ids of models that can translate."""
    try:
        return [name for name in _translators() if name.startswith(incomplete)]
    except RegistryError:
        return []


@click.command("translate", short_help="Translate samples in files from one domain to another.")
@click.argument("name", shell_complete=complete_translator)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option("--to", required=True, metavar="DOMAIN", help="Name or number of the target domain.")
@click.option(
    "--from", "source", metavar="DOMAIN", help="Name or number of the source domain, for models that need it."
)
@click.option(
    "--out", required=True, metavar="FILE|FOLDER/", help="File for all results, or a folder/ for a file each."
)
@click.option(
    "--seed", default=0, show_default=True, help="Seed of the random numbers, for models whose translation is random."
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Number of samples handled at once, a matter of speed and memory.  [default: chosen for the model]",
)
@placement
@json_option
def command(
    name: str,
    files: tuple[str, ...],
    to: str,
    source: str | None,
    out: str,
    seed: int,
    batch_size: int | None,
    device: str,
    dtype: str | None,
    offline: bool | None,
    weights_from: str,
    as_json: bool,
) -> None:
    """Translate samples in files from one domain to another.

    A FILE is a picture, a .wav file, or a file of samples as 'zoo sample --out' writes it.  In a folder, each result
    has the name of the file that it was made from.

    \b
    Examples:
      zoo translate NAME --to winter summer.png --out winter.png
      zoo translate NAME --to 1 --from 0 photos/*.png --out translated/
    """
    from zoo_core.datasets.reading import read_samples
    from zoo_core.interfaces.values import cat, finite_rows
    from zoo_core.loading import load
    from zoo_core.translation import domain, translate

    check_target(out)
    for file in files:
        check_source(file)
    entry = entry_of(name, offline=offline)
    if "Translator" not in facts_of(entry, plugins.family_of(entry)):
        known = ", ".join(_translators()[:8]) or "none that is installed"
        raise IncompatibleError(f"{name} is a {entry.family}, which cannot translate; those that can: {known}")
    model = load(entry, device=device, dtype=dtype, offline=offline, weights_from=weights_from)
    warn_about_plugins()
    for number in (to, source):
        if number is not None:
            domain(model, number)
    for file in files:
        check_source(file, model.space)
    began = time.perf_counter()
    given = [read_samples(file, model.space) for file in files]
    plan = _plan(files, [len(x) for x in given], out, model.space)
    made = translate(
        model,
        cat(given),
        to=to,
        source=source,
        seed=seed,
        batch_size=batch_size,
        progress=progress(f"translating {name}"),
    )
    if is_folder(out):
        Path(out).mkdir(exist_ok=True)
    for part in plan:
        _write(made[part.first : part.first + part.count], part.out, model.space)
    seconds = time.perf_counter() - began
    if (wrong := int((~finite_rows(made)).sum())) > 0:
        raise DivergenceError(f"{wrong} of {len(made)} samples in {out} are not finite; try --dtype float64")
    if as_json:
        rows = [{"in": part.files, "out": str(part.out), "n": part.count} for part in plan]
        print_json({"model": name, "to": to, "from": source, "seed": seed, "seconds": round(seconds, 3), "files": rows})
    else:
        samples = "1 sample" if len(made) == 1 else f"{len(made)} samples"
        click.echo(f"{samples} by {name} to {to} in {seconds:.1f} s: {out}", err=True)


@dataclass(frozen=True)
class _Part:
    """The samples ``first`` … ``first + count − 1``, which are written to one file."""

    files: list[str]
    first: int
    count: int
    out: Path


def _plan(files: tuple[str, ...], counts: list[int], out: str, space: SampleSpace) -> list[_Part]:
    """Decides which samples are written to which file.

    Raises:
        IncompatibleError: a file cannot hold the samples, two results have one name, or an input would be replaced.
    """
    if is_folder(out):
        firsts = [sum(counts[:i]) for i in range(len(counts))]
        parts = [
            _Part([file], first, count, Path(out) / Path(file).name)
            for file, first, count in zip(files, firsts, counts, strict=True)
        ]
    else:
        check_target(out, space, sum(counts))
        parts = [_Part(list(files), 0, sum(counts), Path(out))]
    seen: dict[Path, str] = {}
    inputs = {Path(file).resolve() for file in files}
    for part in parts:
        place = part.out.resolve()
        if place in inputs:
            raise IncompatibleError(f"{part.out} is one of the files to translate; write to another --out")
        if place in seen:
            raise IncompatibleError(f"{seen[place]} and {part.files[0]} would both be {part.out}; translate them apart")
        seen[place] = part.files[0]
    return parts


def _write(samples: Values, path: Path, space: SampleSpace) -> None:
    from zoo_core.saving.samples import save_one, save_samples

    if len(samples) == 1 and path.suffix.lower() in PICTURES and is_one_picture(space):
        save_one(next(iter(samples)), path, space)  # pixel by pixel, not enlarged
    else:
        save_samples(samples, str(path), space)


def _translators() -> list[str]:
    """Lists the ids of the models whose families can translate."""
    families = {c.name for c in plugins.load().catalogue.all("family") if "Translator" in c.capabilities}
    return [name for name, entry in registry.load().entries.items() if entry.family in families]
