"""Lists the subjects of a plugin's checks, in the order of their items."""

from __future__ import annotations

import math
from collections.abc import Iterator

from zoo_core import plugins, registry
from zoo_core.interfaces import GradientObjective
from zoo_core.plugins.catalogue import Component
from zoo_core.testing import small_models, toy_models
from zoo_core.testing.component_subjects import DataSetSubject, MetricSubject, ObjectiveSubject, SamplerSubject
from zoo_core.testing.subjects import FamilySubject, ModelSubject, PluginSubject, Subject

__all__ = ["subjects"]


def subjects(distribution: str) -> Iterator[Subject]:
    """Yields the parts of an installed plugin, or of ``zoo-core``."""
    found = plugins.load()
    kinds = ("family", "objective", "sampler", "metric", "dataset", "exporter", "plot")
    components = [c for kind in kinds for c in found.catalogue.all(kind) if c.plugin == distribution]
    for record in found.records:
        if record.distribution == distribution:
            yield PluginSubject(distribution, record, tuple(components))
    yield from (FamilySubject(c.name, c) for c in components if c.kind == "family")
    models = _models()
    mine = [m for m in models if m.entry is not None and m.entry.plugin == distribution]
    yield from mine
    yield from _small_ones(mine)
    for component in components:
        fitting = [m for m in models if component.misfit(m.family) is None]
        if component.kind == "objective":
            yield from _with_objective(component, [m for m in fitting if _trains(component, m)])
        elif component.kind == "dataset":
            yield DataSetSubject(component.name, component)
        elif component.kind in ("sampler", "metric"):
            toys = [m for m in _toys() if component.misfit(m.family) is None]
            if component.kind == "sampler":  # metrics say themselves which models and data they accept
                toys, fitting = ([m for m in some if m.meets(component)] for some in (toys, fitting))
            quick = [m for m in fitting if m.small is None]
            make = SamplerSubject if component.kind == "sampler" else MetricSubject
            yield make(component.name, component, (*toys, *sorted([*quick, *_small_ones(fitting)], key=_size)))


def _trains(component: Component, model: ModelSubject) -> bool:
    """Says whether an objective accepts a model; true if it cannot be made, since its checks will report the error."""
    try:
        made = ObjectiveSubject(component.name, component, model, False).make()
        return not isinstance(made, GradientObjective) or made.fits(model.plan) is None
    except Exception:
        return True


def _with_objective(component: Component, fitting: list[ModelSubject]) -> Iterator[ObjectiveSubject]:
    """Yields an objective with every model that it fits, and with a small model of each kind of them."""
    small: dict[tuple[str, str], ObjectiveSubject] = {}
    least = min(fitting, key=_size, default=None)
    for m in sorted(
        fitting, key=lambda m: m is not least
    ):  # the smallest model is the first: some checks run on it only
        yield ObjectiveSubject(f"{component.name}@{m.name}", component, m, m is least)
        if m.small is not None:
            found = ObjectiveSubject(f"{component.name}@{m.small.name}", component, m.small, m is least)
            small.setdefault((_kind(m.small), repr(found.options)), found)
    yield from small.values()


def _small_ones(models: list[ModelSubject]) -> Iterator[ModelSubject]:
    """Yields the small models of these models, one of each kind."""
    found: dict[str, ModelSubject] = {}
    for m in models:
        if m.small is not None:
            found.setdefault(_kind(m.small), m.small)
    yield from found.values()


def _kind(small: ModelSubject) -> str:
    assert small.entry is not None
    return small_models.kind_of(small.entry)


def _models() -> list[ModelSubject]:
    """Lists all registered models whose family is installed."""
    found, listed = plugins.load().catalogue, registry.load()
    entries = [*listed.entries.values(), *(e for claims in listed.clashes.values() for e in claims)]
    families = {component.name: component for component in found.all("family")}
    return [ModelSubject(e.id, families[e.family], e) for e in entries if e.family in families]


def _toys() -> list[ModelSubject]:
    return [
        ModelSubject(name, Component("family", name, "", "", capabilities=toy_models.capabilities_of(toy)), toy=toy)
        for name, toy in toy_models.all_toys().items()
    ]


def _size(model: ModelSubject) -> float:
    try:
        return (model.entry.parameters if model.entry else 0) or model.size
    except Exception:
        return math.inf
