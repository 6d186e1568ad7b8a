"""What a check of the kit may be of besides plugins, families and models: objectives, samplers, metrics, data sets."""

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
        """The objective, with the options of the model's recipe where it is that recipe's."""
        made: GradientObjective | StatisticsObjective = resolve(self.component.target)(**{**self.options, **options})
        return made

    @property
    def asked(self) -> ModelSubject:
        return self.model

    @property
    def options(self) -> dict[str, Any]:
        """Those of the model's recipe, where it is that recipe's."""
        recipe = self.model.entry.recipe if self.model.entry else {}
        own = recipe.get("objective") == self.component.name
        return dict(recipe.get("objective_options", {})) if own else {}

    @property
    def is_statistics(self) -> bool:
        found = resolve(self.component.target)
        return isinstance(found, type) and issubclass(found, StatisticsObjective)


@dataclass(frozen=True, eq=False)
class SamplerSubject(Subject):
    """A sampler and the models that it is tried on: the kit's own, else registered ones that it fits."""

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
    """A metric and the models that it may be tried on, the kit's own first."""

    component: Component
    models: tuple[ModelSubject, ...] = field(repr=False)

    @property
    def kind(self) -> Kind:
        return "metric"


@dataclass(frozen=True, eq=False)
class DataSetSubject(Subject):
    """A data set, as it was registered."""

    component: Component

    @property
    def kind(self) -> Kind:
        return "dataset"
