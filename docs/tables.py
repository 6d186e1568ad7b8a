"""Writes the tables of README and docs from where they are true: registry, benchmarks, what ``zoo compare`` wrote.

python docs/tables.py            rewrites README.md, the generated parts of docs/*.md and docs/registry.schema.json
python docs/tables.py --check    exits with 1 where they are not up to date
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import benchmark_tables
import model_tables

from zoo_core.registry.json_schema import json_schema

ROOT = Path(__file__).parent.parent
MATRIX = ROOT / "docs" / "path-samplers.csv"
BUDGETS = (5, 10, 20, 50, 100)

Block = Callable[[], Iterator[str]]


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


PAGES: Mapping[str, Mapping[str, Block]] = {
    "README.md": {"families": model_tables.families, "headlines": benchmark_tables.headlines},
    "docs/models.md": {"metrics": model_tables.metrics, "models": model_tables.models},
    "docs/benchmarks.md": {"benchmarks": benchmark_tables.benchmarks},
    "docs/recipes.md": {"recipe": model_tables.recipe},
    "docs/samplers.md": {"matrix": matrix},
}
"""The generated parts of each page, by the name in the comments around them."""


def written(text: str, blocks: Mapping[str, Block]) -> str:
    """A page with its tables made anew."""
    for name, lines in blocks.items():
        block = f"<!-- {name} -->\n\n" + "\n".join(lines()).strip() + f"\n\n<!-- /{name} -->"
        text, count = re.subn(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _: block, text, flags=re.DOTALL)  # noqa: B023
        if count != 1:
            raise SystemExit(f"a page has {count} blocks <!-- {name} -->; expected 1")
    return text


def main() -> None:
    """The command line."""
    files = {ROOT / page: written((ROOT / page).read_text(encoding="utf-8"), blocks) for page, blocks in PAGES.items()}
    files[ROOT / "docs" / "registry.schema.json"] = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    stale = [p for p, text in files.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        if stale:
            raise SystemExit(f"out of date: {', '.join(p.name for p in stale)}; run 'make readme'")
        return
    for path in stale:
        path.write_text(files[path], encoding="utf-8")


if __name__ == "__main__":
    main()
