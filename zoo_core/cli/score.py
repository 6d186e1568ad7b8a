"""``zoo score``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.options import batch_size, conditions, noted, placement, with_flags
from zoo_core.cli.output import complete_model, how_made, json_option, print_json, progress, warn_about_plugins
from zoo_core.errors import IncompatibleError
from zoo_core.files.formats import check_source

if TYPE_CHECKING:
    from zoo_core.scoring import Scores


@click.command("score", short_help="Score how unusual the examples in files are, with calibrated p-values.")
@click.argument("name", shell_complete=complete_model)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option(
    "--statistic",
    type=click.Choice(["own", "profile", "surprise"]),
    help="Statistic: the family's own, the profile of an image, or the surprise −log p.  [default: the first to fit]",
)
@click.option(
    "--false-alarms",
    type=float,
    metavar="RATE",
    help="Share of usual examples to flag.  [default: 0.01, or the least that the held-out data allow]",
)
@click.option(
    "--held-out",
    metavar="FILE",
    type=click.Path(),
    help="File of usual examples to calibrate with.  [default: the test split of the model's data]",
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Number of held-out examples at most.",
)
@conditions("examples")
@click.option("--seed", default=0, show_default=True, help="Seed of noise, and of the choice of held-out examples.")
@batch_size("examples handled")
@click.option("--out", metavar="FILE.csv", help="File for the scores.  [default: standard output]")
@noted
@placement
@json_option
def command(
    name: str,
    files: tuple[str, ...],
    statistic: str | None,
    false_alarms: float | None,
    held_out: str | None,
    count: int,
    condition: dict[str, Any],
    label: int | None,
    seed: int,
    batch_size: int | None,
    out: str | None,
    note: bool,
    device: str,
    dtype: str | None,
    offline: bool | None,
    weights_from: str,
    as_json: bool,
) -> None:
    """Score how unusual the examples in files are, with calibrated p-values.

    A row of the result has the file, the number of the example in it, its score, the share p of usual examples that are
    at least as unusual, and whether it is flagged.  Where the density of incomplete rows is exact, it also has the
    surprise of each value given the others of its row, −log p(value | rest) in nats.
    A file of scores says how it was made: see 'zoo again'.

    \b
    Examples:
      zoo score gmm-eight-gaussians points.csv --out scores.csv
      zoo score ddpm-mnist pictures/*.png --false-alarms 0.05
      zoo score ./runs/mine/model new.csv --json
    """
    from zoo_core.loading import load
    from zoo_core.saving.making import of_files
    from zoo_core.scoring.files import as_csv, save_scores, score_files

    condition = with_flags(condition, "--condition", label=label)
    if out is not None and Path(out).suffix.lower() != ".csv":
        raise IncompatibleError(f"cannot write scores to {out!r}; expected a .csv file")
    if out is not None and not Path(out).resolve().parent.is_dir():
        raise IncompatibleError(f"there is no folder {Path(out).resolve().parent} for {out!r}; make it first")
    given = [*files, *([held_out] if held_out else [])]
    for file in given:
        check_source(file)
    model = load(name, device=device, dtype=dtype, offline=offline, weights_from=weights_from)
    warn_about_plugins()
    for file in given:
        check_source(file, model.space.user)
    began = time.perf_counter()
    found, rows = score_files(
        model, files, statistic=statistic, false_alarms=false_alarms, held_out=held_out, n=count, seed=seed,
        condition=condition, batch_size=batch_size, progress=progress(f"scoring by {name}"),
    )  # fmt: skip
    if as_json:
        print_json({"model": name, **_summary(found), "rows": rows})
    if out is not None:
        how = {"statistic": found.statistic, "false_alarms": false_alarms, "held_out": held_out, "n": count}
        made = how_made(note, out, lambda: of_files(
            "score", model, name, files, options={key: value for key, value in how.items() if value is not None},
            condition=condition, seed=seed, n=len(rows), dtype=dtype, offline=offline, shows="table",
        ))  # fmt: skip
        save_scores(rows, Path(out), made)
    elif not as_json:
        click.echo(as_csv(rows), nl=False)
    low, high = found.interval
    seconds = time.perf_counter() - began
    click.echo(
        f"{int(found.flagged.sum())} of {len(rows)} flagged at p ≤ {found.false_alarms:g} in {seconds:.1f} s; of usual "
        f"examples {100 * low:.2g} to {100 * high:.2g} % are flagged (95 % interval, {found.held_out:,} held-out "
        f"examples); scored by {found.note}",
        err=True,
    )


def _summary(found: Scores) -> dict[str, Any]:
    return {
        "statistic": found.statistic,
        "note": found.note,
        "held_out": found.held_out,
        "false_alarms": found.false_alarms,
        "interval": list(found.interval),
        "flagged": int(found.flagged.sum()),
    }
