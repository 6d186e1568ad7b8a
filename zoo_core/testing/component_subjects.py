"""Defines the subjects of checks that are components: objectives, samplers, metrics and data sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from zoo_core.interfaces import GradientObjective, Sampler, StatisticsObjective
from zoo_core.plugins.catalogue import Component, resolve
from zoo_core.testing.check import Kind
from zoo_core.testing.subjects import ModelSubject, Subject

__all__ = ["DataSetSubject", "MetricSubject", "ObjectiveSubject", "SamplerSubject"]


@dataclass(frozen=True, eq=False)
class ObjectiveSubject(Subject):
    """An objective and a model that it fits."""

    component: Component
    model: ModelSubject
    smallest: bool

    @property
    def kind(self) -> Kind:
        return "objective"

    @property
    def capabilities(self) -> tuple[str, ...]:
        return self.model.capabilities

    def make(self, **options: Any) -> GradientObjective | StatisticsObjective:
        """Makes the objective, with the options of the model's recipe if the recipe names this objective."""
        made: GradientObjective | StatisticsObjective = resolve(self.component.target)(**{**self.options, **options})
        return made

    @property
    def asked(self) -> ModelSubject:
        return self.model

    @property
    def options(self) -> dict[str, Any]:
        """The objective's options in the model's recipe; empty if the recipe names another objective."""
        recipe = self.model.entry.recipe if self.model.entry else {}
        own = recipe.get("objective") == self.component.name
        return dict(recipe.get("objective_options", {})) if own else {}

    @property
    def is_statistics(self) -> bool:
        found = resolve(self.component.target)
        return isinstance(found, type) and issubclass(found, StatisticsObjective)

    @property
    def weighs(self) -> bool:
        """Whether the objective uses the weights of examples."""
        return bool(getattr(resolve(self.component.target), "weighs", False))


@dataclass(frozen=True, eq=False)
class SamplerSubject(Subject):
    """A sampler and the models that it is tested with: toy models, then registered models that it fits."""

    component: Component
    models: tuple[ModelSubject, ...] = field(repr=False)

    @property
    def kind(self) -> Kind:
        return "sampler"

    def make(self) -> Sampler:
        made: Sampler = resolve(self.component.target)()
        return made


@dataclass(frozen=True, eq=False)
class MetricSubject(Subject):
    """A metric and the models that it may be tested with: toy models, then registered models that it fits."""

    component: Component
    models: tuple[ModelSubject, ...] = field(repr=False)

    @property
    def kind(self) -> Kind:
        return "metric"


@dataclass(frozen=True, eq=False)
class DataSetSubject(Subject):
    """A data set that a plugin registered."""

    component: Component

    @property
    def kind(self) -> Kind:
        return "dataset"
