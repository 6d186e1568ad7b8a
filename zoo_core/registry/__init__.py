"""Reads the registry: the models of the zoo, of installed plugins and of the user.

Nothing here imports torch or a plugin.  The files are read in this order, and each adds to those before it:

1. the zoo's own ``registry.toml``, whose ids are reserved: no plugin can replace ``ddpm-mnist``;
2. the ``registry.toml`` in the package of every installed plugin, which is found without importing the package;
3. the user's registry, ``~/.config/zoo/registry.toml`` and then ``$ZOO_REGISTRY``, which may replace an entry.

If two plugins have an entry of one id, the id alone is an :class:`AmbiguousNameError` that names both plugins; each
entry can be reached as ``distribution:id``.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from zoo_core.errors import AmbiguousNameError, RegistryError, UnknownNameError
from zoo_core.installed import registry_files
from zoo_core.registry import schema
from zoo_core.registry.entry import Entry, Evaluation, FromRegistry, Origin, SamplerChoice, Weights

LARGEST = 20_000_000
"""Size of the largest registry file that is read, in bytes."""

__all__ = ["Registry", "RegistryFile", "central_file", "load", "natural_key", "read"]


def central_file() -> Path:
    """Returns the path of the zoo's own registry: next to the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent.parent
    checkout = package.parent / "registry.toml"
    return checkout if (package.parent / "pyproject.toml").exists() and checkout.exists() else package / "registry.toml"


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Returns a key that sorts names by the numbers in them: ``glow-2`` before ``glow-10``."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part]


@dataclass(frozen=True)
class RegistryFile:
    """The content of one registry file.

    Attributes:
        entries: models, in the order of the file.
        deprecated: new ids by the old ones.
        families: distributions by the families that they provide; only the zoo's own file has any.
        first_party: distributions whose entry points no other distribution may claim: those of ``families``, and others
            that the file names.
        warnings: messages about keys that this version does not know, one line each.
    """

    entries: list[Entry]
    deprecated: dict[str, str]
    families: dict[str, str]
    first_party: frozenset[str]
    warnings: list[str]


def read(path: Path, *, distribution: str = "", families: Mapping[str, str] | None = None) -> RegistryFile:
    """Reads one registry file.

    Args:
        path: TOML file of schema 1.
        distribution: distribution of the plugin that the file belongs to; empty for the zoo's own file and the user's.
        families: distributions by the families that they provide, for families that the file itself does not list.

    Raises:
        RegistryError: the file has mistakes; the error lists them all.
    """
    name = path.name if not distribution else f"{distribution}/{path.name}"
    try:
        data = tomllib.loads(_text(path))
    except (
        OSError,
        ValueError,
        RecursionError,
    ) as err:  # ValueError: not UTF-8, not TOML, or an integer of thousands of digits
        reason = " ".join(str(err).split())[:300]
        shown = name if name.isprintable() else repr(name)
        raise RegistryError([f"{shown[:80]}: cannot be read: {reason}"]) from err
    found = schema.problems(data, name, fragment=bool(distribution))
    if found:
        raise RegistryError(found)
    owner = data.get("plugin", {}).get("distribution", "")
    if distribution and owner != distribution:
        raise RegistryError(
            [f"{name}: plugin.distribution: {owner!r} is not the distribution that ships it, {distribution!r}"]
        )
    origin = FromRegistry(path)
    own = {} if distribution else data.get("families", {})
    providers = {**(families or {}), **own}
    entries = [
        entry_from(key, {"plugin": distribution or providers.get(table["family"], ""), **table}, origin)
        for key, table in data.get("models", {}).items()
    ]
    first_party = frozenset(() if distribution else (*own.values(), *data.get("first_party", ())))
    return RegistryFile(entries, data.get("deprecated", {}), own, first_party, schema.unknown_keys(data, name))


def _text(path: Path) -> str:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    if status.st_size > LARGEST:
        raise ValueError(f"it is larger than {LARGEST:,} bytes")
    return path.read_text(encoding="utf-8")


def entry_from(name: str, table: Mapping[str, Any], origin: Origin) -> Entry:
    """Makes an entry from a table that has been checked.

    Args:
        name: id of the entry.
        table: table of the model, without mistakes.
        origin: where the table came from.
    """
    plain = {"plugin": table.get("plugin", ""), "config": table.get("config", {})}
    plain |= {k: table[k] for k in ("family", "summary")}
    optional = {k: table[k] for k in ("source", "dataset", "license", "paper", "parameters", "recipe") if k in table}
    sampler = dict(table.get("sampler", {}))
    weights = {k: v for k, v in table.get("weights", {}).items() if k in schema.WEIGHTS}
    rows = [{k: v for k, v in row.items() if k in schema.EVAL} for row in table.get("eval", [])]
    return Entry(
        id=name,
        **plain,
        **optional,
        tags=tuple(table.get("tags", ())),
        facts=tuple(table.get("facts", ())),
        sampler=SamplerChoice(sampler.pop("name"), sampler) if sampler else None,
        weights=Weights(**weights) if weights else None,
        evaluations=tuple(Evaluation(**row) for row in rows),
        origin=origin,
    )


