r"""Decides which components fit a model, for listings, completion, plots and error messages.  Imports no torch.

A component (sampler, metric, objective, plot) requires *facts* about a model.  The facts are known without building the
model: the capabilities of its family, its data set, and the entry's ``facts``, which training read off the built model
(:mod:`zoo_core.lookup.model_facts`).

A requirement is a fact, ``"Density"``; one of several facts, ``"points|data:mnist"``; or the absence of a fact,
``"!coupled"``.  A component checks the built model again, with all of its options; a test makes sure that both answers
agree.
"""

from __future__ import annotations

from collections.abc import Iterable

from zoo_core import plugins
from zoo_core.plugins.catalogue import Component
from zoo_core.registry.entry import Entry, FromFolder

__all__ = ["FACTS", "facts_of", "fitting", "misfit"]

FACTS = {
    "image": "images",
    "points": "points",
    "sequence": "sequences",
    "tokens": "tokens",
    "audio": "audio",
    "table": "tables",
    "open": "samples of open length",
    "plane": "points in the plane",
    "pictured": "samples that can be drawn",
    "grey": "grey images",
    "rgb": "RGB images",
    "numeric": "samples that are numbers, not codes",
    "bounded": "samples with bounds",
    "black-and-white": "samples in black and white",
    "coupled": "a path that couples noise and data",
    "blind-at-start": "a prediction type that gives no estimate of the data at the start of the path, where α = 0",
    "exact": "an exact density",
    "many-passes": "a density that takes many passes through a network",
    "discrete": "a probability of discrete levels or tokens",
    "binarises": "a density of black and white images",
    "missing": "data with missing values",
    "importance": "importance_log_prob(x, k, streams)",
    "encoder": "an encoder",
    "chains": "persistent chains that ship with the weights",
    "conditional": "a condition",
    "sampled": "a default sampler",
    "own": "data of your own",
    "one-class": "data of one class",
    "some-classes": "data of some of the classes",
    "log": "the log of its training run in its folder",
}
"""Facts that a component can require besides capabilities and ``data:NAME``, with their descriptions for messages."""


_FROM_ENTRY = ("sampled", "own", "log", "one-class", "some-classes")
"""Facts that follow from any entry, even if its ``facts`` are missing."""


def facts_of(entry: Entry, family: Component, kind: str = "") -> frozenset[str]:
    """Collects the facts about a model that are known without building it.

    Args:
        entry: entry of the model.
        family: component that the plugin registered for the entry's family.
        kind: kind of component that the facts are for; a sampler also draws from the inner model of a composition.
    """
    lacking = {fact[1:] for fact in entry.facts if fact.startswith("!")}
    known = {fact for fact in entry.facts if not fact.startswith("!")} | (set(family.offers(kind)) - lacking)
    data = entry.recipe.get("data", {})
    if name := data.get("name", entry.dataset):
        known.add(f"data:{name}")
    if "reader" in data:
        known.add("own")
    classes = data.get("classes")
    if classes is not None:
        known.add("one-class" if len(classes) == 1 else "some-classes")
    if entry.sampler is not None:
        known.add("sampled")
    if isinstance(entry.origin, FromFolder) and (entry.origin.path.parent / "log.jsonl").is_file():
        known.add("log")
    return frozenset(known)


def misfit(component: Component, entry: Entry, family: Component) -> str | None:
    """Says why a component does not fit a model; ``None`` if it fits.

    Args:
        component: sampler, metric, objective, plot or exporter.
        entry: entry of the model.
        family: component that the plugin registered for the entry's family.
    """
    if component.families and family.name not in component.families:
        return f"is for {', '.join(component.families)} only"
    known = facts_of(entry, family, component.kind)
    read = bool(entry.facts)  # an entry from elsewhere may have no facts; then only capabilities and data are compared
    for requirement in (*component.needs, *component.requires):
        if not read and not _is_known_anyway(requirement):
            continue
        if requirement.startswith("!"):
            if requirement[1:] in known:
                return f"does not fit {_words(requirement[1:])}"
        elif not known.intersection(requirement.split("|")):
            return f"needs {' or '.join(_words(fact) for fact in requirement.split('|'))}"
    return None


def fitting(entry: Entry, components: Iterable[Component]) -> list[tuple[Component, str | None]]:
    """Pairs each component with the reason why it does not fit the model; the reason is ``None`` if it fits."""
    family = plugins.family_of(entry)
    return [(component, misfit(component, entry, family)) for component in components]


def _is_known_anyway(requirement: str) -> bool:
    """Says whether a requirement can be decided without the entry's facts: a capability, the data set, the sampler."""
    return all(fact not in FACTS or fact in _FROM_ENTRY for fact in requirement.lstrip("!").split("|"))


def _words(fact: str) -> str:
    return f"the data set {fact.removeprefix('data:')}" if fact.startswith("data:") else FACTS.get(fact, fact)
