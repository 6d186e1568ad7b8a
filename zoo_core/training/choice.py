"""Chooses the recipe by which a family is trained on other data than those of its entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from zoo_core import registry
from zoo_core.datasets.prepared import check_fit
from zoo_core.errors import IncompatibleError, UnknownNameError, WeightsError
from zoo_core.loading import build, factory_of
from zoo_core.registry.entry import Entry
from zoo_core.registry.spellings import in_one_spelling
from zoo_core.training.target import Target
from zoo_core.training.variants import Say, varied

_MULTIPLES = (4, 8, 16)
"""Numbers that the sides of images are made multiples of, in turn, where no network takes them as they are."""

__all__ = ["candidates_of", "families_for", "for_data", "on_data"]


def on_data(entry: Entry, target: Target, changes: Mapping[str, Any], say: Say = lambda line: None) -> Entry:
    """Makes an entry by the recipe of another for other data, with the changes of :func:`changed`.

    Raises:
        IncompatibleError: the recipe does not fit the data, or a key does not exist.
    """
    if reason := _recipe_misfit(entry, target, changes):
        raise IncompatibleError(f"{entry.id} {reason}")
    if target.missing and not getattr(factory_of(entry), "takes_missing", False):
        target = target.without_missing()
        say(f"{entry.family} takes no missing cells: rows that have some are left out, {len(target.data):,} are left")
    made = varied(entry, in_one_spelling(changes), target, say)
    if reason := _model_misfit(made, target):
        raise IncompatibleError(f"{entry.id}: {reason}")
    if target.is_own and "label" in target.data.columns and "classes" not in made.config:
        hint = "; without --label the column is learned like any other" if target.encoding else ""
        say(f"the labels are not used: {entry.id} has no condition{hint}")
    return made


def for_data(family: str, target: Target, changes: Mapping[str, Any], say: Say = lambda line: None) -> Entry:
    """Makes an entry of a family for a data set, from the recipe whose data are most similar.

    Args:
        family: name of a family, or the beginning of model ids (``wgan-gp``).
        target: data to train on.
        changes: values by key as in :func:`changed`, which are applied to every recipe that is tried.
        say: function that is called with a line about the chosen recipe, and for each consequence.

    Raises:
        UnknownNameError: there is no such family.
        IncompatibleError: no recipe fits the data; the message gives the reasons.
    """
    candidates = candidates_of(family, target)
    reasons = []
    for entry, one in [(e, t) for t in _padded(target) for e in candidates]:
        lines: list[str] = []
        try:
            made = on_data(entry, one, changes, lines.append)
        except (IncompatibleError, WeightsError) as err:
            reasons.append(str(err) if str(err).startswith(entry.id) else f"{entry.id}: {err}")
            continue
        others = [e.id for e in candidates if e is not entry]
        flag = "--data PATH" if target.is_own else f"--dataset {target.name}"
        also = f"; zoo train ID {flag} takes that of {', '.join(others)}" if others else ""
        say(f"{family} on {target.name}, by the recipe of {entry.id}{also}")
        for line in lines:
            say(line)
        return made
    more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    words = target.data.sample_space.words()
    raise IncompatibleError(f"no recipe of {family} fits {target.name} ({words}): {'; '.join(reasons[:3])}{more}")


def _padded(target: Target) -> Iterator[Target]:
    """Yields the target, and images of it that are padded so that networks can halve them."""
    yield target
    for multiple in _MULTIPLES:
        if (padded := target.padded(multiple)) is not None:
            yield padded


def candidates_of(family: str, target: Target) -> list[Entry]:
    """Lists the entries of a family that have a recipe, those of the most similar data first.

    Raises:
        UnknownNameError: there is no such family.
        IncompatibleError: the name is that of a model.
    """
    known = [entry for entry in registry.load().find() if entry.recipe]
    candidates = [e for e in known if e.family == family]
    if not candidates and family in registry.load().entries:
        raise IncompatibleError(f"{family} is a model, not a family; use zoo train {family} --dataset {target.name}")
    candidates = candidates or [e for e in known if e.id.startswith(f"{family}-")]
    if not candidates:
        families = ", ".join(sorted({e.family for e in known}))
        raise UnknownNameError("family", family, None, f"families with a recipe: {families}")
    shape = list(target.shape)
    labelled = target.is_own and "label" in target.data.columns

    def unlike(entry: Entry) -> tuple[bool, ...]:
        return (
            entry.recipe["data"].get("name") != target.name,
            list(entry.config.get("shape", ())) != shape,
            ("conditional" in entry.facts) is not labelled,
            "start" in entry.recipe,
            not entry.id.startswith(family),
        )

    return sorted(candidates, key=unlike)  # stable: natural order of the ids otherwise


def _recipe_misfit(entry: Entry, target: Target, changes: Mapping[str, Any]) -> str | None:
    """Says why a recipe does not fit the data, before anything is built; ``None`` where it may."""
    if entry.facts and target.kind not in entry.facts:
        return f"is not a model of {target.kind}"
    for option, value in entry.recipe.get("objective_options", {}).items():
        other = registry.load().entries.get(value) if isinstance(value, str) else None
        key = f"objective_options.{option}"
        if other is not None and other.dataset != target.name and key not in changes:
            return f"needs {option}, a model of {target.name}, where it has {value}; --set {key}=…"
    return None


def _model_misfit(made: Entry, target: Target) -> str | None:
    """Says why the model that an entry describes does not fit the data; ``None`` where it fits."""
    try:
        model = build(made)
    except WeightsError as err:
        return str(err).removeprefix(f"{made.id}: ")
    check_fit(model, target.data)
    for name, spec in model.conditions.items():
        if not spec.null and name not in target.data.columns:
            return f"is conditioned on {name!r}, and {target.name} has no such column"
    return None


def families_for(target: Target) -> list[tuple[str, str | None]]:
    """Pairs each family that has a recipe with the reason why none fits the data; ``None`` where one may.

    Nothing is built: a family that is listed may still refuse a size when it is.
    """
    recipes = [entry for entry in registry.load().find() if entry.recipe]
    found = []
    for family in sorted({entry.family for entry in recipes}):
        reasons = [_recipe_misfit(entry, target, {}) for entry in recipes if entry.family == family]
        found.append((family, None if None in reasons else reasons[0]))
    return found
