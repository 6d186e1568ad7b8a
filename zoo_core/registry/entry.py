"""One model of the registry, as data."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from zoo_core.registry.spellings import in_one_spelling

__all__ = ["Entry", "Evaluation", "FromFolder", "FromHub", "FromRegistry", "Origin", "SamplerChoice", "Weights"]


@dataclass(frozen=True)
class Weights:
    """Which bytes, and where they are.

    Another library may have spread the tensors over several files: these are the first, and ``more`` are the others.

    Attributes:
        file: the file's name in the snapshot folder (the plugin's ``weights/<id>/``, or the Hub repository).
        sha256: 64 hex digits of the file.
        size: its bytes.
        bundled: whether the plugin's package carries the snapshot.
        repo_id: ``org/name`` on the Hub; empty where it is not published.
        revision: the commit, 40 hex digits; required with ``repo_id``.
        more: the other files, in order, each with its own hash; empty for a model of the zoo.
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
        """Each file on its own, this one first."""
        return (replace(self, more=()), *self.more)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A measured number, with the settings that measure it again.

    Attributes:
        metric: registered name of the metric.
        value: the number.
        stderr: its standard error.
        unit: ``nats``, ``bits/dim`` …
        n: number of examples or samples that were looked at.
        dataset: what it was measured against, ``name/split``.
        sampler: registered name of what drew the samples; empty for the model's default.
        steps: its solver steps, where they were asked for.
        nfe: its network evaluations, where they were asked for in place of steps.
        options: its other options, where they were asked for.
        seed: seed of the samples, the order, the dequantisation and the noise.
        protocol: what else one must know.
        anchors: numbers measured the same way that give it a meaning.
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
        """The value with as many digits as its standard error, which has two: ``−2.899 ± 0.010 nats``."""
        digits = max(0, 1 - math.floor(math.log10(self.stderr))) if self.stderr > 0 else 4
        return f"{self.value:.{digits}f} ± {self.stderr:.{digits}f} {self.unit}".rstrip()

    def table(self) -> dict[str, Any]:
        """All that it says, in the shape and order of a registry table, without what is empty."""
        return {key: value for key, value in asdict(self).items() if value not in ("", None, {})}

    def command(self, name: str) -> str:
        """Writes the command line that measures it again.

        Args:
            name: what to call the model: an id, ``hf:org/repo`` or a folder.
        """
        words = ["zoo", "eval", name, "--metric", self.metric, "-n", str(self.n)]
        for flag, value in (("--sampler", self.sampler), ("--steps", self.steps), ("--nfe", self.nfe)):
            words += [flag, str(value)] if value else []
        for key, value in self.options.items():
            words += ["--set", f"{key}={_typed(value)}"]
        return shlex.join([*words, "--seed", str(self.seed)])


def _typed(value: Any) -> str:
    """A value as it is typed after ``--set KEY=``: JSON, or a word that is no JSON."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value)


@dataclass(frozen=True)
class SamplerChoice:
    """The sampler that a model is drawn with unless the user says otherwise."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FromRegistry:
    """A registry file: the core's, an installed plugin's or the user's own.  Whoever installed it vouches for it."""

    file: Path
    vouched_for: ClassVar[bool] = True

    def words(self) -> str:
        """Names the file."""
        return str(self.file)


@dataclass(frozen=True)
class FromHub:
    """A commit of a repository on the Hub, which anybody may have written."""

    repo_id: str
    commit: str
    vouched_for: ClassVar[bool] = False

    def words(self) -> str:
        """Names the commit, as ``zoo load`` takes it."""
        return f"hf:{self.repo_id}@{self.commit}"


@dataclass(frozen=True)
class FromFolder:
    """A folder on this machine, which may have come from anywhere; its weights are in it."""

    path: Path
    vouched_for: ClassVar[bool] = False

    def words(self) -> str:
        """Names the folder."""
        return str(self.path)


Origin: TypeAlias = FromRegistry | FromHub | FromFolder
"""Where an entry came from, and with it whether its config is built without a rehearsal."""


@dataclass(frozen=True)
class Entry:
    """A model.

    Attributes:
        id: ``family-dataset[-variant]``.
        family: the family, as its plugin registered it.
        plugin: distribution that provides the family, for the hint ``pip install``; empty where nobody says.
        config: keyword arguments of the class that the family's plugin registered.
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
        facts: what listings must know of the built model to say what fits it, see :mod:`zoo_core.lookup.compatibility`.
        origin: where the entry came from; ``None`` for one that a program made, which vouches for it.
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
    origin: Origin | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipe", in_one_spelling(self.recipe))

    @property
    def vouched_for(self) -> bool:
        """Whether somebody who installed software here vouches for the config."""
        return self.origin is None or self.origin.vouched_for

    def table(self) -> dict[str, Any]:
        """All that it says, in the shape of a registry table (with ``schema`` and ``id``), without what is empty."""
        values = asdict(replace(self, origin=None, evaluations=()))
        kept = ("family", "plugin", "config", "summary", "dataset", "license", "paper")
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
