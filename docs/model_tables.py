"""The families of the README, the models and their numbers of docs/models.md, the keys of docs/recipes.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from zoo_core import plugins, registry
from zoo_core.cli.output import size_of
from zoo_core.interfaces import Density
from zoo_core.plugins.catalogue import Component, resolve
from zoo_core.registry import schema
from zoo_core.registry.entry import Entry, Evaluation
from zoo_core.registry.keys import JSON_TYPES, Key
from zoo_core.training.recipe import Recipe

PAPERS = {"gan": "arXiv:1406.2661", "iaf": "arXiv:1606.04934", "resampled-glow": "arXiv:2110.15828"}
"""Papers of the families whose models cite others, or which have no model."""

CITATION = re.compile(r" \(([^()]*\d{4}[^()]*)\)$")
"""The authors and years that end the summary of a family."""

LIKELIHOODS = {"exact": "exact likelihood", "bound": "bound on the likelihood", "estimate": "likelihood by its ODE"}
ABILITIES = {
    "DirectSampler": "draws directly",
    "Denoiser": "path samplers",
    "LatentVariable": "latent codes",
    "EnergyBased": "energies",
    "Completer": "completes what is known",
    "Scorer": "scores of its own",
    "Translator": "translates",
    "Composition": "decodes the codes of a model inside",
}
LABELS = {
    "r-mnist-v1": "relative FD",
    "fd-mnist-v1": "FD",
    "nll": "NLL",
    "bits-per-dim": "bits/dim",
    "elbo": "−ELBO",
    "iwae-5000": "NLL, 5,000 importance samples",
    "kl": "KL",
    "mode-coverage": "modes covered",
    "high-quality": "near a mode",
    "class-accuracy": "class accuracy",
    "noisy-accuracy": "noisy accuracy",
    "mmd": "squared MMD",
}
"""Short names of metrics in the tables; other metrics have their registered names there."""

BASELINES = {
    "floor": "real test data",
    "entropy": "entropy of the data",
    "true mixture": "the true mixture",
    "one class missing": "one class missing",
    "FD": "FD",
    "FD floor": "FD of real test images",
    "FD one class missing": "FD with one class missing",
}


def central() -> list[Entry]:
    """The zoo's own models, in the order of ``zoo list``."""
    ids = {entry.id for entry in registry.read(registry.central_file()).entries}
    return [entry for entry in registry.load().find() if entry.id in ids]


def families() -> Iterator[str]:
    """One row per family, for the README."""
    entries = central()
    yield "| family | what it is | models | what it can do | paper |"
    yield "|---|---|---|---|---|"
    for family in plugins.load().catalogue.all("family"):
        own = [entry for entry in entries if entry.family == family.name]
        papers = Counter(entry.paper for entry in own)
        paper = PAPERS.get(family.name) or (papers.most_common(1)[0][0] if papers else "")
        cited = CITATION.search(family.summary)
        name, summary = f"[`{family.name}`](docs/models.md#{family.name})", CITATION.sub("", family.summary)
        reference = link(paper, cited[1] if cited else "")
        yield f"| {name} | {summary} | {len(own) or ''} | {', '.join(abilities(family))} | {reference} |"


def abilities(family: Component) -> list[str]:
    """What a family can do, in words."""
    words = [ABILITIES[name] for name in family.capabilities if name in ABILITIES]
    if "Density" in family.capabilities:
        model = resolve(family.target)
        words.insert(0, LIKELIHOODS[model.log_prob_is if issubclass(model, Density) else "exact"])
    return words or ["guides other models"]


def link(paper: str, text: str = "") -> str:
    """A paper of the registry, ``arXiv:…`` or ``doi:…``, as a link."""
    kind, _, number = paper.partition(":")
    if not number:
        return ""
    return f"[{text or paper}](https://{'arxiv.org/abs' if kind == 'arXiv' else 'doi.org'}/{number})"


def models() -> Iterator[str]:
    """A section per family, with a row per model."""
    entries = central()
    for family in plugins.load().catalogue.all("family"):
        own = [entry for entry in entries if entry.family == family.name]
        yield from ["", f"## {family.name}", ""]
        summary = family.summary[0].upper() + family.summary[1:]
        yield f"{summary}. From `{family.plugin}`; {', '.join(abilities(family))}."
        if not own:
            yield from ["", "The zoo ships no trained model of this family."]
            continue
        yield from [
            "",
            "| model | what it is | paper | parameters | weights | measured |",
            "|---|---|---|---:|---|---|",
        ]
        for entry in own:
            size = f"{size_of(entry.weights.size)}B, `{entry.weights.sha256[:8]}…`" if entry.weights else "none yet"
            row = (f"`{entry.id}`", entry.summary, link(entry.paper), size_of(entry.parameters), size, numbers(entry))
            yield f"| {' | '.join(row)} |"


def numbers(entry: Entry) -> str:
    """The measured numbers, with their baselines in words."""
    return "<br>".join(map(number, entry.evaluations))


def number(row: Evaluation) -> str:
    """One measured number: ``NLL 0.311 ± 0.008 nats (entropy of the data 0.289)``."""
    label = LABELS.get(row.metric, row.metric)
    value = row.text() if row.stderr else f"{row.value:g} ± 0"
    value = value.removesuffix(f" {row.unit}") if row.unit in (label, "modes") else value
    baselines = ", ".join(f"{BASELINES.get(name, name)} {anchor:.4g}" for name, anchor in row.anchors.items())
    return f"{label} {value}" + (f" ({baselines})" if baselines else "")


def metrics() -> Iterator[str]:
    """One row per metric that a model of the zoo was measured by."""
    used = {row.metric for entry in central() for row in entry.evaluations}
    yield "| in the tables | metric | what it says |"
    yield "|---|---|---|"
    for metric in plugins.load().catalogue.all("metric"):
        if metric.name in used:
            yield f"| {LABELS.get(metric.name, metric.name)} | `{metric.name}` | {metric.summary} |"


GROUPS: Sequence[tuple[str, Sequence[str]]] = (
    ("Every recipe", ("objective", "objective_options", "data", "seed", "start", "batch", "stopped", "how")),
    ("Of a statistics objective", ("iterations", "tolerance", "restarts")),
)


def recipe() -> Iterator[str]:
    """The keys of a recipe, by the kind of objective that reads them."""
    every, statistics = (names for _, names in GROUPS)
    gradient = [name for name in schema.RECIPE if name not in (*every, *statistics)]
    shown = (GROUPS[0], ("Of a gradient objective", gradient), GROUPS[1])
    for title, names in shown:
        yield from keys(title, {name: schema.RECIPE[name] for name in names})
    yield from keys("The data", schema.DATA)
    missing = {field.name for field in fields(Recipe)} - set(schema.RECIPE)
    assert not missing, f"a recipe has {missing}, which the schema does not"


def keys(title: str, table: Mapping[str, Key]) -> Iterator[str]:
    """A section with a table of keys; what holds where a key is not given stands in brackets in the schema."""
    yield from ["", f"## {title}", "", "| key | type | what it says | unless given |", "|---|---|---|---|"]
    for name, key in table.items():
        text, default = key.doc, "required" if key.required else ""
        if match := re.fullmatch(r"(.*?) \[(.*)\]", key.doc):
            text, default = match[1], match[2]
        yield f"| `{name}` | {JSON_TYPES[key.type]} | {text} | {default} |"
