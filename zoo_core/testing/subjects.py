"""Defines the subjects of checks: a plugin, its families and its models, with properties that the checks use."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zoo_core import loading, plugins, registry
from zoo_core.errors import NetworkError
from zoo_core.installed import PluginRecord
from zoo_core.interfaces import Condition, Model, Sampler
from zoo_core.lookup.compatibility import misfit
from zoo_core.lookup.model_facts import read_facts
from zoo_core.plugins.catalogue import Component
from zoo_core.registry.entry import Entry
from zoo_core.sampling import make_sampler, sample
from zoo_core.testing import small_models, tiny_data
from zoo_core.testing.check import Kind

__all__ = ["FamilySubject", "ModelSubject", "PluginSubject", "Subject"]

LARGE = 150_000
"""Count of numbers in a state dict above which a model is large, and checks use a small model of its kind."""

LONG = 64
"""Dimension of a sample above which a model is large, too."""


@dataclass(frozen=True, eq=False)
class Subject(ABC):
    """A part of a plugin that checks are run on.

    Attributes:
        name: name of the part in the item's id.
    """

    name: str

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """The kind of part."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The capabilities that checks may require."""
        return ()

    @property
    def asked(self) -> ModelSubject | None:
        """The model that the checks run; ``None`` if there is not exactly one."""
        return None


@dataclass(frozen=True, eq=False)
class PluginSubject(Subject):
    """A plugin with the components that it registers."""

    record: PluginRecord
    components: tuple[Component, ...]

    @property
    def kind(self) -> Kind:
        return "plugin"


@dataclass(frozen=True, eq=False)
class FamilySubject(Subject):
    """A family that a plugin registered."""

    component: Component

    @property
    def kind(self) -> Kind:
        return "family"


