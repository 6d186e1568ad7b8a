"""All that can be wrong with a plugin: each finding with its cause and the next step.

Loading a plugin reads names only.  Here everything behind the names is tried as well: every target is imported, every
model is built from its config and, where the package carries its weights, loaded.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from zoo_core import plugins, registry
from zoo_core.authoring.import_cost import start_up
from zoo_core.errors import NetworkError, PluginError, UnknownNameError, ZooError
from zoo_core.installed import PluginRecord
from zoo_core.plugins.catalogue import KINDS, Component, resolve
from zoo_core.registry.entry import Entry

__all__ = ["Finding", "examine", "not_found", "unowned"]

SLOW = 1.0
"""Seconds that importing a plugin's module may take; every listing pays them."""


@dataclass(frozen=True)
class Finding:
    """Something wrong, and what to do about it."""

    cause: str
    next: str


def examine(record: PluginRecord) -> list[Finding]:
    """All that is wrong with one plugin."""
    if record.status == "disabled":
        return []
    if record.status != "loaded":
        return [Finding(record.reason, record.advice), *_files(record)]
    return [*_start_up(record), *_components(record), *_files(record), *_models(record)]


def not_found(name: str) -> ZooError:
    """Why no plugin has this name: it is not installed, or it is and names no entry point."""
    for distribution in (name, f"zoo-{name}"):
        try:
            installed = metadata.distribution(distribution).name
        except (metadata.PackageNotFoundError, ValueError):
            continue
        needed = '[project.entry-points."zoo.plugins"]'
        return PluginError(
            f"{installed} is installed and names no plugin; add {needed} to its pyproject.toml, reinstall"
        )
    names = [n for record in plugins.load().records for n in (record.name, record.distribution)]
    close = difflib.get_close_matches(name, names, n=1)
    return UnknownNameError("plugin", name, close, "zoo plugins lists those that are installed")


def unowned() -> list[str]:
    """What is wrong with registry files that belong to no plugin: the zoo's own, the user's."""
    distributions = [r.distribution for r in plugins.load().records]
    return [p for p in registry.load().problems if not any(_names(p, d) for d in distributions)]


def _start_up(record: PluginRecord) -> Iterator[Finding]:
    """Whether naming what there is costs what using it does."""
    module = record.module.partition(":")[0]
    found = start_up(module)
    if found.error:
        yield Finding(f"{module} loads here, but not on its own: {found.error}", "import all that it uses in it")
    elif found.heavy:
        what = " and ".join(found.heavy)
        yield Finding(
            f"{module} imports {what}, which makes every listing wait",
            "import it in the model's module only, and register names: 'package.module:attribute'",
        )
    elif found.seconds > SLOW:
        yield Finding(
            f"{module} takes {found.seconds:.1f} s to import, and every listing waits for it; expected {SLOW} s",
            f"see what takes so long: python -X importtime -c 'import {module}'",
        )


def _components(record: PluginRecord) -> Iterator[Finding]:
    """What the plugin registered: the code is there, and can do what was said."""
    from zoo_core.interfaces import CAPABILITIES, Model, capabilities

    for component in _registered(record):
        what = f"{component.kind} {component.name!r}"
        for name in (*component.capabilities, *component.needs):
            if name not in CAPABILITIES:
                close = difflib.get_close_matches(name, CAPABILITIES, n=1)
                hint = f"did you mean {close[0]}?" if close else f"the capabilities are {', '.join(CAPABILITIES)}"
                yield Finding(f"{what}: there is no capability {name!r}", hint)
        try:
            target = resolve(component.target)
        except Exception as err:
            text = str(err) if isinstance(err, ZooError) else f"{type(err).__name__}: {err}"
            yield Finding(f"{what}: {' '.join(text.split())}", f"correct {component.target.partition(':')[0]}")
            continue
        if not callable(target):
            yield Finding(f"{what}: {component.target} is a {type(target).__name__}", "name a class or a function")
        elif component.kind == "dataset":
            yield from _dataset(component)
        elif component.kind == "family" and not (isinstance(target, type) and issubclass(target, Model)):
            yield Finding(f"{what}: {component.target} is no class of models", "inherit from zoo_core.interfaces.Model")
        elif component.kind == "family":
            declared, has = set(component.capabilities) & set(CAPABILITIES), set(capabilities(target))
            for name in sorted(declared - has):
                yield Finding(
                    f"{what} declares {name}, which {component.target} does not inherit from",
                    f"inherit from it, or take it out of capabilities=[…] in {record.module}",
                )
            for name in sorted(has - declared):
                yield Finding(
                    f"{what} does not declare {name}, which {component.target} inherits from",
                    f"add it to capabilities=[…] in {record.module}",
                )


