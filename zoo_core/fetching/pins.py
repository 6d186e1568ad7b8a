"""Pins what a source had when it was first loaded: the commit, and size and SHA-256 of every file of weights.

A registry entry with a ``source`` names a repository without hashes.  The first load trusts what the Hub sends, within
the limits for any repository of a stranger, and writes it down; every later load, on this machine and by this user, is
held to that.  Pins are small JSON files in the user's config folder, not in the cache, so that emptying the cache
changes nothing.  To take a newer commit, delete the pin.  This module imports no torch.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

from zoo_core.errors import ChecksumError, WeightsError
from zoo_core.registry.entry import Entry, Weights

__all__ = ["file_of", "keep", "read", "with_pin"]

_LARGEST = 1_000_000


def file_of(source: str) -> Path:
    """Returns the path of a source's pin; the file need not exist."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return home / "zoo" / "pins" / f"{source.removeprefix('hf:').replace('/', '--')}.json"


def read(source: str) -> Weights | None:
    """Returns the pinned weights of a source; ``None`` if it is not pinned.

    Args:
        source: ``hf:org/name`` or ``hf:org/name@commit``, as a registry has it.

    Raises:
        WeightsError: the pin is damaged.
    """
    path, repo_id = file_of(source), source.removeprefix("hf:").partition("@")[0]
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        data = json.loads(path.read_text(encoding="utf-8"))
        revision = data["revision"]
        files = [Weights(one["file"], one["sha256"], one["size"]) for one in data["files"]]
        if not re.fullmatch(r"[0-9a-f]{40}", revision) or not all(map(_is_whole, files)):
            raise ValueError("it has something else")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as err:
        raise WeightsError(f"{path} is no pin ({' '.join(str(err).split())[:80]}); delete it to pin anew") from err
    first, *more = [replace(one, repo_id=repo_id, revision=revision) for one in files]
    return replace(first, more=tuple(more))


def _is_whole(one: Weights) -> bool:
    digits = isinstance(one.sha256, str) and re.fullmatch(r"[0-9a-f]{64}", one.sha256)
    return bool(digits) and isinstance(one.file, str) and type(one.size) is int


def keep(source: str, weights: Weights) -> None:
    """Pins weights, or compares them with those that are pinned.

    Args:
        source: source as a registry has it.
        weights: weights with their commit, as the repository has them now.

    Raises:
        ChecksumError: others are pinned.
        WeightsError: the pin is damaged, or cannot be written.
    """
    path = file_of(source)
    rows = [{"file": one.file, "sha256": one.sha256, "size": one.size} for one in weights.files]
    content = json.dumps({"revision": weights.revision, "files": rows}, indent=2) + "\n"
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            beside.write_text(content, encoding="utf-8")
            try:
                os.link(beside, path)  # which fails if another process has pinned meanwhile
            finally:
                beside.unlink(missing_ok=True)
    except FileExistsError:
        pass
    except OSError as err:
        commit = f"hf:{weights.repo_id}@{weights.revision}"
        raise WeightsError(
            f"cannot pin {source} in {path}: {err.strerror or err}; make it writable, or name the commit: {commit}"
        ) from err
    pinned = read(source)
    if pinned != weights:
        raise ChecksumError(
            f"{source} has other weights than {path} has pinned; do not use them, or delete that file to pin anew"
        )


def with_pin(entry: Entry) -> Entry:
    """Returns an entry of a source with its pinned weights, if there are any, and any other entry as it is."""
    if not entry.source:
        return entry
    pinned = read(entry.source)
    return entry if pinned is None else replace(entry, weights=pinned)
