"""``zoo score``."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.options import batch_size, conditions, placement, with_flags
from zoo_core.cli.output import complete_model, json_option, print_json, progress, warn_about_plugins
from zoo_core.errors import IncompatibleError
from zoo_core.files.formats import check_source

if TYPE_CHECKING:
    from zoo_core.interfaces import SampleSpace
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

    \b
    Examples:
      zoo score gmm-eight-gaussians points.csv --out scores.csv
      zoo score ddpm-mnist pictures/*.png --false-alarms 0.05
      zoo score ./runs/mine/model new.csv --json
    """
    from zoo_core.datasets.reading import read_samples
    from zoo_core.files.folders import write_whole
    from zoo_core.interfaces.values import cat
    from zoo_core.loading import load
    from zoo_core.scoring import held_out_from, score

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
    read = [read_samples(file, model.space.user, missing=model.takes_missing) for file in files]
    found = score(
        model,
        cat(read),
        statistic=statistic,
        false_alarms=false_alarms,
        held_out=held_out_from(model, held_out) if held_out else None,
        n=count,
        seed=seed,
        condition=condition or None,
        batch_size=batch_size,
        progress=progress(f"scoring by {name}"),
    )
    places = [(file, row) for file, x in zip(files, read, strict=True) for row in range(len(x))]
    rows = _rows(found, places, _names(files[0], model.space.user))
    if as_json:
        print_json({"model": name, **_summary(found), "rows": rows})
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0], lineterminator="\n")
    table.writeheader()
    table.writerows([{k: _cell(v) for k, v in row.items()} for row in rows])
    if out is not None:
        write_whole(Path(out), lambda path: path.write_text(text.getvalue(), encoding="utf-8"))
    elif not as_json:
        click.echo(text.getvalue(), nl=False)
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


def _rows(found: Scores, places: list[tuple[str, int]], names: list[str]) -> list[dict[str, Any]]:
    rows = []
    for i, (file, row) in enumerate(places):
        values: dict[str, Any] = {
            "file": file,
            "row": row,
            "score": float(found.score[i]) + 0.0,  # no −0
            "p": float(found.p[i]),
            "flagged": bool(found.flagged[i]),
        }
        if found.contributions is not None:
            told = found.contributions[i].tolist()
            values |= {f"surprise of {n}": None if v != v else v for n, v in zip(names, told, strict=True)}
        rows.append(values)
    return rows


def _cell(value: Any) -> Any:
    """Writes numbers with six digits, truth values in lower case, and nothing for a missing value."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value


def _names(file: str, space: SampleSpace) -> list[str]:
    """Names the values of a row: the columns of the table or of the CSV file, or x0, x1 …"""
    from zoo_core.datasets.reading import is_header

    if space.columns:
        return [column.name for column in space.columns]
    size = space.shape[0] or 0
    if Path(file).suffix.lower() == ".csv":
        with Path(file).open(encoding="utf-8-sig", newline="") as lines:
            first = next(csv.reader(lines), [])
        if len(first) == size and is_header(first, missing=True):
            return first
    return [f"x{i}" for i in range(size)]
