"""What is checked: the parts of a plugin, each with what the checks want to know of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zoo_core import loading, plugins, registry
from zoo_core.errors import NetworkError
from zoo_core.installed import PluginRecord
from zoo_core.interfaces import Condition, Model, Sampler
from zoo_core.plugins.catalogue import Component
from zoo_core.registry.entry import Entry
from zoo_core.sampling import make_sampler, sample
from zoo_core.testing import small_models, tiny_data
from zoo_core.testing.check import Kind

__all__ = ["FamilySubject", "ModelSubject", "PluginSubject", "Subject"]

LARGE = 150_000
"""Numbers in a model's state dict above which a small one of its kind is asked what holds for any weights."""

LONG = 64
"""Dimensions of a sample above which it is, too."""


@dataclass(frozen=True, eq=False)
class Subject:
    """Something that checks are of.

    Attributes:
        name: stands in the item's id.
    """

    name: str

    @property
    def kind(self) -> Kind:
        raise NotImplementedError

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What checks of it may need."""
        return ()

    @property
    def asked(self) -> ModelSubject | None:
        """The one model that is asked, where there is one."""
        return None


@dataclass(frozen=True, eq=False)
class PluginSubject(Subject):
    """A distribution: its module and all that it registers."""

    record: PluginRecord
    components: tuple[Component, ...]

    @property
    def kind(self) -> Kind:
        return "plugin"


@dataclass(frozen=True, eq=False)
class FamilySubject(Subject):
    """A family, as it was registered."""

    component: Component

    @property
    def kind(self) -> Kind:
        return "family"


@dataclass(frozen=True, eq=False)
class ModelSubject(Subject):
    """A model: of the registry, or one of the kit's own.

    Attributes:
        is_small: whether it is a small one of a registered model's kind, of which nothing is shipped.
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
        """A small model of its kind, where it is large itself and its family takes smaller sizes."""
        entry = small_models.small_entry(self.entry) if self.entry is not None and self.is_large else None
        return None if entry is None else ModelSubject(f"{self.name}/small", self.family, entry, is_small=True)

    @cached_property
    def is_large(self) -> bool:
        """Whether it is of the registry, and has many numbers or makes long samples."""
        if self.entry is None or self.is_small:
            return False
        if self.entry.parameters > LARGE:
            return True
        try:
            fresh = self.fresh()
        except Exception:
            return False  # its checks will say so
        return _numbers(fresh) > LARGE or math.prod(tiny_data.shape_of(fresh.space)) > LONG

    @property
    def plan(self) -> Model:
        """A model of its kind, for what depends on no weights: those of a large one are not read for it."""
        return self.small.model if self.small is not None else self.model

    @cached_property
    def model(self) -> Model:
        """The model with its weights, in evaluation mode, shared by all checks: none may change it.

        Fresh weights stand in where there are none, or where they are on the Hub and it cannot be reached: nearly all
        checks hold for any weights.
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
        """What ``load`` calls it, whoever else may claim its id."""
        assert self.entry is not None
        clashes = self.entry.id in registry.load().clashes
        return f"{self.entry.plugin}:{self.entry.id}" if clashes else self.entry.id

    def fresh(self, seed: int = 0) -> Model:
        """A model of one's own with fresh parameters."""
        assert self.entry is not None
        return loading.build(self.entry, seed)

    @cached_property
    def size(self) -> int:
        """How many numbers it has."""
        return _numbers(self.model)

    @property
    def dimensions(self) -> int:
        """Of one sample; axes of any length count as :data:`tiny_data.LENGTH`."""
        return math.prod(tiny_data.shape_of(self.plan.space))

    @property
    def is_image(self) -> bool:
        return self.plan.space.kind == "image"

    @property
    def is_planar(self) -> bool:
        """Whether a sample is one or two real numbers: then integrals over the whole space can be had."""
        return self.plan.space.kind == "points" and self.dimensions <= 2

    @property
    def is_slow_density(self) -> bool:
        """Whether a log-probability takes a pass through an image network for every step of a path."""
        return self.is_image and {"Denoiser", "Density"} <= set(self.capabilities)

    @property
    def is_spoken_for(self) -> bool:
        """Whether the density is slow, and another model of the plugin and data set, by the same code, is asked."""
        mine = self.entry
        if mine is None or not self.is_slow_density:
            return False
        beside = (e for e in registry.load().find(["*"]) if (e.plugin, e.dataset) == (mine.plugin, mine.dataset))
        code = getattr(loading.factory_of(mine), "log_prob", None)
        first = next((e for e in beside if getattr(loading.factory_of(e), "log_prob", None) is code), mine)
        return first.id != mine.id

    @property
    def can_be_drawn(self) -> bool:
        """Whether some sampler fits."""
        return self.sampler_name is not None

    @property
    def sampler_name(self) -> str | None:
        """The default sampler, or the first one that fits."""
        if self.entry is not None and self.entry.sampler is not None:
            return self.entry.sampler.name
        fitting = [c.name for c in plugins.load().catalogue.all("sampler") if c.misfit(self.family) is None]
        return fitting[0] if fitting else None

    def sampler(self, steps: int | None = None, model: Model | None = None) -> Sampler:
        """Its sampler, in at most so many steps."""
        chosen = make_sampler(model or self.model, self.sampler_name)
        if steps is not None and (getattr(chosen, "steps", None) or 0) > steps:
            chosen = make_sampler(model or self.model, self.sampler_name, steps=steps)
        return chosen

    def draw(self, n: int, *, model: Model | None = None, steps: int | None = 3, **options: Any) -> Any:
        """Samples ``(n, …)`` on the user's side, in few steps, with valid conditions where the model takes any."""
        model = model or self.model
        first = options.get("first", 0)
        options.setdefault("condition", self.condition(first + n, first))
        return sample(model, n, sampler=self.sampler(steps, model), **options)

    def condition(self, stop: int, start: int = 0) -> Condition | None:
        """Valid conditions of samples ``start`` … ``stop − 1``."""
        return tiny_data.condition(self.model, start, stop)


def _numbers(model: Model) -> int:
    return sum(t.numel() for t in model.state_dict().values())
