"""Diagnoses plugins: finds faults, each with its cause and the next step.

Loading a plugin reads the names that it registers.  The doctor also imports the code of every name, builds every model
from its config, and loads the weights that the package contains.
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
"""Greatest time, in seconds, that importing a plugin's module should take, since every listing imports it."""


@dataclass(frozen=True)
class Finding:
    """A fault of a plugin: its cause, and the next step."""

    cause: str
    next: str


def examine(record: PluginRecord) -> list[Finding]:
    """Lists the faults of a plugin; a disabled one has none."""
    if record.status == "disabled":
        return []
    if record.status != "loaded":
        return [Finding(record.reason, record.advice), *_files(record)]
    return [*_start_up(record), *_components(record), *_files(record), *_models(record)]


def not_found(name: str) -> ZooError:
    """Makes the error for a plugin that is not found: it is not installed, or it has no entry point."""
    for distribution in (name, f"zoo-{name}"):
        try:
            installed = metadata.distribution(distribution).name
        except (metadata.PackageNotFoundError, ValueError):
            continue
        needed = '[project.entry-points."zoo.plugins"]'
        return PluginError(
            f"{installed} is installed and names no plugin; add {needed} to its pyproject.toml, and reinstall it"
        )
    names = [n for record in plugins.load().records for n in (record.name, record.distribution)]
    close = difflib.get_close_matches(name, names, n=1)
    return UnknownNameError("plugin", name, close, "zoo plugins lists those that are installed")


def unowned() -> list[str]:
    """Lists the problems of registry files that belong to no plugin: the zoo's own and the user's."""
    distributions = [r.distribution for r in plugins.load().records]
    return [p for p in registry.load().problems if not any(_names(p, d) for d in distributions)]


def _start_up(record: PluginRecord) -> Iterator[Finding]:
    """Finds whether the plugin's module can be imported on its own, quickly, and without torch or numpy."""
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
    """Finds components whose code cannot be imported, or does not have the declared capabilities."""
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
    """Finds faults in a few examples of both splits; a data set that would have to be fetched is not examined."""
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
    """Lists the problems of the plugin's registry file."""
    known = registry.load()
    for problem in known.problems:
        if _names(problem, record.distribution):
            clash = problem.startswith("model ")
            advice = "rename the model, or uninstall one of them" if clash else "correct it; zoo registry validate FILE"
            yield Finding(problem, advice)


def _models(record: PluginRecord) -> Iterator[Finding]:
    """Finds faults of the plugin's models: of their family, sampler, recipe and weights."""
    known = registry.load()
    claimed = [e for claims in known.clashes.values() for e in claims]
    entries = [e for e in [*known.entries.values(), *claimed] if e.plugin == record.distribution]
    families = [c for c in _registered(record) if c.kind == "family"]
    elsewhere = any(
        c.kind == "layout" for c in _registered(record)
    )  # its models are repositories in another library's format
    if families and not elsewhere and not entries and not any(_names(p, record.distribution) for p in known.problems):
        yield Finding(
            f"no registry has a model of {' or '.join(c.name for c in families)}: zoo list shows none",
            f"put a registry.toml next to {record.module}, and make sure that the built package has it (pip show -f)",
        )
    for entry in entries:
        for cause, advice in _entry(entry):
            yield Finding(f"{entry.id}: {cause.removeprefix(f'{entry.id}: ')}", advice)


def _entry(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yields the faults of one model; a fault without which nothing else can be examined is the last."""
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
    """Says whether a problem names this distribution, and not one whose name contains its name."""
    return re.search(rf"(?<![\w-]){re.escape(distribution)}(?![\w-])", problem) is not None
