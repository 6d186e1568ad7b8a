"""What plugins register: names, one line each, and where the code is.  No code is imported to fill it or to list it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from zoo_core.errors import PluginError, UnknownNameError, WeightsError

__all__ = ["KINDS", "Catalogue", "Component", "resolve"]

KINDS = ("family", "sampler", "objective", "metric", "dataset", "exporter", "plot", "layout")
"""What can be registered; listings use the plural."""


@dataclass(frozen=True)
class Component:
    """Something that a plugin offers.

    Attributes:
        kind: one of :data:`KINDS`.
        name: what the user types.
        target: where the code is, ``"package.module:attribute"``.
        summary: one line.
        needs: the capabilities a model must have for it; for an objective or exporter of one family only, see
            ``families``.
        requires: facts that must be true of a model (:mod:`zoo_core.lookup.compatibility`), such as ``"points|image"``
            or ``"!coupled"``.
        families: the families it is for; empty for all that have what it needs.
        capabilities: what a model of this family can do (families).
        markers: the files by which a layout is recognised: one of them is enough.
        plugin: the distribution that registered it.
    """

    kind: str
    name: str
    target: str
    summary: str
    needs: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    plugin: str = ""

    def misfit(self, family: Component) -> str | None:
        """Why this does not fit models of ``family``; ``None`` where it does."""
        missing = [c for c in self.needs if c not in family.capabilities]
        if missing:
            return f"needs {' and '.join(missing)}; {family.name} has {', '.join(family.capabilities) or 'none'}"
        if self.families and family.name not in self.families:
            return f"is for {', '.join(self.families)} only"
        return None


def _component(
    kind: str,
    name: str,
    target: str,
    summary: str,
    needs: Iterable[str],
    families: Iterable[str],
    requires: Iterable[str],
) -> Component:
    return Component(
        kind, name, target, summary, needs=tuple(needs), families=tuple(families), requires=tuple(requires)
    )


class Catalogue:
    """All components, filled by the plugins' ``zoo_register`` hooks."""

    def __init__(self) -> None:
        self._components: dict[tuple[str, str], Component] = {}

    def family(self, name: str, model: str, summary: str, *, capabilities: Iterable[str]) -> None:
        """Registers a family: ``model`` is the factory that its registry entries may name."""
        self._add(Component("family", name, model, summary, capabilities=tuple(capabilities)))

    def sampler(
        self,
        name: str,
        target: str,
        summary: str,
        *,
        needs: Iterable[str],
        families: Iterable[str] = (),
        requires: Iterable[str] = (),
    ) -> None:
        """Registers a :class:`~zoo_core.interfaces.sampler.Sampler` class, whose ``name`` and ``needs`` say the same.

        Args:
            name: what the user types.
            target: the class, ``"package.module:Class"``.
            summary: one line that stands alone.
            needs: capabilities that a model must have.
            families: families it is for; all that have what it needs unless given.
            requires: facts about the model: ``"!coupled"`` for a sampler that adds noise.
        """
        self._add(_component("sampler", name, target, summary, needs, families, requires))

    def objective(
        self,
        name: str,
        target: str,
        summary: str,
        *,
        needs: Iterable[str] = (),
        families: Iterable[str] = (),
        requires: Iterable[str] = (),
    ) -> None:
        """Registers a gradient or statistics objective class."""
        self._add(_component("objective", name, target, summary, needs, families, requires))

    def metric(
        self,
        name: str,
        target: str,
        summary: str,
        *,
        needs: Iterable[str] = (),
        families: Iterable[str] = (),
        requires: Iterable[str] = (),
    ) -> None:
        """Registers a :class:`~zoo_core.interfaces.metric.Metric` class or a function that makes one."""
        self._add(_component("metric", name, target, summary, needs, families, requires))

    def dataset(self, name: str, target: str, summary: str) -> None:
        """Registers a data set: ``target`` is a function ``(split, n=…) -> DataSet``, which may ignore n."""
        self._add(Component("dataset", name, target, summary))

    def exporter(self, name: str, target: str, summary: str, *, families: Iterable[str]) -> None:
        """Registers an export format: ``target`` is a function ``(model, config, folder) -> None``."""
        self._add(Component("exporter", name, target, summary, families=tuple(families)))

    def layout(self, name: str, target: str, summary: str, *, marker: str | Iterable[str]) -> None:
        """Registers how another library lays out a repository, so that ``zoo load hf:org/repo`` reads it.

        Args:
            name: of the layout.
            target: function of a :class:`~zoo_core.fetching.repository_formats.Repository` that gives the table of a
                registry entry: ``family``, ``plugin``, ``factory``, ``config``, ``summary``, ``sampler`` and
                ``weights.files``, one or several, which may lie in a subfolder.  It raises ``WeightsError`` with the
                reason where the repository has what cannot be expressed.
            summary: one line.
            marker: the file that such a repository has; or several, where each has one of them.
        """
        markers = (marker,) if isinstance(marker, str) else tuple(marker)
        self._add(Component("layout", name, target, summary, markers=markers))

    def plot(
        self,
        name: str,
        target: str,
        summary: str,
        *,
        needs: Iterable[str] = (),
        families: Iterable[str] = (),
        requires: Iterable[str] = (),
    ) -> None:
        """Registers a plot: ``target`` is a function ``(model, figure, seed) -> None`` (see :mod:`zoo_core.plots`)."""
        self._add(_component("plot", name, target, summary, needs, families, requires))

    def _add(self, component: Component) -> None:
        key = (component.kind, component.name)
        if key in self._components:
            raise PluginError(f"{component.kind} {component.name!r} is registered twice")
        module, _, attribute = component.target.partition(":")
        if not (module and attribute):
            raise PluginError(
                f"{component.kind} {component.name!r}: {component.target!r} is not 'package.module:attribute'"
            )
        self._components[key] = component

    def merge(self, other: Catalogue, plugin: str) -> None:
        """Takes over all that ``plugin`` registered in ``other``, or nothing where a name is taken.

        Raises:
            PluginError: a name is taken; the message names both distributions.
        """
        for key in other._components:
            if key in self._components:
                kind, name = key
                owner = self._components[key].plugin
                raise PluginError(f"{kind} {name!r} is registered by {owner} and by {plugin}")
        for key, c in other._components.items():
            self._components[key] = Component(**{**c.__dict__, "plugin": plugin})

    def all(self, kind: str) -> list[Component]:
        """Every component of a kind, by name."""
        return sorted((c for c in self._components.values() if c.kind == kind), key=lambda c: c.name)

    def get(self, kind: str, name: str) -> Component:
        """The component of that name.

        Raises:
            UnknownNameError: there is none; the message has the closest names.
        """
        found = self._components.get((kind, name))
        if found is None:
            import difflib  # only here: listings import this module, and a name is rarely wrong

            names = [c.name for c in self.all(kind)]
            close = difflib.get_close_matches(name, names, n=2)
            raise UnknownNameError(
                kind, name, close, f"the {kind}s are {', '.join(names) or 'none'}" if not close else ""
            )
        return found


def resolve(target: str) -> Any:
    """Imports ``"package.module:attribute"``.  Only ever called with a target that an installed plugin registered.

    Raises:
        PluginError: a dependency of the plugin is missing, or the attribute does not exist.
        WeightsError: ``target`` is not of that form.
    """
    module, _, attribute = target.partition(":")
    if not (module and attribute):
        raise WeightsError(f"{target!r} is not 'package.module:attribute'")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as err:
        raise PluginError(f"{target} needs the module {err.name!r}, which is not installed; pip install it") from err
    except (Exception, SystemExit) as err:  # a module of a plugin may raise anything
        reason = " ".join(str(err).split())
        raise PluginError(f"{target} cannot be imported: {type(err).__name__}: {reason}") from err