@dataclass
class Registry:
    """The entries of all registry files.

    Attributes:
        entries: entries by id.
        links: entries by id that are a repository's, of which only its name and a summary are known until it is loaded.
        clashes: entries of different plugins that have one id, by that id.
        deprecated: new ids by the old ones.
        first_party: distributions of the zoo itself; if another distribution claims the entry point of one of them, the
            zoo's is loaded.
        problems: messages about files that could not be read and entries that were left out, one line each; listings
            show them as warnings.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    links: dict[str, Entry] = field(default_factory=dict)
    clashes: dict[str, list[Entry]] = field(default_factory=dict)
    deprecated: dict[str, str] = field(default_factory=dict)
    first_party: frozenset[str] = frozenset()
    problems: list[str] = field(default_factory=list)

    def get(self, name: str) -> Entry:
        """Returns the entry of an id, or of ``distribution:id``.

        Raises:
            AmbiguousNameError: two plugins have an entry of this id.
            UnknownNameError: no entry has this id; the message has the closest ids.
        """
        distribution, _, bare = name.rpartition(":")
        if distribution:
            known = self.entries | self.links
            for candidate in self.clashes.get(bare, [known[bare]] if bare in known else []):
                if candidate.plugin == distribution:
                    return candidate
        if name in self.deprecated:
            name = self.deprecated[name]
        if name in self.clashes:
            ways = " or ".join(f"{e.plugin}:{name}" for e in self.clashes[name])
            raise AmbiguousNameError(f"two plugins provide {name!r}; use {ways}, or uninstall one of them")
        known = self.entries | self.links
        if name not in known:
            import difflib

            close = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
            raise UnknownNameError("model", name, close, "zoo list shows them all")
        return known[name]

    def find(self, patterns: Iterable[str] = (), *, links: bool = False, **wanted: str | None) -> list[Entry]:
        """Lists the entries whose id matches any of the patterns, sorted by :func:`natural_key`.

        Args:
            patterns: shell patterns such as ``ddpm-*``; a plain word matches a part of the id.  Without patterns all
                entries match.
            links: whether :attr:`links` are listed, too.
            wanted: values of ``family``, ``dataset``, ``plugin`` and ``tag`` that the entries must have; ``None`` for
                any value.
        """
        tag = wanted.pop("tag", None)
        exact = {k: v for k, v in wanted.items() if v is not None}
        globs = [p if any(c in p for c in "*?[") else f"*{p}*" for p in patterns]
        return sorted(
            (
                e
                for e in (self.entries | (self.links if links else {})).values()
                if (not globs or any(fnmatch.fnmatchcase(e.id, g) for g in globs))
                and all(getattr(e, k) == v for k, v in exact.items())
                and (tag is None or tag in e.tags)
            ),
            key=lambda e: natural_key(e.id),
        )


@cache
def load() -> Registry:
    """Reads all registry files, once per process.

    Raises:
        RegistryError: the zoo's own file has mistakes.  Other files with mistakes are left out, with a message in
            :attr:`Registry.problems`.
    """
    registry = Registry()
    central = read(central_file())
    registry.deprecated, registry.first_party = dict(central.deprecated), central.first_party
    registry.problems += central.warnings
    registry.entries = {e.id: e for e in central.entries}
    reserved = set(registry.entries)
    for distribution, path in registry_files():
        try:
            found = read(path, distribution=distribution)
        except RegistryError as err:
            registry.problems += err.problems
            continue
        registry.problems += found.warnings
        registry.deprecated |= {k: v for k, v in found.deprecated.items() if k not in reserved}
        for e in found.entries:
            if e.id in reserved:
                registry.problems.append(f"{distribution}: models.{e.id}: this id is reserved by the zoo; left out")
            elif e.id in registry.clashes:
                registry.clashes[e.id].append(e)
            elif e.id in registry.entries:
                registry.clashes[e.id] = [registry.entries.pop(e.id), e]
            else:
                registry.entries[e.id] = e
    for name, claims in registry.clashes.items():
        who = " and ".join(e.plugin for e in claims)
        registry.problems.append(f"model {name!r} is provided by {who}; neither is loaded by that name")
    for path in overlays():
        try:
            found = read(path, families=central.families)
        except RegistryError as err:
            registry.problems += err.problems
            continue
        registry.problems += found.warnings
        registry.deprecated |= found.deprecated
        registry.entries |= {e.id: e for e in found.entries}
    registry.links = {name: e for name, e in registry.entries.items() if e.source}
    registry.entries = {name: e for name, e in registry.entries.items() if not e.source}
    return registry


def overlays() -> list[Path]:
    """Lists the files of the user's registry: the one in the config folder if it exists, and ``$ZOO_REGISTRY``."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "zoo" / "registry.toml"
    named = os.environ.get("ZOO_REGISTRY")
    return [p for p in [home] if p.exists()] + ([Path(named)] if named else [])