def _dataset(component: Component) -> Iterator[Finding]:
    """A few examples of both splits; nothing where they would have to be fetched."""
    from zoo_core import datasets
    from zoo_core.datasets.validation import value_problems
    from zoo_core.fetching.hub_client import offline

    what = f"dataset {component.name!r}"
    for split in ("train", "test"):
        try:
            with offline():
                data = datasets.load(component.name, split, n=64)
        except NetworkError:
            return
        except ZooError as err:
            yield Finding(f"{what}, {split}: {err}", f"correct {component.target}")
            return
        for problem in value_problems(data):
            yield Finding(f"{what}, {split}: {problem}", f"correct {component.target}")


def _files(record: PluginRecord) -> Iterator[Finding]:
    """What reading its registry file found."""
    known = registry.load()
    for problem in known.problems:
        if _names(problem, record.distribution):
            clash = problem.startswith("model ")
            advice = "rename the model, or uninstall one of them" if clash else "correct it; zoo registry validate FILE"
            yield Finding(problem, advice)


def _models(record: PluginRecord) -> Iterator[Finding]:
    """Each model of the plugin: its factory, sampler, recipe and weights."""
    known = registry.load()
    claimed = [e for claims in known.clashes.values() for e in claims]
    entries = [e for e in [*known.entries.values(), *claimed] if e.plugin == record.distribution]
    families = [c for c in _registered(record) if c.kind == "family"]
    elsewhere = any(c.kind == "layout" for c in _registered(record))  # its models are other people's repositories
    if families and not elsewhere and not entries and not any(_names(p, record.distribution) for p in known.problems):
        yield Finding(
            f"no registry has a model of {' or '.join(c.name for c in families)}: zoo list shows none",
            f"put a registry.toml beside {record.module}, and see that the built package has it (pip show -f)",
        )
    for entry in entries:
        for cause, advice in _entry(entry):
            yield Finding(f"{entry.id}: {cause.removeprefix(f'{entry.id}: ')}", advice)


def _entry(entry: Entry) -> Iterator[tuple[str, str]]:
    """What is wrong with one model; the first of what makes the rest impossible."""
    from zoo_core import loading
    from zoo_core.training.recipe import Recipe, objective

    catalogue = plugins.load().catalogue
    table = f"correct models.{entry.id} in {entry.origin.words() if entry.origin else 'its file'}"
    try:
        loading.factory_of(entry)
        family = catalogue.get("family", entry.family)
    except ZooError as err:
        yield str(err), table
        return
    if entry.sampler:
        try:
            sampler = catalogue.get("sampler", entry.sampler.name)
            if why := sampler.misfit(family):
                yield f"its sampler {sampler.name} {why}", table
        except ZooError as err:
            yield f"its sampler: {err}", table
    if entry.recipe:
        try:
            recipe = Recipe.of(entry.recipe)
            if why := catalogue.get("objective", recipe.objective).misfit(family):
                yield f"its recipe's objective {recipe.objective} {why}", table
            else:
                objective(recipe)
            catalogue.get("dataset", str(recipe.data.get("name")))
        except ZooError as err:
            yield f"its recipe: {err}", table
    try:
        if entry.weights is not None and entry.weights.bundled:
            loading.load(f"{entry.plugin}:{entry.id}", weights_from="bundled")
        else:
            loading.build(entry)
    except ZooError as err:
        yield str(err), f"{table}, or make the weights again: zoo train {entry.id}"


def _registered(record: PluginRecord) -> list[Component]:
    catalogue = plugins.load().catalogue
    return [c for kind in KINDS for c in catalogue.all(kind) if c.plugin == record.distribution]


def _names(problem: str, distribution: str) -> bool:
    """Whether a problem is about a distribution, not about one whose name begins with its."""
    return re.search(rf"(?<![\w-]){re.escape(distribution)}(?![\w-])", problem) is not None
