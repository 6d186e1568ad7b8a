"""``zoo train``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core import registry
from zoo_core.cli.options import key_values, reading_options, with_flags
from zoo_core.cli.output import complete_model, warn_about_plugins
from zoo_core.errors import IncompatibleError

if TYPE_CHECKING:
    from zoo_core.registry.entry import Entry


@click.command("train", short_help="Train a model from its recipe, or a variant of it.")
@click.argument("name", required=False, shell_complete=complete_model)
@click.option("--family", help="Family of the model, or the beginning of model ids (wgan-gp), in place of NAME.")
@click.option("--dataset", help="Registered data set to train on; 'zoo datasets' lists them.  [default: the recipe's]")
@click.option(
    "--data",
    "source",
    metavar="PATH",
    help="Your own data to train on: a folder or zip of pictures or recordings, an array, a table, a text, or "
    "hf:ORG/SET@REVISION; 'zoo data PATH' says what they are.",
)
@reading_options
@click.option(
    "--held-out",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of your own data that is kept for testing.  [default: 0.1]",
)
@click.option(
    "--start",
    metavar="MODEL",
    help="Model whose weights training starts from; other channels, sizes and labels are adapted, and what was kept is "
    "listed.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Time to train in: sets the number of steps, and makes the network smaller if they would be too few.",
)
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
@click.option("--fast", is_flag=True, help="Replay the networks' calls from CUDA graphs, on a GPU; says what it chose.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", callback=key_values,
              help="Value that replaces one of the recipe (lr=1e-3) or of the config (config.components=4); null "
              "removes it; may be repeated.")  # fmt: skip
def command(
    name: str | None,
    family: str | None,
    dataset: str | None,
    source: str | None,
    label: str | None,
    weight: str | None,
    leave_out: tuple[str, ...],
    size: tuple[int, int] | None,
    held_out: float | None,
    start: str | None,
    minutes: float | None,
    out: Path | None,
    device: str,
    seed: int | None,
    max_steps: int | None,
    fast: bool,
    checkpoint_every: int,
    samples_every: int,
    changes: dict[str, Any],
) -> None:
    """Train a model from its recipe, or a variant of it.

    NAME is a model of the registry that has a recipe, or the recipe.toml of a run.  With --family and --data (or
    --dataset), the recipe of that family whose data are most like yours is taken.  Another value (--set) or other data
    make a variant with an id of its own.

    A run that was interrupted, or ended by --max-steps, is continued from its last checkpoint by the same command, with
    the same result to the bit.  The trained model is in OUT/model: zoo sample ./OUT/model.  Its recipe, with all that
    was decided about the data, is OUT/recipe.toml.

    \b
    Examples:
      zoo train gmm-digits
      zoo train --family ddpm --data ./photos --minutes 20
      zoo train --family gmm --data measurements.csv --label species
      zoo train runs/ddpm-photos/recipe.toml --out runs/again
      zoo train ddpm-moons --out runs/moons --set lr=1e-3
      zoo train --family ddpm --dataset fashion-mnist --max-steps 1000
      torchrun --standalone --nproc_per_node 2 -m zoo_core.cli train ddpm-mnist
    """
    if (name is None) == (family is None):
        raise click.UsageError("name a model, or use --family with --data or --dataset")
    if family is not None and (dataset is None) == (source is None):
        raise click.UsageError("--family needs --data or --dataset; zoo datasets lists the registered ones")
    if source is not None and dataset is not None:
        raise click.UsageError(f"--data {source} and --dataset {dataset} are one setting; leave one out")
    if source is None and (label or weight or leave_out or size or held_out):
        raise click.UsageError(
            "--label, --weight, --leave-out, --size and --held-out say how your own data are read; give --data"
        )
    changes = with_flags(changes, seed=seed, start=start)
    warn_about_plugins()
    from zoo_core.datasets.sources import Reading
    from zoo_core.training import Options, train
    from zoo_core.training.choice import for_data, on_data
    from zoo_core.training.recipe_file import read_recipe
    from zoo_core.training.target import Target
    from zoo_core.training.variants import changed

    def say(line: str) -> None:
        if int(os.environ.get("RANK", "0")) == 0:
            click.echo(f"zoo: {line}", err=True)

    base = None
    if name is not None:
        base = read_recipe(Path(name)) if name.endswith(".toml") else registry.load().get(name)
        if not base.recipe:
            raise IncompatibleError(f"{base.id} has no recipe to train it by; zoo info {base.id} shows what it has")
    target: Target | None = None
    if source is not None:
        target = Target.own(source, Reading(label, leave_out, size, weight=weight), held_out)
        for note in target.notes:
            say(note)
    elif base is None:
        target = Target.registered(str(dataset))
    else:
        changes = with_flags(changes, dataset=("data.name", dataset))

    def made(wanted: dict[str, Any], tell: Callable[[str], None]) -> Entry:
        if base is None:
            assert target is not None
            return for_data(str(family), target, wanted, tell)
        return changed(base, wanted, tell) if target is None else on_data(base, target, wanted, tell)

    entry = made(changes, say)
    folder = out or Path("runs") / entry.id
    data = target.examples(entry.recipe) if target is not None and target.is_own else None
    if minutes is not None:
        from zoo_core.training.budget import in_minutes

        entry = in_minutes(
            entry, folder, minutes, device, lambda more: made({**more, **changes}, lambda line: None), say, data
        )
    train(entry, folder, Options(device, max_steps, checkpoint_every, samples_every, fast), data)
    place = folder / "model"
    reference = place if place.is_absolute() else f"./{place}"
    click.echo(f"zoo: {entry.id} is in {place}; next: zoo sample {reference} -n 64", err=True)
