"""How a file was made: all that it takes to make it again, as the text that files carry (:mod:`zoo_core.files.notes`).

The text is JSON, and equal commands on equal versions give equal text.  It names a model by its reference, and never
code; what is read from a file is untrusted (:func:`Provenance.of`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from zoo_core.errors import DataError, ZooError
from zoo_core.files.formats import PICTURES
from zoo_core.registry.entry import typed
from zoo_core.registry.keys import Key, table_problems, unreadable
from zoo_core.registry.schema import ID

__all__ = ["FROM_FILES", "KEYS", "VERBS", "Input", "Provenance", "version_of"]

FORMAT = 1
"""Version of the text; a zoo reads the texts of its own version and of earlier ones."""

_MOST = 1 << 60
"""Greatest index of a sample."""

_HASH = r"[0-9a-f]{64}"

VERBS = ("sample", "translate", "plot", "fill", "encode", "decode", "score")
"""The verbs whose files say how they were made."""

FROM_FILES = ("translate", "fill", "encode", "decode")
"""Those that make samples or codes from files."""

KEYS = {
    "zoo": Key(int, "version of this table, 1", True),
    "verb": Key(str, "verb that made the file", True, "|".join(VERBS), "a verb that writes files"),
    "model": Key(str, "reference to the model, as `zoo load` takes it; one on the Hub has its commit", True),
    "id": Key(str, "id of the model", True),
    "family": Key(str, "family of the model", True, ID, "a name like ddpm"),
    "weights": Key(list, "SHA-256 hash of each file of the weights", True),
    "config": Key(str, "SHA-256 hash of the model's config", False, _HASH, "64 hex digits"),
    "sampler": Key(str, "registered name of the sampler", False, ID, "a name like ddim"),
    "options": Key(dict, "options of the sampler, or of the scores, with those that were not given"),
    "condition": Key(dict, "condition, as it was given"),
    "guidance": Key(float, "strength of guidance"),
    "to": Key(str, "target domain of a translation"),
    "source": Key(str, "domain that a translation starts from"),
    "mask": Key(str, "part of every sample that was known, as it was given"),
    "length": Key(int, "length that samples were continued to"),
    "completions": Key(int, "number of completions of each sample"),
    "completion": Key(int, "number of the completion that the file has [all of them]"),
    "inputs": Key(
        list, "files that were translated, filled, encoded, decoded or scored: `file` and `sha256`", items=dict
    ),
    "plot": Key(str, "registered name of the plot", False, ID, "a name like score"),
    "seed": Key(str, "seed of the random numbers, in decimal digits", True, r"-?[0-9]{1,400}", "an integer"),
    "first": Key(int, "index of the first sample [0]"),
    "n": Key(int, "number of samples that were drawn together [1]"),
    "index": Key(int, "index of the one sample that the file has [all of them]"),
    "uses": Key(dict, "SHA-256 hashes of the files and of the other models that the options name"),
    "dtype": Key(str, "number format that the model was converted to [its own]"),
    "device": Key(str, "kind of device", False, "[a-z]+", "a word like cpu"),
    "shows": Key(
        str,
        "what the file shows [samples]",
        False,
        "samples|film|strip|plot|table",
        "samples, film, strip, plot or table",
    ),
    "format": Key(str, "suffix of the file [of several kinds]", False, r"\.[a-z0-9]{1,16}", "a suffix like .png"),
    "versions": Key(dict, "versions of the packages that took part", True),
}
"""The keys of the text."""


@dataclass(frozen=True)
class Input:
    """A file that another was made from, and its SHA-256 hash."""

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How a file was made; :data:`KEYS` describes the fields."""

    verb: Literal["sample", "translate", "plot", "fill", "encode", "decode", "score"]
    model: str
    id: str
    family: str
    weights: tuple[str, ...]
    config: str = ""
    sampler: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    condition: Mapping[str, Any] = field(default_factory=dict)
    guidance: float | None = None
    to: str = ""
    source: str | None = None
    mask: str | None = None
    length: int | None = None
    completions: int | None = None
    completion: int | None = None
    inputs: tuple[Input, ...] = ()
    plot: str = ""
    seed: int = 0
    first: int = 0
    n: int = 1
    index: int | None = None
    uses: Mapping[str, str] = field(default_factory=dict)
    dtype: str | None = None
    device: str = "cpu"
    shows: Literal["samples", "film", "strip", "plot", "table"] = "samples"
    format: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def table(self) -> dict[str, Any]:
        """Returns the fields as JSON values, in the order of :data:`KEYS` and without empty ones."""
        values = asdict(self) | {"zoo": FORMAT, "seed": str(self.seed)}
        values |= {"weights": list(self.weights), "inputs": [asdict(one) for one in self.inputs]}
        return {key: values[key] for key in KEYS if values[key] not in ("", None, {}, [])}

    def text(self) -> str:
        """Writes the text that files carry: JSON in ASCII, on one line."""
        return json.dumps(self.table(), separators=(",", ":"))

    def at(self, suffix: str, **changes: Any) -> Provenance:
        """Returns how a file of another suffix was made, or of other samples."""
        versions = dict(self.versions)
        if suffix.lower() in (*PICTURES, ".gif") and self.verb != "plot":
            versions.setdefault("pillow", version_of("pillow"))
        return replace(self, **{"format": suffix.lower(), "versions": versions, **changes})

    @property
    def samples(self) -> range:
        """The indices of the samples that the file has."""
        return range(self.first, self.first + self.n) if self.index is None else range(self.index, self.index + 1)

    @classmethod
    def of(cls, text: str, name: str) -> Provenance:
        """Reads the text that a file carries; a stranger may have written it.

        Args:
            text: text from :func:`zoo_core.files.notes.read_note`.
            name: name of the file in messages.

        Raises:
            DataError: the text is none of the zoo's, or has a value that cannot be.
            ZooError: a newer zoo wrote it.
        """

        def wrong(what: str) -> DataError:
            return DataError(f"what {name} says of how it was made is damaged: {what}; it cannot be made again")

        try:
            table = json.loads(text)
        except (ValueError, RecursionError) as err:
            raise wrong("it is no JSON") from err
        if not isinstance(table, dict) or not isinstance(table.get("zoo"), int):
            raise wrong("it is no table of the zoo")
        if table["zoo"] != FORMAT:
            raise ZooError(f"{name} was made by a newer zoo (format {table['zoo']}); upgrade zoo-core")
        if found := unreadable(table):
            raise wrong(": ".join(found))
        if found := next(table_problems(table, KEYS, ""), None):
            raise wrong(": ".join(found).removeprefix("."))
        known = {each.name for each in fields(cls)}
        values = {key: value for key, value in table.items() if key in known}
        try:
            inputs = tuple(Input(_line(one["file"]), _hash(one["sha256"])) for one in values.pop("inputs", ()))
            values |= {"weights": tuple(map(_hash, table["weights"])), "seed": int(table["seed"]), "inputs": inputs}
            values["uses"] = {_line(key): _hash(value) for key, value in table.get("uses", {}).items()}
            values["versions"] = {_line(key): _line(value) for key, value in table["versions"].items()}
        except (KeyError, TypeError, ValueError) as err:
            raise wrong(f"{type(err).__name__}: {' '.join(str(err).split())[:80]}") from err
        made = cls(**values)
        needed = {"sample": made.sampler, "translate": made.to and made.inputs, "plot": made.plot,
                  "fill": made.inputs and made.completions}  # fmt: skip
        if not needed.get(made.verb, made.inputs) or not made.weights:
            raise wrong(f"a key that {made.verb} needs is missing")
        if not 1 <= made.n <= _MOST or made.first > _MOST or (made.index is not None and made.index not in made.run):
            raise wrong(f"first = {made.first}, n = {made.n} and index = {made.index} are no run of samples")
        if made.completion is not None and not 0 <= made.completion < (made.completions or 0):
            raise wrong(f"completion = {made.completion} is none of {made.completions}")
        return made

    @property
    def run(self) -> range:
        """The indices of the samples that were drawn together."""
        return range(self.first, self.first + self.n)

    def command(self) -> str:
        """Writes the command line that makes the file, or for one of several samples the command that made them all."""
        words = ["zoo", self.verb, self.model, *(one.file for one in self.inputs)] + ([self.plot] if self.plot else [])
        given = {"--to": self.to, "--from": self.source, "--mask": self.mask, "--length": self.length}
        if self.verb in ("sample", "fill"):
            given["-n"] = self.n if self.verb == "sample" else self.completions
            given |= {"--first": self.first or None} if self.verb == "sample" else {}
            given["--sampler"] = self.sampler
        words += [str(word) for flag, value in given.items() if value not in ("", None) for word in (flag, value)]
        if self.verb == "score":
            for key, value in self.options.items():
                words += [f"-{key}" if len(key) == 1 else f"--{key.replace('_', '-')}", str(value)]
        settings = {} if self.verb == "score" else self.options
        for flag, table in (("--set", settings), ("--condition", self.condition)):
            for key, value in table.items():
                words += [flag, f"{key}={typed(value)}"]
        if self.verb == "sample" and self.condition and self.guidance is not None:
            words += ["--guidance", str(self.guidance)]
        words += ["--seed", str(self.seed)] if self.verb not in ("encode", "decode") else []
        words += ["--dtype", self.dtype] if self.dtype else []
        several = self.verb == "fill" and (len(self.inputs) > 1 or self.completions != 1)
        target = "x/" if several or (self.inputs and not self.format) else f"x{self.format}"
        return shlex.join([*words, "--trajectory" if self.shows in ("film", "strip") else "--out", target])


def version_of(distribution: str) -> str:
    """Returns the version of an installed package; ``unknown`` where there is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _hash(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise ValueError(f"{str(value)[:70]!r} is no SHA-256 hash")
    return value


def _line(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 1000 or not value.isprintable():
        raise ValueError(f"{str(value)[:70]!r} is no line of text")
    return value
