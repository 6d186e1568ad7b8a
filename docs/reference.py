"""Writes docs/reference.md from the code: hooks, capabilities, checks, the registry's schema, exit codes, settings.

python docs/reference.py            writes it
python docs/reference.py --check    exits with 1 where it is not up to date
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo_core import errors
from zoo_core.cli import VERBS
from zoo_core.cli.env import VARIABLES
from zoo_core.files import formats, notes
from zoo_core.interfaces import (
    CAPABILITIES,
    Batch,
    Call,
    Column,
    Condition,
    ConditionSpec,
    DataSet,
    Frame,
    GradientObjective,
    Loss,
    Metric,
    Model,
    Prediction,
    Ragged,
    Result,
    Sampler,
    SampleSpace,
    StatisticsObjective,
    Streams,
)
from zoo_core.lookup.compatibility import FACTS
from zoo_core.plugins import hookspecs
from zoo_core.plugins.catalogue import KINDS, Catalogue
from zoo_core.registry import schema
from zoo_core.registry.schema import Key
from zoo_core.saving.provenance import KEYS
from zoo_core.testing import conformance, pytest_plugin
from zoo_core.testing.check import CHECKS

PAGE = Path(__file__).parent / "reference.md"
TYPES = (
    SampleSpace,
    Column,
    Ragged,
    ConditionSpec,
    Condition,
    DataSet,
    Batch,
    Streams,
    Loss,
    Call,
    Frame,
    Prediction,
    Result,
)
INTERFACES = (Model, GradientObjective, StatisticsObjective, Sampler, Metric)
TABLES = {
    "models.ID": schema.MODEL,
    "models.ID.sampler": schema.SAMPLER,
    "models.ID.recipe": schema.RECIPE,
    "models.ID.recipe.data": schema.DATA,
    "models.ID.weights": schema.WEIGHTS,
    "[models.ID.eval]": schema.EVAL,
}
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "table", list: "array"}


def page() -> Iterator[str]:
    """The lines of the page."""
    yield "<!-- Made by docs/reference.py from the code; a change here is lost. -->"
    yield "# Reference"
    yield ""
    yield "For those who write a plugin; [the tutorial](plugins.md) comes first."
    yield from ["", "## Hooks", ""]
    version = ".".join(map(str, hookspecs.ZOO_API))
    yield f"`ZOO_API` is {version}. {prose(hookspecs.__doc__ or '').partition(chr(10) * 2)[2]}"
    for name, hook in vars(hookspecs).items():
        if name.startswith("zoo_"):
            yield from function(name, hook)
    yield from ["", "## The catalogue", "", "What `zoo_register` is given. A name is unique within its kind."]
    for kind in KINDS:
        yield from function(f"catalogue.{kind}", getattr(Catalogue, kind))
    yield from ["", "## Capabilities", "", "What a model inherits from, beside `Model`, and what it then must have."]
    for capability in CAPABILITIES.values():
        yield from interface(capability)
    yield from ["", "## Interfaces", "", "All of it is imported from `zoo_core.interfaces`."]
    for kind_of_thing in INTERFACES:
        yield from interface(kind_of_thing)
    yield from ["", "## Types", "", "What the signatures above speak of; imported from `zoo_core.interfaces` too."]
    for kind_of_value in TYPES:
        yield from interface(kind_of_value)
    yield from ["", "## Facts", ""]
    yield "What a component can require of a model beside capabilities (`requires=[…]` in the catalogue), and what"
    yield "`facts` of a registry entry says: one fact, one of several (`points|image`), or none of it (`!coupled`)."
    yield from ["", "| fact | the model has |", "|---|---|"]
    yield from (f"| `{name}` | {meaning} |" for name, meaning in FACTS.items())
    yield "| `data:NAME` | been trained on this data set |"
    yield from checks()
    yield from ["", "## Registry files", ""]
    yield "A file begins with `schema = 1`; a plugin's names its `distribution` in `[plugin]`. The models follow."
    yield "An unknown key is a warning. In brackets: what holds where a key is not there."
    for where, keys in TABLES.items():
        yield from key_table(where, keys)
    yield from ["", "## Verbs", "", "`zoo VERB --help` says more.", "", "| verb | what it does |", "|---|---|"]
    yield from (f"| `{verb}` | {cell(line)} |" for verb, (_, line) in VERBS.items())
    yield from files()
    yield from ["", "## Exit codes", "", *table_of(errors.__doc__)]
    yield from ["", "## Environment variables", "", "| variable | meaning |", "|---|---|"]
    yield from (f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items())


def function(name: str, code: Callable[..., Any], level: int = 3) -> Iterator[str]:
    """A heading with the signature, and the docstring."""
    yield ""
    yield f"{'#' * level} `{name}{signature(code)}`"
    yield from ["", prose(inspect.getdoc(code) or "")]


def interface(kind: type) -> Iterator[str]:
    """A class that others inherit from: its docstring, its methods; those that must be written say so."""
    yield from ["", f"### {kind.__name__}", "", prose(inspect.getdoc(kind) or "")]
    missing: frozenset[str] = getattr(kind, "__abstractmethods__", frozenset())
    for name, member in vars(kind).items():
        code = member.fget if isinstance(member, property) else member
        if name.startswith("_") or not inspect.isfunction(code) or not code.__doc__:
            continue
        shown = name if isinstance(member, property) else f"{name}{signature(code)}"
        yield from ["", f"`{shown}`{' **(you implement this)**' if name in missing else ''}", "", prose(code.__doc__)]


def checks() -> Iterator[str]:
    """The conformance checks in the order in which they run, with the first sentence of each."""
    yield from ["", "## Conformance checks", ""]
    yield "What `zoo_core.testing.parametrize_with_checks` runs; the docstring of each says why, and how closely."
    yield from ["", "| check | of every | that has | it asserts |", "|---|---|---|---|"]
    order = [module.__name__ for module in conformance.MODULES]
    for each in sorted(CHECKS, key=lambda c: order.index(c.function.__module__)):
        first = re.split(r"\.\s", " ".join(prose(each.doc).split()) + " ", maxsplit=1)[0].rstrip(". ")
        yield f"| `{each.name.removeprefix('check_')}` | {each.kind} | {', '.join(each.needs)} | {cell(first)} |"
    yield from ["", "Fixtures, which pytest finds where zoo-core is installed:", ""]
    yield from table_of(pytest_plugin.__doc__)


def files() -> Iterator[str]:
    """What samples are written to and read from."""
    yield from ["", "## Files of samples", ""]
    yield "What `--out` of `zoo sample` and `zoo translate` writes, and `zoo translate` reads: a picture where it is"
    yield "one grey or RGB image. A folder, `folder/`, gets a `.png` for each image, a `.wav` for each recording, and"
    yield "one `.csv` of all samples of another kind."
    yield from ["", "| suffix | holds | of |", "|---|---|---|"]
    for suffix, holds in formats.FORMATS.items():
        kinds = formats.kinds_with(suffix)
        yield f"| `{suffix}` | {cell(holds)} | {'every kind' if kinds == formats.KINDS else ', '.join(kinds)} |"
    yield from ["", "## What a file says of itself", ""]
    yield "Files of samples, translations, completions, codes, scores, films and plots say how they were made, in JSON;"
    yield "`zoo again` reads it."
    yield from ["", *table_of(notes.__doc__), "", "| key | must | what it says |", "|---|---|---|"]
    yield from (f"| `{name}` | {'yes' if key.required else ''} | {cell(key.doc)} |" for name, key in KEYS.items())


def key_table(where: str, keys: Mapping[str, Key]) -> Iterator[str]:
    """One table of a registry file."""
    yield from ["", f"### `[{where}]`", "", "| key | type | must | what it says | such as |", "|---|---|---|---|---|"]
    for name, key in keys.items():
        kind = f"array of {_TYPES[key.items]}s" if key.type is list and name != "eval" else _TYPES[key.type]
        must = "yes" if key.required else ""
        yield f"| `{name}` | {kind} | {must} | {cell(key.doc)} | {cell(key.example.removeprefix('a name like '))} |"


def signature(code: Callable[..., Any]) -> str:
    """As it is written in the source, without ``self`` and the quotes around annotations."""
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(code)))
    return re.sub(r"\(self(?:, )?", "(", text)


def prose(doc: str) -> str:
    """A docstring in Markdown: sections become lists, roles and double backquotes code."""
    lines = []
    for line in inspect.cleandoc(doc).splitlines():
        if section := re.fullmatch(r"(Args|Attributes|Returns|Raises):", line):
            lines.append(f"*{section[1]}*\n")
        elif re.match(r"    \S", line):
            lines.append(f"- {line.strip()}")
        else:
            lines.append(line.replace("        ", "  ", 1) if line.startswith("        ") else line)
    text = re.sub(r":\w+:`~?(?:(?:[a-z_]+\.)+(?=[A-Z]))?([\w.]+)`", r"`\1`", "\n".join(lines))
    return re.sub(r"(?<=[.;:]) {2}(?=\S)", " ", text.replace("``", "`")).strip()


def table_of(doc: str | None) -> list[str]:
    """The table in a docstring."""
    rows = [line for line in inspect.cleandoc(doc or "").splitlines() if line.startswith("|")]
    return [re.sub(r" {2,}", " ", row).replace("``", "`") for row in rows]


def cell(text: str) -> str:
    """Text that does not end the cell of a table."""
    return text.replace("|", "\\|")


def main() -> None:
    """The command line."""
    text = "\n".join(page()) + "\n"
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            raise SystemExit("docs/reference.md is out of date; run python docs/reference.py")
        return
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
