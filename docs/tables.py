"""Writes the tables of README and docs from where they are true: registry, benchmarks, what ``zoo compare`` wrote.

python docs/tables.py            rewrites README.md, docs/samplers.md and docs/registry.schema.json
python docs/tables.py --check    exits with 1 where they are not up to date
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from zoo_core import registry
from zoo_core.cli.output import size_of
from zoo_core.registry import schema
from zoo_core.registry.entry import Entry

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
MATRIX = ROOT / "docs" / "path-samplers.csv"
BUDGETS = (5, 10, 20, 50, 100)


def models() -> Iterator[str]:
    """One row per model of the central registry."""
    yield "| model | what it is | numbers learned | weights | measured |"
    yield "|---|---|---|---|---|"
    central = {e.id for e in registry.read(registry.central_file()).entries}
    for entry in registry.load().find():
        if entry.id in central:
            size = f"{size_of(entry.weights.size)}B, `{entry.weights.sha256[:8]}…`" if entry.weights else "none yet"
            yield f"| `{entry.id}` | {entry.summary} | {size_of(entry.parameters)} | {size} | {measured(entry)} |"


def measured(entry: Entry) -> str:
    """The measured numbers, with their anchors."""
    rows = []
    for row in entry.evaluations:
        anchors = "".join(f" ({name} {value:.4g})" for name, value in row.anchors.items())
        rows.append(f"{row.metric} {row.text()}{anchors}")
    return "<br>".join(rows)


def benchmarks() -> Iterator[str]:
    """One row per comparison, and the machine that it was made on."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    yield "| work | ours | the other | the other ÷ ours | asked |"
    yield "|---|---|---|---|---|"
    for part in results.values():
        for row in part["rows"]:
            asked = "" if row["asked"] is None else f"≥ {row['asked']:.2g}"
            yield (
                f"| {row['what']} | {row['ours']:.3f} {row['unit']} | {row['theirs']:.3f} {row['unit']}, {row['peer']} "
                f"| **{row['ratio']:.2f}** | {asked} |"
            )
    yield ""
    notes = [row["note"] for part in results.values() for row in part["rows"] if row["note"]]
    machines = sorted({f"{part['machine']} ({part['date']})" for part in results.values()})
    yield f"Medians of rounds taken in turns on {'; '.join(machines)}. " + " ".join(f"{note}." for note in notes)


def matrix() -> Iterator[str]:
    """One row per model and sampler, one column per budget of network evaluations; bold: the model's best of each."""
    cells: dict[str, dict[str, dict[int, tuple[float, int]]]] = {}
    for row in csv.DictReader(MATRIX.read_text(encoding="utf-8").splitlines()):
        nfe = int(row["NFE"])
        budget = min(b for b in BUDGETS if b >= nfe)
        cells.setdefault(row["model"], {}).setdefault(row["kind"], {})[budget] = (float(row["value"]), nfe)
    yield "| model | sampler | " + " | ".join(map(str, BUDGETS)) + " |"
    yield "|---|---|" + "---:|" * len(BUDGETS)
    for model, rows in sorted(cells.items()):
        best = {b: min((row[b][0] for row in rows.values() if b in row), default=0.0) for b in BUDGETS}
        for kind, found in sorted(rows.items()):
            yield f"| `{model}` | {kind} | " + " | ".join(_cell(found.get(b), b, best[b]) for b in BUDGETS) + " |"


def _cell(found: tuple[float, int] | None, budget: int, best: float) -> str:
    if found is None:
        return ""
    value, nfe = found
    text = f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
    return (f"**{text}**" if value == best else text) + (f" ({nfe})" if nfe < 0.8 * budget else "")


def written(text: str, blocks: Mapping[str, Callable[[], Iterator[str]]]) -> str:
    """A page with its tables made anew."""
    for name, lines in blocks.items():
        block = f"<!-- {name} -->\n" + "\n".join(lines()) + f"\n<!-- /{name} -->"
        text, count = re.subn(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _: block, text, flags=re.DOTALL)  # noqa: B023
        if count != 1:
            raise SystemExit(f"a page has {count} blocks <!-- {name} -->; expected 1")
    return text


def main() -> None:
    """The command line."""
    readme, samplers = ROOT / "README.md", ROOT / "docs" / "samplers.md"
    files = {
        readme: written(readme.read_text(encoding="utf-8"), {"models": models, "benchmarks": benchmarks}),
        samplers: written(samplers.read_text(encoding="utf-8"), {"matrix": matrix}),
        ROOT / "docs" / "registry.schema.json": json.dumps(schema.json_schema(), indent=2, ensure_ascii=False) + "\n",
    }
    stale = [p for p, text in files.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        if stale:
            raise SystemExit(f"out of date: {', '.join(p.name for p in stale)}; run 'make readme'")
        return
    for path in stale:
        path.write_text(files[path], encoding="utf-8")


if __name__ == "__main__":
    main()
