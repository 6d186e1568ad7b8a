"""Scores the examples in files, and writes the scores as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_core.datasets.reading import is_header, read_samples
from zoo_core.files.notes import write_noted
from zoo_core.interfaces import Model, SampleSpace
from zoo_core.interfaces.values import cat
from zoo_core.saving.provenance import Provenance
from zoo_core.scoring import Scores, held_out_from, score

__all__ = ["as_csv", "save_scores", "score_files"]


def score_files(
    model: Model,
    files: Sequence[str],
    *,
    statistic: str | None = None,
    false_alarms: float | None = None,
    held_out: str | None = None,
    n: int = 2000,
    seed: int = 0,
    condition: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Scores, list[dict[str, Any]]]:
    """Scores the examples in files; the other arguments are those of :func:`zoo_core.scoring.score`.

    Args:
        model: model.
        files: paths of the files, as the rows name them.
        held_out: path of a file of usual examples to calibrate with; the test split of the model's data unless given.

    Returns:
        The scores, and a row for each example: its file, its number there, its score, and what else is known.

    Raises:
        ZooError: a file cannot be read, or no statistic fits the model.
    """
    read = [read_samples(file, model.space.user, missing=model.takes_missing) for file in files]
    found = score(
        model,
        cat(read),
        statistic=statistic,
        false_alarms=false_alarms,
        held_out=held_out_from(model, held_out) if held_out else None,
        n=n,
        seed=seed,
        condition=condition or None,
        batch_size=batch_size,
        progress=progress,
    )
    places = [(file, row) for file, x in zip(files, read, strict=True) for row in range(len(x))]
    return found, _rows(found, places, _names(files[0], model.space.user))


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Writes rows as a CSV file with a header."""
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0], lineterminator="\n")
    table.writeheader()
    table.writerows([{k: _cell(v) for k, v in row.items()} for row in rows])
    return text.getvalue()


def save_scores(rows: Sequence[Mapping[str, Any]], path: Path, made: Provenance | None = None) -> None:
    """Writes rows to a CSV file, whole or not at all, with a note of how they were made beside it."""
    write_noted(path, as_csv(rows).encode("utf-8"), "" if made is None else made.at(path.suffix).text())


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
    if space.columns:
        return [column.name for column in space.columns]
    size = space.shape[0] or 0
    if Path(file).suffix.lower() == ".csv":
        with Path(file).open(encoding="utf-8-sig", newline="") as lines:
            first = next(csv.reader(lines), [])
        if len(first) == size and is_header(first, missing=True):
            return first
    return [f"x{i}" for i in range(size)]
