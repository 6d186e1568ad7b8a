"""Holds what the registry says about one model, as data."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from zoo_core.registry.spellings import in_one_spelling

__all__ = [
    "Entry",
    "Evaluation",
    "FromFolder",
    "FromHub",
    "FromRegistry",
    "Origin",
    "SamplerChoice",
    "Weights",
    "typed",
]


@dataclass(frozen=True)
class Weights:
    """The file of a model's weights, its hash, and where it is found.

    A model of the zoo has one file.  Another library may have split the tensors into several: then this is the first
    file, and ``more`` has the others.

    Attributes:
        file: name of the file in the snapshot folder (the plugin's ``weights/<id>/``, or the Hub repository).
        sha256: SHA-256 hash of the file, 64 hex digits.
        size: size of the file in bytes.
        bundled: whether the plugin's package contains the snapshot.
        repo_id: repository on the Hub, ``org/name``; empty if the model is not published.
        revision: commit of the repository, 40 hex digits; required with ``repo_id``.
        more: other files, in order, each with its own hash.
    """

    file: str
    sha256: str
    size: int
    bundled: bool = False
    repo_id: str = ""
    revision: str = ""
    more: tuple[Weights, ...] = ()

    @property
    def files(self) -> tuple[Weights, ...]:
        """Returns every file on its own, this one first."""
        return (replace(self, more=()), *self.more)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A measured number, with the settings that it was measured with.

    Attributes:
        metric: registered name of the metric.
        value: measured value.
        stderr: standard error of the value.
        unit: unit of the value, such as ``nats`` or ``bits/dim``.
        n: number of examples or samples that were measured.
        dataset: data set and split that the model was measured against, ``name/split``.
        sampler: registered name of the sampler that drew the samples; empty for the model's default.
        steps: solver steps of the sampler; ``None`` for its own number.
        nfe: network evaluations per sample, if they were given in place of steps.
        options: other options of the sampler that were given.
        seed: seed of the samples, the order of the examples, dequantisation and noise.
        protocol: other settings of the measurement, in words.
        anchors: baselines for the value, by name, measured with the same settings.
    """

    metric: str
    value: float
    stderr: float
    unit: str = ""
    n: int
    dataset: str
    sampler: str = ""
    steps: int | None = None
    nfe: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int
    protocol: str = ""
    anchors: Mapping[str, float] = field(default_factory=dict)

    def text(self) -> str:
        """Writes the value with as many digits as its standard error, which has two: ``−2.899 ± 0.010 nats``."""
        digits = max(0, 1 - math.floor(math.log10(self.stderr))) if self.stderr > 0 else 4
        return f"{self.value:.{digits}f} ± {self.stderr:.{digits}f} {self.unit}".rstrip()

    def table(self) -> dict[str, Any]:
        """Returns the row as a registry table, in the order of its keys and without empty values."""
        return {key: value for key, value in asdict(self).items() if value not in ("", None, {})}

    def command(self, name: str) -> str:
        """Writes the command line that measures the number again.

        Args:
            name: reference to the model: an id, ``hf:org/repo`` or a folder.
        """
        words = ["zoo", "eval", name, "--metric", self.metric, "-n", str(self.n)]
        for flag, value in (("--sampler", self.sampler), ("--steps", self.steps), ("--nfe", self.nfe)):
            words += [flag, str(value)] if value else []
        for key, value in self.options.items():
            words += ["--set", f"{key}={typed(value)}"]
        return shlex.join([*words, "--seed", str(self.seed)])


def typed(value: Any) -> str:
    """Writes a value as it is typed after ``--set KEY=``: as JSON, or as a plain string that is not valid JSON."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value)


@dataclass(frozen=True)
class SamplerChoice:
    """The default sampler of a model, with its options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FromRegistry:
    """A registry file: the core's, an installed plugin's or the user's.  It is trusted as installed software is."""

    file: Path
    vouched_for: ClassVar[bool] = True

    def words(self) -> str:
        """Returns the path of the file."""
        return str(self.file)


@dataclass(frozen=True)
class FromHub:
    """A commit of a repository on the Hub.  It is untrusted: anybody may have written it."""

    repo_id: str
    commit: str
    vouched_for: ClassVar[bool] = False

    def words(self) -> str:
        """Returns the reference to the commit that ``zoo load`` takes."""
        return f"hf:{self.repo_id}@{self.commit}"


@dataclass(frozen=True)
class FromFolder:
    """A folder on this machine, with the weights in it.  It is untrusted: it may have been downloaded."""

    path: Path
    vouched_for: ClassVar[bool] = False

    def words(self) -> str:
        """Returns the path of the folder."""
        return str(self.path)


Origin: TypeAlias = FromRegistry | FromHub | FromFolder
"""Where an entry came from.  If that is untrusted, a dry build checks the config before memory is allocated."""


@dataclass(frozen=True)
class Entry:
    """What the registry says about one model.

    Attributes:
        id: name of the model, ``family-dataset[-variant]``.
        family: name of the family, as its plugin registered it.
        plugin: distribution that provides the family, for the hint ``pip install``; empty if it is not known.
        config: keyword arguments of the class that the plugin registered for the family; empty with a source.
        summary: description of the model in one line.
        dataset: data set that the model was trained on.
        license: licence of the weights, as an SPDX identifier.
        paper: paper that describes the method, ``arXiv:…`` or ``doi:…``.
        tags: words that listings find the model by.
        parameters: number of learned parameters.
        sampler: default sampler with its options.
        recipe: settings of the training that made the weights, with the keys spelt as the zoo writes them.
        weights: file of the weights; ``None`` for a model that has none.
        evaluations: measured numbers.
        facts: facts about the built model from which listings tell what fits it (:mod:`zoo_core.lookup.compatibility`).
        source: repository that has config and weights, ``hf:org/name[@commit]``; empty for an entry that has its own.
        origin: where the entry came from; ``None`` for an entry that a program made, which is trusted.
    """

    id: str
    family: str
    plugin: str
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
    origin: Origin | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipe", in_one_spelling(self.recipe))

    @property
    def vouched_for(self) -> bool:
        """Whether the config is trusted: it was installed with software, or made by a program."""
        return self.origin is None or self.origin.vouched_for

    def for_others(self) -> Entry:
        """Returns the entry without the folder that the reader's own data lie in; their name and fingerprint stay."""
        data = dict(self.recipe.get("data", {}))
        where = str(data.get("path", ""))
        if not where or where.startswith("hf:"):
            return self
        return replace(self, recipe={**self.recipe, "data": {**data, "path": Path(where).name}})

    def table(self) -> dict[str, Any]:
        """Returns the entry as a registry table, with ``schema`` and ``id`` and without empty values."""
        values = asdict(replace(self, origin=None, evaluations=()))
        kept = ("family", "plugin", "config", "source", "summary", "dataset", "license", "paper")
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
            one, *more = [{"file": w.file, "sha256": w.sha256, "size": w.size} for w in self.weights.files]
            table["weights"] = one | ({"more": more} if more else {})
        table["eval"] = [row.table() for row in self.evaluations]
        return {key: value for key, value in table.items() if value not in ("", [], {})}
