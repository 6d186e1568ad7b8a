"""Checks what a plugin registers, and its registry file."""

from __future__ import annotations

import copy
import json
import math
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zoo_core import loading, plugins, registry
from zoo_core.errors import ZooError
from zoo_core.installed import registry_files
from zoo_core.interfaces import GradientObjective, Metric, Model, Sampler, StatisticsObjective, capabilities
from zoo_core.lookup.model_facts import read_facts
from zoo_core.plugins.catalogue import Component, resolve
from zoo_core.registry import schema
from zoo_core.registry.entry import Entry, FromRegistry
from zoo_core.testing.check import ConformanceError, check, require
from zoo_core.testing.subjects import FamilySubject, ModelSubject, PluginSubject
from zoo_core.training.recipe import Recipe

BASES: Mapping[str, tuple[type, ...]] = {
    "family": (Model,),
    "sampler": (Sampler,),
    "objective": (GradientObjective, StatisticsObjective),
    "metric": (Metric,),
}

HEAVY = ("torch", "numpy")

ASK = """
import sys
from importlib.metadata import EntryPoint
from zoo_core import plugins
from zoo_core.plugins.catalogue import Catalogue
module = EntryPoint({name!r}, {value!r}, "zoo.plugins").load()
plugins.call_hooks(module, Catalogue())
print(",".join(name for name in {heavy!r} if name in sys.modules))
"""


@check("plugin")
def check_plugin_loads(subject: PluginSubject) -> None:
    """The plugin is found, imported and registers its components without an error.

    A plugin that does not load has no other checks; ``zoo plugins doctor`` names the cause.
    """
    record = subject.record
    require(record.status == "loaded", f"{record.line()} {record.details}".strip())
    require(bool(subject.components), f"{subject.name} registers nothing; implement zoo_register(catalogue)")


