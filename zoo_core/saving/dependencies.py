"""Hashes what the options of a sampler name: files on this machine, and other models.

Sampling that starts from a picture, or follows a classifier, depends on them as it does on the model's own weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo_core import registry
from zoo_core.errors import ChecksumError, DataError, WeightsError
from zoo_core.fetching.references import entry_of
from zoo_core.files.formats import FORMATS, PICTURES
from zoo_core.files.notes import file_sha256
from zoo_core.registry.entry import FromHub

__all__ = ["check_unchanged", "pinned", "used"]


def pinned(values: Any, *, offline: bool | None = None) -> Any:
    """Returns JSON values in which every reference to a model on the Hub has its commit."""
    if isinstance(values, str) and values.startswith("hf:"):
        origin = entry_of(values, offline=offline).origin
        return origin.words() if isinstance(origin, FromHub) else values
    if isinstance(values, Mapping):
        return {key: pinned(value, offline=offline) for key, value in values.items()}
    return [pinned(value, offline=offline) for value in values] if isinstance(values, (list, tuple)) else values


def used(options: Any, *, offline: bool | None = None) -> dict[str, str]:
    """Returns the SHA-256 hash of each file and of each other model's weights that options name, by the name.

    Args:
        options: options of a sampler and values of a condition, which are JSON values.
        offline: whether network requests are forbidden, which matters for models on the Hub.

    Raises:
        ZooError: a model that is named cannot be found.
    """
    return {text: _hash(text, offline) for text in sorted(set(_names(options)))}


def check_unchanged(options: Any, hashes: Mapping[str, str], made: str, *, offline: bool | None = None) -> None:
    """Refuses options, which a stranger may have written, that name other files and models than they did.

    Nothing but the hash of a file is read before it is known to be the same file.

    Args:
        options: options of a sampler and values of a condition, which are JSON values.
        hashes: what :func:`used` returned at the time.
        made: name of the file that was made with them, for messages.
        offline: whether network requests are forbidden.

    Raises:
        ChecksumError: a file or a model is another than it was, or nothing says which one it was.
        DataError: a file is missing.
    """
    for name in sorted({*_names(options), *_of(options, hashes)}):
        if name not in hashes:
            raise ChecksumError(f"{made} names {name!r}, and does not say with which SHA-256; refused")
        if name.startswith("hf:") and not _is_pinned(name):
            raise ChecksumError(f"{made} names {name!r}, without the commit; refused")
        try:
            found = _hash(name, offline)
        except OSError as err:
            raise DataError(f"{made} was made from {name!r}, which is not here; put it there again") from err
        if found != hashes[name]:
            raise ChecksumError(
                f"{made} was made from {name!r} with SHA-256 {hashes[name][:16]}…; what is there now has {found[:16]}…"
            )


def _names(values: Any) -> Iterator[str]:
    """Yields the strings within JSON values that name a file here, or a model."""
    for text in _strings(values):
        if _is_model(text) or _is_file(text):
            yield text


def _of(values: Any, hashes: Mapping[str, str]) -> Iterator[str]:
    """Yields the strings within JSON values that have a hash."""
    yield from (text for text in _strings(values) if text in hashes)


def _strings(values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _strings(value)
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _strings(value)


def _is_file(text: str) -> bool:
    """Says whether a string is the path of a file that samples can be read from, or looks like a path of any file."""
    try:
        path = Path(text).expanduser()
        known = path.suffix.lower() in (*PICTURES, *FORMATS) or text.startswith(("./", "../", "/", "~"))
        return known and path.is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def _is_model(text: str) -> bool:
    if text.startswith(("hf:", "local-dir:")) or text in registry.load().entries:
        return True
    return text.startswith(("./", "../", "/", "~")) and not _is_file(text)


def _is_pinned(reference: str) -> bool:
    commit = reference.partition("@")[2]
    return len(commit) == 40 and set(commit) <= set("0123456789abcdef")


def _hash(name: str, offline: bool | None) -> str:
    if _is_file(name):
        return file_sha256(Path(name).expanduser())
    if not _is_model(name):
        raise FileNotFoundError(name)
    weights = entry_of(name, offline=offline).weights
    if weights is None:
        raise WeightsError(f"{name} has no weights")
    every = [one.sha256 for one in weights.files]
    return every[0] if len(every) == 1 else hashlib.sha256("".join(every).encode()).hexdigest()
