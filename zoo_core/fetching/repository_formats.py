"""Reads repositories and folders in another library's format, with the formats that plugins register.

A snapshot of the zoo has a ``config.json`` that names its weights.  For a repository without one, the first registered
format whose *marker file* exists makes the registry table.  The weights are hashed at that time, and the bytes that are
loaded later must have the same hash.  This module imports no torch.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from zoo_core import fetching, plugins, registry
from zoo_core.errors import ChecksumError, NetworkError, WeightsError
from zoo_core.files import reading
from zoo_core.plugins.catalogue import resolve
from zoo_core.registry import schema
from zoo_core.registry.entry import Entry, FromFolder, FromHub, Weights

__all__ = ["Repository", "entry"]

CONFIG_LIMIT = 1_000_000
"""Size of the largest ``config.json`` that is read, in bytes."""


@dataclass(frozen=True)
class Repository:
    """A commit on the Hub, or a folder; its files are fetched when they are needed.

    Attributes:
        fetch: function that returns the local path of a file, and raises ``WeightsError`` if it does not exist.
        origin: commit or folder.
        offline: whether network requests are forbidden, so that only files in the cache exist.
        has: function that says whether a file exists, without fetching it; as :meth:`find` says unless given.
    """

    fetch: Callable[[str], Path]
    origin: FromHub | FromFolder
    offline: bool = False
    has: Callable[[str], bool] | None = None

    def exists(self, file: str) -> bool:
        """Says whether a file exists, without fetching it where that can be asked."""
        return self.has(file) if self.has is not None else self.find(file) is not None

    def find(self, file: str) -> Path | None:
        """Returns the local path of a file; ``None`` if it does not exist, or when offline is not in the cache.

        Raises:
            ChecksumError: the file's hash is not the one that the Hub gave.
            NetworkError: the Hub is needed and cannot be reached.
        """
        try:
            return self.fetch(file)
        except ChecksumError:
            raise
        except (WeightsError, ValueError):  # the file does not exist, or its name is impossible
            return None
        except NetworkError:
            if not self.offline:
                raise
            return None


def entry(repository: Repository, name: str) -> Entry | None:
    """Makes the entry of a repository in another library's format; ``None`` if it is the zoo's own or no format fits.

    Args:
        repository: commit or folder, with its files.
        name: id of the entry.

    Raises:
        WeightsError: a format fits, but cannot express the model; the message has the reason.
        ChecksumError: the hash of the weights is not the one that the Hub gave.
    """
    known, fetch, origin = plugins.load().catalogue.all("layout"), repository.fetch, repository.origin
    if not known or _is_ours(repository):
        return None
    for layout in known:
        marker = next((file for file in layout.markers if repository.find(file) is not None), None)
        if marker is None:
            continue
        table = dict(resolve(layout.target)(repository))
        files = table.pop("weights")["files"]
        found = schema.problems({"schema": schema.SCHEMA, "models": {"it": table}}, f"{name}/{marker}")
        if found:
            raise WeightsError(found[0].replace("models.it.", ""))
        first, *more = [_weights(fetch(file), file, origin) for file in files]
        return replace(registry.entry_from(name, table, origin), weights=replace(first, more=tuple(more)))
    return None


def _is_ours(repository: Repository) -> bool:
    path = repository.find("config.json")
    if path is None:
        return False
    if path.stat().st_size > CONFIG_LIMIT:
        return True
    try:
        return "weights" in json.loads(path.read_bytes())
    except (ValueError, RecursionError, TypeError):
        return True  # `references._entry` reads it again and raises an error with the reason


def _weights(path: Path, file: str, origin: FromHub | FromFolder) -> Weights:
    """Hashes a file of weights, and compares the hash with the Hub's, which is the name of the file in the cache."""
    size = path.stat().st_size
    sha256 = reading.read(path, size)[1]
    blob = Path(os.readlink(path)).name if path.is_symlink() else ""
    if re.fullmatch(r"[0-9a-f]{64}", blob) and blob != sha256:
        fetching.delete(path)
        raise ChecksumError(f"{path} has the SHA-256 {sha256}, the Hub said {blob}; it was deleted, try again")
    weights = Weights(file, sha256, size)
    return replace(weights, repo_id=origin.repo_id, revision=origin.commit) if isinstance(origin, FromHub) else weights
