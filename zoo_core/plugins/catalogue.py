"""Keeps what plugins register: names, summaries, and where the code is.

No code is imported to register or to list a component; :func:`resolve` imports it when it is needed.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from zoo_core.errors import PluginError, UnknownNameError, WeightsError

__all__ = ["KINDS", "Catalogue", "Component", "resolve"]

KINDS = ("family", "sampler", "objective", "metric", "dataset", "exporter", "plot", "layout")
"""Kinds of components that plugins can register."""


@dataclass(frozen=True)
class Component:
    """A component that a plugin offers.

    Attributes:
        kind: kind of the component, one of :data:`KINDS`.
        name: name that users type.
        target: place of the code, ``"package.module:attribute"``.
        summary: description in one line.
        needs: capabilities that a model must have to be used with the component.
        requires: facts that must be true of a model (:mod:`zoo_core.lookup.compatibility`), such as ``"points|image"``
            or ``"!coupled"``.
        families: families that the component is for; empty if it is for all families with the capabilities.
        capabilities: capabilities of the family's models, if the component is a family.
        inner: capabilities of the model inside, if the component is a family of compositions.
        markers: marker files of a repository format, one of which must exist in a repository.
        plugin: distribution that registered the component.
    """

    kind: str
    name: str
    target: str
    summary: str
    needs: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    plugin: str = ""

    def misfit(self, family: Component) -> str | None:
        """Says why the component does not fit models of a family; ``None`` if it fits."""
        missing = [c for c in self.needs if c not in family.offers(self.kind)]
        if missing:
            return f"needs {' and '.join(missing)}; {family.name} has {', '.join(family.capabilities) or 'none'}"
        if self.families and family.name not in self.families:
            return f"is for {', '.join(self.families)} only"
        return None

    def offers(self, kind: str) -> tuple[str, ...]:
        """Lists what models of this family can do for a kind of component: samplers also draw from a model inside."""
        return (*self.capabilities, *self.inner) if kind == "sampler" else self.capabilities


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
    """The components that the plugins' ``zoo_register`` hooks register."""

    def __init__(self) -> None:
        self._components: dict[tuple[str, str], Component] = {}

    def family(
        self, name: str, model: str, summary: str, *, capabilities: Iterable[str], inner: Iterable[str] = ()
    ) -> None:
        """Registers a family of models.

        Args:
            name: name of the family, which its registry entries give.
            model: place of the class, a :class:`~zoo_core.interfaces.Model`, ``"package.module:Class"``.
            summary: description in one line.
            capabilities: names of the capabilities that the class inherits from.
            inner: capabilities of the model inside, for a :class:`~zoo_core.interfaces.Composition`.
        """
        self._add(Component("family", name, model, summary, capabilities=tuple(capabilities), inner=tuple(inner)))

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
        """Registers a :class:`~zoo_core.interfaces.sampler.Sampler` class with the ``name`` and ``needs`` of the class.

        Args:
            name: name that users type.
            target: place of the class, ``"package.module:Class"``.
            summary: description in one line.
            needs: capabilities that a model must have.
            families: families that the sampler is for; all families with the capabilities unless given.
            requires: facts about the model, such as ``"!coupled"`` for a sampler that adds noise.
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
        """Registers the class of a gradient or statistics objective."""
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
        """Registers a data set; ``target`` is a function ``(split, n=…) -> DataSet``, which may ignore ``n``."""
        self._add(Component("dataset", name, target, summary))

    def exporter(self, name: str, target: str, summary: str, *, families: Iterable[str]) -> None:
        """Registers an export format; ``target`` is a function ``(model, config, folder) -> None``."""
        self._add(Component("exporter", name, target, summary, families=tuple(families)))

    def layout(self, name: str, target: str, summary: str, *, marker: str | Iterable[str]) -> None:
        """Registers another library's repository format, so that ``zoo load hf:org/repo`` can read it.

        Args:
            name: name of the format.
            target: place of a function that takes a :class:`~zoo_core.fetching.repository_formats.Repository` and
                returns the table of a registry entry: ``family``, ``plugin``, ``config``, ``summary``, ``sampler`` and
                ``weights.files``, a list of one or more files, which may be in a subfolder.  It raises ``WeightsError``
                with the reason if the family cannot express the repository's model.
            summary: description in one line.
            marker: marker file of such a repository; or several, one of which each repository has.
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
        """Registers a plot; ``target`` is a function ``(model, figure, seed) -> None`` (see :mod:`zoo_core.plots`)."""
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
        """Adds the components of another catalogue, or none of them if a name is taken.

        Args:
            other: catalogue with the components of one plugin.
            plugin: distribution of the plugin.

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
        """Lists the components of a kind, sorted by name."""
        return sorted((c for c in self._components.values() if c.kind == kind), key=lambda c: c.name)

    def get(self, kind: str, name: str) -> Component:
        """Returns the component of a kind and name.

        Raises:
            UnknownNameError: there is no such component; the message has the closest names.
        """
        found = self._components.get((kind, name))
        if found is None:
            import difflib  # imported here because listings import this module and names are rarely wrong

            names = [c.name for c in self.all(kind)]
            close = difflib.get_close_matches(name, names, n=2)
            raise UnknownNameError(
                kind, name, close, f"the {kind}s are {', '.join(names) or 'none'}" if not close else ""
            )
        return found


def resolve(target: str) -> Any:
    """Imports a target that an installed plugin registered, ``"package.module:attribute"``.

    Raises:
        PluginError: the module cannot be imported, or has no such attribute.
        WeightsError: the target has another form.
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
