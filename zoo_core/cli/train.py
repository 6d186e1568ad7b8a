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


@click.command("train", short_help="Train a model from its recipe, or a variant of it.")
@click.argument("name", required=False, shell_complete=complete_model)
@click.option("--family", help="Family of the model, or the beginning of model ids (wgan-gp), in place of NAME.")
@click.option("--dataset", help="Name of the data set to train on; 'zoo datasets' lists them.  [default: the recipe's]")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run.  [default: runs/NAME]"
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="Device to compute on: cpu, cuda, mps, or auto, which takes an accelerator if there is one.",
)
@click.option("--seed", type=int, help="Seed of all random numbers of the run.  [default: the recipe's]")
@click.option(
    "--max-steps",
    type=click.IntRange(min=1),
    help="Step at which to stop before the recipe's last one.",
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="Number of steps between checkpoints.",
)
@click.option(
    "--samples-every",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Number of steps between pictures of samples; 0 draws none.",
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", callback=key_values,
              help="Value that replaces one of the recipe (lr=1e-3) or of the config (config.components=4); null "
              "removes it; may be repeated.")  # fmt: skip
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
    """Train a model from its recipe, or a variant of it.

    NAME is a model of the registry that has a recipe.  With --family and --dataset, the recipe of that family whose
    data are most like the data set is taken.  Another value (--set) or other data make a variant with an id of its own.

    A run that was interrupted, or ended by --max-steps, is continued from its last checkpoint by the same command, with
    the same result to the bit.  The trained model is in OUT/model: zoo sample ./OUT/model.

    \b
    Examples:
      zoo train gmm-digits
      zoo train ddpm-moons --out runs/moons --set lr=1e-3
      zoo train ddpm-mnist --dataset fashion-mnist
      zoo train --family ddpm --dataset fashion-mnist --max-steps 1000
      torchrun --standalone --nproc_per_node 2 -m zoo_core.cli train ddpm-mnist
    """
    if (name is None) == (family is None):
        raise click.UsageError("name a model, or use --family and --dataset")
    if family is not None and dataset is None:
        raise click.UsageError("--family needs --dataset; zoo datasets lists them")
    changes = with_flags(changes, seed=seed, dataset=("data.name", dataset))
    base = registry.load().get(name) if name is not None else None
    if base is not None and not base.recipe:
        raise IncompatibleError(f"{base.id} has no recipe to train it by; zoo info {base.id} shows what it has")
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
