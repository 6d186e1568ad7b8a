"""Writes the model card, the ``README.md`` of a snapshot; equal entries give equal bytes.

The card begins with front matter for the Hub, which has a ``model-index`` of the measured numbers.  The text says how
to load the model, what it is, how it was made, what was measured and how, and what it is and is not intended for.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from zoo_core.files.formats import advised_target
from zoo_core.registry.entry import Entry, Evaluation

__all__ = ["card"]

_LICENCE_NAMES = (
    "afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsl-1.0 cc cc-by-2.0 cc-by-2.5 cc-by-3.0 "
    "cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 "
    "cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 ecl-2.0 "
    "epl-1.0 epl-2.0 eupl-1.1 eupl-1.2 gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 mit mpl-2.0 ms-pl ncsa odbl "
    "odc-by ofl-1.1 openrail osl-3.0 pddl postgresql unlicense wtfpl zlib"
)
"""Licences that the Hub knows by name; any other is written as ``other`` with a ``license_name``."""


def card(entry: Entry, repo_id: str = "") -> str:
    """Writes the model card of an entry with weights.

    Args:
        entry: entry of the model.
        repo_id: repository that the card is for; empty for a snapshot that is bundled with a plugin.
    """
    name = f"hf:{repo_id}" if repo_id else entry.id
    sections = [
        _front_matter(entry),
        [f"# {entry.id}", "", f"{entry.summary.rstrip('.')}.", ""],
        _how_to_load(entry, name),
        _facts(entry),
        _recipe(entry),
        _measured(entry, name),
        _use_and_limits(entry),
        _verified(entry),
    ]
    return "\n".join(line for section in sections for line in section)


def _front_matter(entry: Entry) -> list[str]:
    lines = ["---", *_licence(entry.license), "library_name: zoo"]
    if "image" in entry.tags:
        lines.append("pipeline_tag: unconditional-image-generation")
    lines.append(f"tags: [{', '.join(_yaml(tag) for tag in dict.fromkeys(['zoo', entry.family, *entry.tags]))}]")
    if entry.dataset:
        lines.append(f"datasets: [{_yaml(entry.dataset)}]")
    if entry.evaluations:
        lines += ["model-index:", f"- name: {_yaml(entry.id)}", "  results:"]
        for dataset, rows in _by_dataset(entry.evaluations):
            task = "unconditional-image-generation" if "image" in entry.tags else "unconditional-generation"
            base, _, split = dataset.partition("/")
            part = f", split: {_yaml(split)}" if split else ""
            lines += [
                f"  - task: {{type: {task}}}",
                f"    dataset: {{type: {_yaml(base)}, name: {_yaml(dataset)}{part}}}",
                "    metrics:",
            ]
            for row in rows:
                named = f"{row.metric}{f' ({row.unit})' if row.unit else ''}"
                lines.append(f"    - {{type: {_yaml(row.metric)}, name: {_yaml(named)}, value: {_number(row.value)}}}")
    return [*lines, "---", ""]


def _licence(name: str) -> list[str]:
    known = name.lower() or "unknown"
    if known in _LICENCE_NAMES.split() or known == "unknown":
        return [f"license: {known}"]
    return ["license: other", f"license_name: {_yaml(re.sub(r'[^a-z0-9.]+', '-', known).strip('-') or 'other')}"]


def _how_to_load(entry: Entry, name: str) -> list[str]:
    return [
        "```",
        f"pip install {entry.plugin}",
        f"zoo load {name}",
        f"zoo sample {name} -n 64 --seed 0 --out {advised_target(entry.facts)}",
        "```",
        "",
        "or, in Python,",
        "",
        "```python",
        "import zoo_core",
        "",
        f'x = zoo_core.sample("{name}", 64, seed=0)',
        "```",
        "",
    ]


def _facts(entry: Entry) -> list[str]:
    sampler = entry.sampler
    options = ", ".join(f"{k} = {v}" for k, v in sampler.options.items()) if sampler else ""
    paper = entry.paper
    for prefix, site in (("arXiv:", "https://arxiv.org/abs/"), ("doi:", "https://doi.org/")):
        if paper.startswith(prefix):
            paper = f"[{paper}]({site}{paper.removeprefix(prefix)})"
    facts = {
        "Family": f"`{entry.family}`, of the plugin `{entry.plugin}`",
        "Data": entry.dataset,
        "Parameters": f"{entry.parameters:,}" if entry.parameters else "",
        "Sampled by": f"`{sampler.name}`{f' ({options})' if options else ''} unless told otherwise" if sampler else "",
        "Paper": paper,
        "Licence of the weights": entry.license,
    }
    return [*(f"- {label}: {value}" for label, value in facts.items() if value), ""]


def _recipe(entry: Entry) -> list[str]:
    """Writes the recipe as a list, after the sentence ``how``."""
    recipe = dict(entry.recipe)
    how = recipe.pop("how", "")
    rows = [
        f"- {key}: `{json.dumps(value) if isinstance(value, (dict, list)) else value}`" for key, value in recipe.items()
    ]
    if not how and not rows:
        return []
    return ["## How it was made", "", *([how, ""] if how else []), *rows, ""]


def _measured(entry: Entry, name: str) -> list[str]:
    if not entry.evaluations:
        return []
    lines = ["## Measured", "", "| metric | value | on | settings | measured again by |", "|---|---|---|---|---|"]
    for row in entry.evaluations:
        anchors = ", ".join(f"{anchor} {value:.5g}" for anchor, value in row.anchors.items())
        protocol = "; ".join(filter(None, [row.protocol, anchors]))
        cells = (row.metric, row.text(), f"{row.n:,} of {row.dataset}", protocol, f"`{row.command(name)}`")
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return [*lines, ""]


def _use_and_limits(entry: Entry) -> list[str]:
    data = entry.dataset or "its training data"
    measured = (
        "Each number holds for the settings in its row and for no others."
        if entry.evaluations
        else "Nothing has been measured."
    )
    text = (
        f"Intended for study, for teaching and as a baseline: it draws what {data} looks like and nothing else. It has "
        f"the gaps and the biases of {data}, and its samples are no evidence about anything beyond that. It is not "
        f"meant for decisions about people, nor to pass what it draws off as real. {measured}"
    )
    return ["## Intended use and limits", "", textwrap.fill(text, 118, break_on_hyphens=False), ""]


def _verified(entry: Entry) -> list[str]:
    weights = entry.weights
    assert weights is not None
    text = (
        f"`{weights.file}`: {weights.size:,} bytes, sha256 `{weights.sha256}`, checked before a tensor is built. "
        f"Loading runs code of the installed plugin `{entry.plugin}` only: nothing in this folder is code or a pickle."
    )
    return ["## What is verified", "", textwrap.fill(text, 118, break_on_hyphens=False), ""]


def _by_dataset(rows: Iterable[Evaluation]) -> list[tuple[str, list[Evaluation]]]:
    """Groups the rows by data set, in the order in which the data sets first appear."""
    rows = list(rows)
    order = {name: i for i, name in enumerate(dict.fromkeys(row.dataset for row in rows))}
    ordered = sorted(rows, key=lambda row: order[row.dataset])
    return [(name, list(group)) for name, group in groupby(ordered, key=lambda row: row.dataset)]


def _yaml(value: Any) -> str:
    """Writes a string so that YAML reads it as a string; without quotes if that is safe."""
    text = str(value)
    plain = re.fullmatch(r"[A-Za-z][\w./-]*", text, re.ASCII) and text.lower() not in (
        "null", "true", "false", "yes", "no", "on", "off", "y", "n",
    )  # fmt: skip
    return text if plain else json.dumps(text, ensure_ascii=False)


def _number(value: float) -> str:
    """Writes a number so that YAML 1.1 reads it as a number: one with an exponent needs a decimal point too."""
    text = f"{value:.6g}"
    return text if "e" not in text or "." in text else text.replace("e", ".0e")