@dataclass(frozen=True, eq=False)
class ModelSubject(Subject):
    """A model of the registry, a small model in its place, or a toy model of the kit.

    Attributes:
        family: component of the model's family.
        entry: entry of the model; ``None`` for a toy model.
        toy: toy model; ``None`` for others.
        is_small: whether the model is a small model of a registered model's kind.
    """

    family: Component
    entry: Entry | None = None
    toy: Model | None = None
    is_small: bool = False

    @property
    def kind(self) -> Kind:
        return "model"

    @property
    def capabilities(self) -> tuple[str, ...]:
        lacking = {fact[1:] for fact in self.entry.facts if fact.startswith("!")} if self.entry else set()
        return tuple(name for name in self.family.capabilities if name not in lacking)

    @property
    def asked(self) -> ModelSubject:
        return self

    @cached_property
    def small(self) -> ModelSubject | None:
        """The small model of this kind, if the model is large and its family accepts smaller sizes."""
        entry = small_models.small_entry(self.entry) if self.entry is not None and self.is_large else None
        return None if entry is None else ModelSubject(f"{self.name}/small", self.family, entry, is_small=True)

    @cached_property
    def is_large(self) -> bool:
        """Whether the model is of the registry and has many parameters or large samples."""
        if self.entry is None or self.is_small:
            return False
        if self.entry.parameters > LARGE:
            return True
        try:
            fresh = self.fresh()
        except Exception:
            return False  # the checks of the model report that it cannot be built
        return _numbers(fresh) > LARGE or math.prod(tiny_data.shape_of(fresh.space)) > LONG

    @property
    def plan(self) -> Model:
        """A model of this kind, for properties that do not depend on weights; for a large model it is the small one."""
        return self.small.model if self.small is not None else self.model

    @cached_property
    def model(self) -> Model:
        """The model with its weights, in evaluation mode; all checks share it, so none may change it.

        If there are no weights, or they are on the Hub and it cannot be reached, the model has initial parameters,
        since nearly all checks hold for any weights.
        """
        if self.entry is None:
            assert self.toy is not None
            return self.toy
        if self.is_small:
            return small_models.shared_model(self.entry)
        if self.entry.weights is not None:
            try:
                return loading.load(self.address)
            except NetworkError:
                pass
        return self.fresh().eval().requires_grad_(False)

    @property
    def address(self) -> str:
        """The reference to the model for ``load``, which is unambiguous if two plugins claim its id."""
        assert self.entry is not None
        clashes = self.entry.id in registry.load().clashes
        return f"{self.entry.plugin}:{self.entry.id}" if clashes else self.entry.id

    def fresh(self, seed: int = 0) -> Model:
        """Builds a new model with initial parameters, which a check may change."""
        assert self.entry is not None
        return loading.build(self.entry, seed)

    @cached_property
    def size(self) -> int:
        """The count of numbers in the model's state dict."""
        return _numbers(self.model)

    @property
    def dimensions(self) -> int:
        """The dimension of a sample; an axis of any length counts as :data:`tiny_data.LENGTH`."""
        return math.prod(tiny_data.shape_of(self.plan.space))

    @property
    def is_image(self) -> bool:
        return self.plan.space.kind == "image"

    @property
    def is_countable(self) -> bool:
        """Whether a sample is a row of a table of categories and whole numbers, which two samples often share."""
        return self.plan.space.kind == "table" and self.plan.space.is_countable

    @property
    def is_planar(self) -> bool:
        """Whether a sample is one or two real numbers, so that densities can be integrated over the whole space."""
        return self.plan.space.kind == "points" and self.dimensions <= 2

    @property
    def is_slow_density(self) -> bool:
        """Whether a log-probability takes many passes through an image network."""
        return self.is_image and {"Denoiser", "Density"} <= set(self.capabilities)

    @property
    def is_spoken_for(self) -> bool:
        """Whether the density is slow, and the same code is checked with another model of the plugin and data set."""
        mine = self.entry
        if mine is None or not self.is_slow_density:
            return False
        beside = (e for e in registry.load().find(["*"]) if (e.plugin, e.dataset) == (mine.plugin, mine.dataset))
        code = getattr(loading.factory_of(mine), "log_prob", None)
        first = next((e for e in beside if getattr(loading.factory_of(e), "log_prob", None) is code), mine)
        return first.id != mine.id

    @property
    def can_be_drawn(self) -> bool:
        """Whether some sampler fits the model."""
        return self.sampler_name is not None

    def meets(self, component: Component) -> bool:
        """Whether the model has what a component requires besides capabilities, as listings compare it."""
        entry = self.entry
        if entry is None:
            entry = Entry(self.name, self.family.name, "zoo-core", {}, "a toy model", facts=read_facts(self.model))
        return misfit(component, entry, self.family) is None

    @property
    def sampler_name(self) -> str | None:
        """The name of the default sampler, or of the first one that fits."""
        if self.entry is not None and self.entry.sampler is not None:
            return self.entry.sampler.name
        fitting = [c.name for c in plugins.load().catalogue.all("sampler") if c.misfit(self.family) is None]
        return fitting[0] if fitting else None

    def sampler(self, steps: int | None = None, model: Model | None = None) -> Sampler:
        """Makes the model's sampler.

        Args:
            steps: greatest number of steps; the sampler's own number unless given.
            model: model to check the sampler against; this one unless given.
        """
        chosen = make_sampler(model or self.model, self.sampler_name)
        if steps is not None and (getattr(chosen, "steps", None) or 0) > steps:
            chosen = make_sampler(model or self.model, self.sampler_name, steps=steps)
        return chosen

    def draw(self, n: int, *, model: Model | None = None, steps: int | None = 3, **options: Any) -> Any:
        """Draws samples ``(n, …)`` in the user's range, in few steps, with valid conditions if the model takes any."""
        model = model or self.model
        first = options.get("first", 0)
        options.setdefault("condition", self.condition(first + n, first))
        return sample(model, n, sampler=self.sampler(steps, model), **options)

    def condition(self, stop: int, start: int = 0) -> Condition | None:
        """Returns valid conditions of samples ``start`` … ``stop − 1``; ``None`` for an unconditional model."""
        return tiny_data.condition(self.model, start, stop)


def _numbers(model: Model) -> int:
    return sum(t.numel() for t in model.state_dict().values())
