"""One model of the registry, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Entry", "Evaluation", "SamplerChoice", "Weights"]


@dataclass(frozen=True)
class Weights:
    """Which bytes, and where they are.

    Attributes:
        file: the file's name in the snapshot folder (the plugin's ``weights/<id>/``, or the Hub repository).
        sha256: 64 hex digits of the file.
        size: its bytes.
        bundled: whether the plugin's package carries the snapshot.
        repo_id: ``org/name`` on the Hub; empty where it is not published.
        revision: the commit, 40 hex digits; required with ``repo_id``.
    """

    file: str
    sha256: str
    size: int
    bundled: bool = False
    repo_id: str = ""
    revision: str = ""


@dataclass(frozen=True)
class Evaluation:
    """A measured number, and the command that measures it again."""

    metric: str
    value: float
    stderr: float
    n: int
    dataset: str
    seed: int
    command: str
    unit: str = ""
    protocol: str = ""
    anchors: Mapping[str, float] = field(default_factory=dict)

    def text(self) -> str:
        """The value with as many digits as its standard error, which has two: ``−2.899 ± 0.010 nats``."""
        digits = max(0, 1 - math.floor(math.log10(self.stderr))) if self.stderr > 0 else 4
        return f"{self.value:.{digits}f} ± {self.stderr:.{digits}f} {self.unit}".rstrip()


@dataclass(frozen=True)
class SamplerChoice:
    """The sampler that a model is drawn with unless the user says otherwise."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A model.

    Attributes:
        id: ``family-dataset[-variant]``.
        family: the family, as its plugin registered it.
        plugin: the distribution that provides it, for the hint ``pip install``.
        factory: ``"package.module:Class"``; must be the one that the plugin registered for the family.
        config: the factory's keyword arguments.
        summary: one line.
        dataset: what it was trained on.
        license: of the weights.
        paper: ``arXiv:…`` or ``doi:…``.
        tags: words to find it by.
        parameters: how many numbers were learned.
        sampler: the default sampler and its options.
        recipe: how the weights were made.
        weights: ``None`` for a model that has none.
        evaluations: the measured numbers.
        facts: what listings must know of the built model to say what fits it, see :mod:`zoo_core.fitting`.
        source: the file that this entry was read from.
    """

    id: str
    family: str
    plugin: str
    factory: str
    config: Mapping[str, Any]
    summary: str
    dataset: str = ""
    license: str = ""
    paper: str = ""
    tags: tuple[str, ...] = ()
    parameters: int = 0
    sampler: SamplerChoice | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    weights: Weights | None = None
    evaluations: tuple[Evaluation, ...] = ()
    facts: tuple[str, ...] = ()
    source: str = ""

    def table(self) -> dict[str, Any]:
        """All that it says, in the shape of a registry table (with ``schema`` and ``id``), without what is empty."""
        values = asdict(self)
        kept = ("family", "plugin", "factory", "config", "summary", "dataset", "license", "paper")
        table: dict[str, Any] = {"schema": 1, "id": self.id, **{key: values[key] for key in kept}}
        table |= {
            "tags": list(self.tags),
            "facts": list(self.facts),
            "parameters": self.parameters,
            "recipe": values["recipe"],
        }
        if self.sampler:
            table["sampler"] = {"name": self.sampler.name, **self.sampler.options}
        if self.weights:
            table["weights"] = {"file": self.weights.file, "sha256": self.weights.sha256, "size": self.weights.size}
        table["eval"] = [{k: v for k, v in asdict(row).items() if v not in ("", {})} for row in self.evaluations]
        return {key: value for key, value in table.items() if value not in ("", [], {})}
