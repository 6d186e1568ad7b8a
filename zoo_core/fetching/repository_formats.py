"""Repositories and folders that another library laid out, by what plugins registered for them.  Imports no torch.

A snapshot of the zoo has a ``config.json`` that names its weights.  Where it has none, each registered layout of which
a *marker* is there is asked for a registry table; the bytes of the weights are hashed then, and are the same when they
are loaded.
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
"""Bytes of a ``config.json``: more is not read."""


@dataclass(frozen=True)
class Repository:
    """A commit on the Hub or a folder, whose files are fetched as they are asked for.

    Attributes:
        fetch: gives the local path of a file of it, or raises ``WeightsError`` where there is none.
        offline: whether what is not in the cache is not there.
    """

    fetch: Callable[[str], Path]
    offline: bool = False

    def find(self, file: str) -> Path | None:
        """Gives the local path of a file; ``None`` where it is not there, nor (with no network) in the cache.

        Raises:
            ChecksumError: its bytes are not those that the Hub spoke of.
            NetworkError: the Hub was needed and cannot be used.
        """
        try:
            return self.fetch(file)
        except ChecksumError:
            raise
        except (WeightsError, ValueError):  # not there, or no name that a file can have
            return None
        except NetworkError:
            if not self.offline:
                raise
            return None


def entry(
    fetch: Callable[[str], Path], name: str, origin: FromHub | FromFolder, *, offline: bool = False
) -> Entry | None:
    """The entry of a foreign repository; ``None`` where it is one of the zoo, or no layout knows it.

    Args:
        fetch: gives the local path of a file of the repository, or raises ``WeightsError`` where there is none.
        name: what the entry is called.
        origin: the commit or the folder that it is.
        offline: what is not in the cache is not there.

    Raises:
        WeightsError: a layout knows it and says why it cannot be loaded.
        ChecksumError: the weights are not those that the Hub spoke of.
    """
    known, repository = plugins.load().catalogue.all("layout"), Repository(fetch, offline)
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
        return True  # the reader of snapshots says what is wrong with it


def _weights(path: Path, file: str, origin: FromHub | FromFolder) -> Weights:
    """Which bytes they are; what the Hub names by its SHA-256 is compared with it."""
    size = path.stat().st_size
    sha256 = reading.read(path, size)[1]
    blob = Path(os.readlink(path)).name if path.is_symlink() else ""
    if re.fullmatch(r"[0-9a-f]{64}", blob) and blob != sha256:
        fetching.delete(path)
        raise ChecksumError(f"{path} has the SHA-256 {sha256}, the Hub said {blob}; it was deleted, try again")
    weights = Weights(file, sha256, size)
    return replace(weights, repo_id=origin.repo_id, revision=origin.commit) if isinstance(origin, FromHub) else weights
