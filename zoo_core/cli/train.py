"""``zoo train``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core import registry
from zoo_core.cli.output import complete_model, warn_about_plugins
from zoo_core.cli.sample import key_values
from zoo_core.errors import IncompatibleError, UnknownNameError

if TYPE_CHECKING:
    from zoo_core.entry import Entry


@click.command("train", short_help="Make a model again from its recipe, or a new one.")
@click.argument("name", required=False, shell_complete=complete_model)
@click.option("--family", help="Without NAME: the recipe of this family's model (or of the ids that begin so)…")
@click.option("--dataset", help="…on this data set.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder  [default: runs/NAME]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps or auto.")
@click.option("--seed", type=int, help="Of everything  [default: the recipe's]")
@click.option("--max-steps", type=click.IntRange(min=1), help="Stop there; run again to go on.")
@click.option("--checkpoint-every", type=click.IntRange(min=1), default=500, show_default=True, help="In steps.")
@click.option("--samples-every", type=click.IntRange(min=0), default=1000, show_default=True, help="0: no pictures.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", callback=key_values,
              help="Another value in the recipe (lr=1e-3) or the config (config.components=4).")  # fmt: skip
def command(
    name: str | None,
    family: str | None,
    dataset: str | None,
    out: Path | None,
    device: str,
    seed: int | None,
    max_steps: int | None,
    checkpoint_every: int,
    samples_every: int,
    changes: dict[str, Any],
) -> None:
    """Make a model again from its recipe, or a new one.

    Interrupted at any moment, the same command goes on where the last checkpoint was, to the bit.
    OUT/model loads like any other: zoo sample ./OUT/model.

    \b
    Examples:
      zoo train gmm-digits
      zoo train ddpm-moons --out runs/moons --set lr=1e-3
      zoo train --family ddpm --dataset fashion-mnist --max-steps 1000
      torchrun --standalone --nproc_per_node 2 -m zoo_core.cli train ddpm-mnist
    """
    if (name is None) == (family is None):
        raise click.UsageError("name a model, or say --family and --dataset")
    if family is not None and dataset is None:
        raise click.UsageError("--family needs --dataset; zoo datasets lists them")
    entry = registry.load().get(name) if name is not None else _like(str(family), str(dataset))
    warn_about_plugins()
    from zoo_core.training import Options, train
    from zoo_core.training.run import changed

    if seed is not None:
        changes = {**changes, "seed": seed}
    if name is not None and dataset is not None:
        changes = {**changes, "data.name": dataset}
    if changes:
        entry = changed(entry, changes)
    folder = out or Path("runs") / entry.id
    train(entry, folder, Options(device, max_steps, checkpoint_every, samples_every))
    place = folder / "model"
    reference = place if place.is_absolute() else f"./{place}"
    click.echo(f"zoo: {entry.id} is in {place}; next: zoo sample {reference} -n 64", err=True)


def _like(family: str, dataset: str) -> Entry:
    """The entry of a family whose data are most like these, for these."""
    known = registry.load().find()
    candidates = [e for e in known if e.recipe and (e.family == family or e.id.startswith(f"{family}-"))]
    if not candidates:
        families = sorted({e.family for e in known})
        raise UnknownNameError("family", family, None, f"families with a recipe: {', '.join(families)}")
    from zoo_core import datasets

    shape = datasets.load(dataset, n=1).sample_space.shape
    same = [e for e in candidates if tuple(e.config.get("shape", ())) == shape]
    if not same:
        shapes = ", ".join(f"{e.id} {e.config.get('shape')}" for e in candidates)
        raise IncompatibleError(f"{dataset} has examples of shape {list(shape)}; the recipes of {family} are {shapes}")
    entry = next((e for e in same if e.dataset == dataset), same[0])
    data = {k: v for k, v in entry.recipe["data"].items() if k not in ("classes", "n")} | {"name": dataset}
    recipe = {k: v for k, v in entry.recipe.items() if k != "how"} | {"data": data}
    summary = f"{family} on {dataset}, by the recipe of {entry.id}"
    return dataclasses.replace(
        entry, id=f"{family}-{dataset}", dataset=dataset, recipe=recipe, summary=summary, weights=None, evaluations=()
    )
