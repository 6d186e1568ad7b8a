"""``zoo translate``."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_core import plugins, registry
from zoo_core.cli.options import batch_size, noted, placement
from zoo_core.cli.output import how_made, json_option, print_json, progress, warn_about_plugins
from zoo_core.errors import DivergenceError, IncompatibleError, RegistryError
from zoo_core.fetching.references import entry_of
from zoo_core.files.formats import check_source, check_target, is_folder
from zoo_core.lookup.compatibility import facts_of

if TYPE_CHECKING:
    from zoo_core.interfaces import SampleSpace
    from zoo_core.saving.provenance import Provenance


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
@batch_size("samples handled")
@noted
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
    note: bool,
    device: str,
    dtype: str | None,
    offline: bool | None,
    weights_from: str,
    as_json: bool,
) -> None:
    """Translate samples in files from one domain to another.

    A FILE is a picture, a .wav file, or a file of samples as 'zoo sample --out' writes it.  In a folder, each result
    has the name of the file that it was made from.  Results say how they were made: see 'zoo again'.

    \b
    Examples:
      zoo translate NAME --to winter summer.png --out winter.png
      zoo translate NAME --to 1 --from 0 photos/*.png --out translated/
    """
    from zoo_core.datasets.reading import read_samples
    from zoo_core.interfaces.values import cat, finite_rows
    from zoo_core.loading import load
    from zoo_core.saving.making import of_files
    from zoo_core.saving.manifest import NAME, Manifest, check_free, sorted_files
    from zoo_core.saving.samples import save_result
    from zoo_core.translation import domain, translate

    check_target(out)
    if note and is_folder(out):
        check_free(Path(out), "translate")
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
    how = how_made(note, out, lambda: of_files(
        "translate", model, name, files, to=to, source=source, seed=seed, n=len(made), dtype=dtype
    ))  # fmt: skip
    if is_folder(out):
        Path(out).mkdir(exist_ok=True)
    written = [
        save_result(made[part.first : part.first + part.count], part.out, model.space, part.of(how)) for part in plan
    ]
    if how is not None and is_folder(out):
        Manifest(how, sorted_files(written)).write(Path(out) / NAME)
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

    def of(self, made: Provenance | None) -> Provenance | None:
        """Says how this file is made, where it is said how all of them are."""
        if made is None:
            return None
        inputs = tuple(one for one in made.inputs if one.file in self.files)
        return replace(made, inputs=inputs, first=self.first, n=self.count)


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
    from zoo_core.saving.manifest import NAME

    seen: dict[Path, str] = {}
    inputs = {Path(file).resolve() for file in files}
    for part in parts:
        place = part.out.resolve()
        if place in inputs:
            raise IncompatibleError(f"{part.out} is one of the files to translate; write to another --out")
        if part.out.name == NAME and is_folder(out):
            raise IncompatibleError(f"{part.out} is where the list of results is written; rename {part.files[0]}")
        if place in seen:
            raise IncompatibleError(f"{seen[place]} and {part.files[0]} would both be {part.out}; translate them apart")
        seen[place] = part.files[0]
    return parts


def _translators() -> list[str]:
    """Lists the ids of the models whose families can translate."""
    families = {c.name for c in plugins.load().catalogue.all("family") if "Translator" in c.capabilities}
    return [name for name, entry in registry.load().entries.items() if entry.family in families]
