"""``zoo train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from zoo_core import registry
from zoo_core.cli.options import key_values, with_flags
from zoo_core.cli.output import complete_model, warn_about_plugins
from zoo_core.errors import IncompatibleError


@click.command("train", short_help="Make a model again from its recipe, or a new one.")
@click.argument("name", required=False, shell_complete=complete_model)
@click.option("--family", help="Without NAME: a family, or words that ids begin with; its recipe for the data.")
@click.option("--dataset", help="Train on these data, registered under this name; see 'zoo datasets'.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder  [default: runs/NAME]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps or auto.")
@click.option("--seed", type=int, help="Seed of everything  [default: the recipe's]")
@click.option("--max-steps", type=click.IntRange(min=1), help="Stop there; run again to go on.")
@click.option("--checkpoint-every", type=click.IntRange(min=1), default=500, show_default=True, help="In steps.")
@click.option("--samples-every", type=click.IntRange(min=0), default=1000, show_default=True, help="0: no pictures.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", callback=key_values,
              help="Another value in the recipe (lr=1e-3) or the config (config.components=4); null: none")  # fmt: skip
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
    OUT/model loads like any other: zoo sample ./OUT/model.  With another value or other data it is another model, with
    an id of its own.

    \b
    Examples:
      zoo train gmm-digits
      zoo train ddpm-moons --out runs/moons --set lr=1e-3
      zoo train ddpm-mnist --dataset fashion-mnist
      zoo train --family ddpm --dataset fashion-mnist --max-steps 1000
      torchrun --standalone --nproc_per_node 2 -m zoo_core.cli train ddpm-mnist
    """
    if (name is None) == (family is None):
        raise click.UsageError("name a model, or say --family and --dataset")
    if family is not None and dataset is None:
        raise click.UsageError("--family needs --dataset; zoo datasets lists them")
    changes = with_flags(changes, seed=seed, dataset=("data.name", dataset))
    base = registry.load().get(name) if name is not None else None
    if base is not None and not base.recipe:
        raise IncompatibleError(f"{base.id} has no recipe to train it by")
    warn_about_plugins()
    from zoo_core.training import Options, train
    from zoo_core.training.variants import changed, for_data

    def say(line: str) -> None:
        if int(os.environ.get("RANK", "0")) == 0:
            click.echo(f"zoo: {line}", err=True)

    entry = changed(base, changes, say) if base is not None else for_data(str(family), str(dataset), changes, say)
    folder = out or Path("runs") / entry.id
    train(entry, folder, Options(device, max_steps, checkpoint_every, samples_every))
    place = folder / "model"
    reference = place if place.is_absolute() else f"./{place}"
    click.echo(f"zoo: {entry.id} is in {place}; next: zoo sample {reference} -n 64", err=True)
