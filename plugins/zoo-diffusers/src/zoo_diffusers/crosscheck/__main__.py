"""``python -m zoo_diffusers.crosscheck``: a model's samplers beside those of diffusers, step by step."""

from __future__ import annotations

import click

from zoo_core.cli import main
from zoo_core.cli.output import complete_model, json_option, print_json, table
from zoo_core.errors import ZooError


@click.command("crosscheck", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", shell_complete=complete_model)
@click.option("-n", "count", type=click.IntRange(min=1), default=2, show_default=True, help="Number of samples.")
@click.option(
    "--steps", type=click.IntRange(min=2), default=20, show_default=True, help="Greatest number of solver steps."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the noise.")
@click.option("--only", default="", metavar="WORD", help="Only samplers or schedulers with this in their name.")
@json_option
def command(name: str, count: int, steps: int, seed: int, only: str, as_json: bool) -> None:
    """Run our samplers and the schedulers of diffusers on one network, from one noise, through one time grid.

    Shows the largest difference over each whole trajectory, in states of unit variance; the network computes
    in float64.  Exits with 1 where a difference is beyond its tolerance.

    \b
    Examples:
      python -m zoo_diffusers.crosscheck ddpm-mnist-plain
      python -m zoo_diffusers.crosscheck ddpm-mnist-plain --only dpm-solver --steps 10 --json
    """
    from zoo_core.loading import load
    from zoo_diffusers.crosscheck.report import crosscheck

    rows = list(crosscheck(load(name).double(), n=count, steps=steps, seed=seed, only=only))
    if not rows:
        raise ZooError(f"no comparison has {only!r} in its name; leave --only out to see all that apply to {name}")
    if as_json:
        print_json(
            [
                {
                    "sampler": row.sampler,
                    "scheduler": row.scheduler,
                    "steps": row.steps,
                    "largest": row.largest,
                    "tolerance": row.tolerance,
                    "agrees": row.agrees,
                    "differences": row.differences,
                }
                for row in rows
            ]
        )
    else:
        table(
            [
                [
                    row.sampler,
                    row.scheduler,
                    str(row.steps),
                    f"{row.largest:.1e}",
                    f"{row.tolerance:.0e}",
                    "yes" if row.agrees else "NO",
                ]
                for row in rows
            ],
            ["sampler", "scheduler of diffusers", "steps", "largest", "tolerance", "agrees"],
        )
    wrong = [row for row in rows if not row.agrees]
    if wrong:
        raise ZooError(
            f"{len(wrong)} of {len(rows)} differ: "
            + ", ".join(f"{row.sampler} by {row.largest:.1e}, at most {row.tolerance:g} expected" for row in wrong)
        )


if __name__ == "__main__":
    main(command=command, name="python -m zoo_diffusers.crosscheck")