@check("plugin", starts_process=True)
def check_plugin_imports_are_light(subject: PluginSubject) -> None:
    """Importing the plugin's module and calling its hooks imports neither torch nor numpy, in a fresh process.

    ``zoo list`` and completion import every plugin; torch alone would cost them a second and a half.  Register strings,
    ``"package.module:attribute"``, in place of classes.
    """
    code = ASK.format(name=subject.record.name, value=subject.record.module, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    require(done.returncode == 0, f"{subject.record.module} cannot be imported alone: {_last_line(done.stderr)}")
    found = done.stdout.strip()
    require(not found, f"{subject.record.module} imports {found}; register strings and import within functions")


@check("plugin")
def check_components_resolve(subject: PluginSubject) -> None:
    """Every registered name leads to code of the right kind: a family to a Model, a sampler to a Sampler, and so on.

    The check finds misspelt targets before the first user does.  Capabilities in ``needs`` must exist, or no model
    would ever fit.
    """
    wrong = [f"{c.kind} {c.name!r}: {problem}" for c in subject.components if (problem := _problem(c))]
    require(not wrong, "; ".join(wrong))


def _problem(component: Component) -> str | None:
    from zoo_core.interfaces import CAPABILITIES

    unknown = {*component.needs, *component.capabilities} - set(CAPABILITIES)
    if unknown:
        return f"{', '.join(sorted(unknown))} is no capability; they are {', '.join(CAPABILITIES)}"
    if not component.summary.strip():
        return "no summary; describe it in one line"
    try:
        found = resolve(component.target)
    except ZooError as err:
        return str(err)
    bases = BASES.get(component.kind, ())
    if component.kind == "family" and not (isinstance(found, type) and issubclass(found, Model)):
        return f"{component.target} is {found!r}; expected a subclass of zoo_core.interfaces.Model"
    if not callable(found):
        return f"{component.target} is {found!r}, which cannot be called"
    if isinstance(found, type) and bases and not issubclass(found, bases):
        return f"{component.target} is no {' or '.join(b.__name__ for b in bases)}; inherit from it"
    return None


@check("plugin", when=lambda subject: _fragment(subject) is not None)
def check_registry_file_is_valid(subject: PluginSubject) -> None:
    """The ``registry.toml`` in the plugin's package follows the schema, with no unknown key, and all of it is listed.

    A model whose id is taken, by the zoo or by another plugin, cannot be loaded by that id.
    """
    path = _fragment(subject)
    assert path is not None
    try:
        found = registry.read(path, distribution=subject.name)
    except ZooError as err:
        raise ConformanceError(f"zoo registry validate {path} says: {err}") from err
    require(not found.warnings, "; ".join(found.warnings))
    known = registry.load()
    listed = {**known.entries, **known.links}
    lost = [e.id for e in found.entries if e.id not in listed or listed[e.id].plugin != subject.name]
    require(not lost, f"{', '.join(lost)}: listed for another plugin or left out; choose another id")


def _fragment(subject: PluginSubject) -> Path | None:
    return dict(registry_files()).get(subject.name)


@check("family")
def check_declared_capabilities(subject: FamilySubject) -> None:
    """The capabilities that the plugin declares are those that the model's class inherits.

    Listings decide what fits from the declaration, without importing the class: a missing capability hides samplers and
    metrics, and a wrong one lists some that raise errors.
    """
    declared, found = set(subject.component.capabilities), set(capabilities(resolve(subject.component.target)))
    require(
        declared == found,
        f"family {subject.name!r} declares {sorted(declared)} and {subject.component.target} has {sorted(found)}; "
        "change catalogue.family(…, capabilities=…) or the class",
    )


@check("model", of_weights=True)
def check_registry_entry_is_valid(subject: ModelSubject) -> None:
    """The model's table follows the schema with no unknown key, and every name in it exists.

    The default sampler exists, fits and takes its options; the recipe is valid, its objective exists and fits, and its
    data set exists; ``parameters`` is the number of values in the state dict; measured numbers are finite.
    """
    entry = subject.entry
    assert entry is not None
    _check_table(entry)
    found = plugins.load()
    loading.factory_of(entry)
    if entry.sampler is not None:
        component = found.catalogue.get("sampler", entry.sampler.name)
        require(component.misfit(subject.family) is None, f"{entry.id}: sampler {component.name!r} does not fit")
        subject.sampler()
    if entry.recipe:
        recipe = Recipe.of(entry.recipe)
        component = found.catalogue.get("objective", recipe.objective)
        misfit = component.misfit(subject.family)
        require(misfit is None, f"{entry.id}: the recipe's objective {component.name!r} {misfit}")
        if "name" in recipe.data:
            found.catalogue.get("dataset", str(recipe.data["name"]))
    if entry.parameters:
        require(
            entry.parameters == subject.size,
            f"{entry.id}: parameters = {entry.parameters}; its state dict holds {subject.size} numbers",
        )
    for row in entry.evaluations:
        require(
            math.isfinite(row.value) and row.stderr >= 0,
            f"{entry.id}: eval {row.metric} = {row.value} ± {row.stderr}; expected finite numbers",
        )


def _check_table(entry: Entry) -> None:
    if not isinstance(entry.origin, FromRegistry):
        return
    path = entry.origin.file
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    data["models"] = {entry.id: data["models"][entry.id]}
    table = f"models.{entry.id}"
    problems = schema.problems(data, path.name, fragment="plugin" in data)
    problems += [line for line in schema.unknown_keys(data, path.name) if table in line]
    require(not problems, "; ".join(problems))


@check("model", when=lambda subject: subject.entry is not None and bool(subject.entry.facts), of_weights=True)
def check_facts_are_those_of_the_model(subject: ModelSubject) -> None:
    """``facts`` of the registry agree with the built model; listings decide from them what fits it."""
    assert subject.entry is not None
    said, found = set(subject.entry.facts), set(read_facts(subject.model))
    wrong = sorted(said ^ found)
    require(not wrong, f"{subject.name}: facts and the model disagree on {', '.join(wrong)}; expected {sorted(found)}")


@check("model", of_weights=True)
def check_builds_from_config_and_back(subject: ModelSubject) -> None:
    """The family's class builds the model from JSON values alone, reproducibly, and does not change the values.

    ``config`` is stored in the registry, in ``config.json`` and on the Hub: after a round trip through JSON it must be
    equal, and build the same model to the bit from the same seed.  Layers draw their initial weights from torch's
    global generator, which the loader seeds; the check finds a class that draws from another.
    """
    entry = subject.entry
    assert entry is not None
    before = copy.deepcopy(loading._plain(entry.config))
    through: dict[str, Any] = json.loads(json.dumps(before))
    require(through == before, f"{entry.id}: config is not the same after JSON: {before} became {through}")
    one = subject.fresh(seed=3)
    unchanged = loading._plain(entry.config) == before
    require(unchanged, f"{entry.id}: the class of {entry.family!r} changed its arguments; copy them")
    two = loading.build(Entry(**{**entry.__dict__, "config": through}), seed=3)
    a, b = one.state_dict(), two.state_dict()
    require(list(a) == list(b), f"{entry.id}: two builds have different parameters: {sorted(set(a) ^ set(b))}")
    for name in a:
        require(
            a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]),
            f"{entry.id}: {name} differs between two builds of one seed; draw first weights from torch's generator",
        )
    fresh, shipped = {k: tuple(v.shape) for k, v in a.items()}, subject.model.state_dict()
    require(
        fresh == {k: tuple(v.shape) for k, v in shipped.items()},
        f"{entry.id}: a fresh model and the loaded one have different tensors",
    )


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")
