"""From a registry entry to verified bytes: bundled snapshot → Hub cache → Hub.  Imports no torch.

Whatever the source, the bytes are read once, their SHA-256 is compared with the registry, and those same bytes are
returned: nothing can change between the check and the use.  Revisions are commits, so weights in the cache need no
request.  ``huggingface_hub`` does the transfers (:mod:`zoo_core.connection`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from zoo_core import bundled, connection
from zoo_core.connection import asking, cache_dir, endpoint, is_offline, require_connection
from zoo_core.entry import Entry, FromFolder, Weights
from zoo_core.errors import ChecksumError, NetworkError, WeightsError

__all__ = [
    "Fetched",
    "cache_dir",
    "cached",
    "cached_repos",
    "delete",
    "download",
    "expanded",
    "fetch",
    "git_hash",
    "inside",
    "read",
    "remove_cached",
]

CHUNK = 1 << 20
Place = Literal["bundled", "folder", "cache", "hub"]


@dataclass(frozen=True)
class Fetched:
    """Verified bytes and where they came from.

    Attributes:
        path: the file.
        came_from: ``bundled``, ``folder``, ``cache`` or ``hub``.
        content: the bytes; what is built from them may share their memory.
        sha256: of the bytes.
        size: their number.
        revision: the commit, for the cache and the Hub.
        more: the other files of weights that lie in several, each with its own bytes.
    """

    path: Path
    came_from: Place
    content: bytearray
    sha256: str
    size: int
    revision: str = ""
    more: tuple[Fetched, ...] = ()

    @property
    def files(self) -> tuple[Fetched, ...]:
        """All the files, this one first."""
        return (self, *self.more)


def fetch(entry: Entry, *, weights_from: str = "auto", offline: bool | None = None) -> Fetched:
    """The verified weights of an entry.

    Args:
        entry: a model with weights.
        weights_from: ``auto`` (the folder of an entry that came from one; else bundled, then cache, then Hub),
            ``bundled``, ``cache``, ``hub``, or a folder that holds the file.
        offline: make no request; by default as ``ZOO_OFFLINE`` or ``HF_HUB_OFFLINE`` say.

    Raises:
        ChecksumError: the bytes are not those of the registry; a bad file in the cache has been deleted.
        WeightsError: the file is not there, or is no regular file inside its folder.
        NetworkError: the Hub was needed and cannot be used; ``AccessError`` where it refuses.
    """
    weights = entry.weights
    if weights is None:
        made = f"zoo train {entry.id} makes runs/{entry.id}/model" if entry.recipe else "and no recipe to make them"
        raise WeightsError(f"{entry.id} has no weights yet; {made}")
    if weights.more:
        apart = (replace(entry, weights=one) for one in weights.files)
        first, *others = [fetch(one, weights_from=weights_from, offline=offline) for one in apart]
        return replace(first, more=tuple(others))
    if weights_from not in ("auto", "bundled", "cache", "hub"):
        return _checked(inside(expanded(weights_from), weights.file), weights, "folder")
    if weights_from == "auto" and isinstance(entry.origin, FromFolder):
        return _checked(inside(entry.origin.path, weights.file), weights, "folder")
    folder = bundled.folder_of(entry)
    if weights_from == "bundled" or (weights_from == "auto" and weights.bundled and folder is not None):
        if folder is None:
            raise WeightsError(f"{entry.id} is not bundled with {entry.plugin}; try --weights-from hub")
        return _checked(inside(folder, weights.file), weights, "bundled")
    if not weights.repo_id:
        if weights_from == "auto":
            raise WeightsError(f"the snapshot of {entry.id} is missing from {entry.plugin}; reinstall it")
        its = f"in {entry.origin.path}" if isinstance(entry.origin, FromFolder) else f"bundled with {entry.plugin}"
        raise WeightsError(f"{entry.id} is in no repository on the Hub; it is {its}")
    if weights_from != "hub" and (path := _cached_path(weights)) is not None:
        try:
            return _checked(path, weights, "cache")
        except ChecksumError:
            if weights_from == "cache" or is_offline(offline):
                raise
    if weights_from == "cache":
        raise WeightsError(f"{entry.id} is not in the cache {cache_dir()}; zoo download {entry.id}")
    return _from_hub(entry.id, weights, offline)


def _from_hub(name: str, weights: Weights, offline: bool | None) -> Fetched:
    """One download, and another if the first one's bytes are wrong."""
    for force in (False, True):
        path = download(weights.repo_id, weights.file, weights.revision, name=name, offline=offline, force=force)
        try:
            return _checked(path, weights, "hub")
        except ChecksumError:
            if force:
                raise
    raise AssertionError("unreachable")


def download(
    repo_id: str, file: str, revision: str, *, name: str, offline: bool | None = None, force: bool = False
) -> Path:
    """A file of a repository, through the Hub's cache.

    Args:
        repo_id: ``org/name``.
        file: a plain file name.
        revision: a commit.
        name: what the user called the model.
        offline: make no request.
        force: fetch it again even if it is in the cache.

    Raises:
        NetworkError, AccessError, WeightsError: what went wrong, and what to do.
    """
    import huggingface_hub

    offline = is_offline(offline)
    if not offline:
        require_connection()
    with asking(f"file {file!r}", f"{repo_id}@{revision[:12]}", f"zoo download {name}", offline=offline):
        path = Path(
            huggingface_hub.hf_hub_download(
                repo_id,
                file,
                revision=revision,
                endpoint=endpoint(),
                cache_dir=cache_dir(),
                local_files_only=offline,
                force_download=force and not offline,
                library_name="zoo",
                etag_timeout=connection.FIRST_WORD,
            )
        )
    expected = _repo_folder(repo_id) / "snapshots" / revision / file
    if path != expected:  # the client files what it gets under the commit that the answer names
        raise NetworkError(
            f"{endpoint()} sent another commit of {repo_id} than {revision}; try again: zoo download {name}"
        )
    return path


def expanded(folder: str) -> Path:
    """The folder of that name; ``~`` is the user's own.

    Raises:
        WeightsError: there is no such user.
    """
    try:
        return Path(folder).expanduser()
    except (RuntimeError, ValueError) as err:  # "~nobody", and "~\0"
        raise WeightsError(f"no folder {_shown(folder)}: {err}") from err


def inside(folder: Path, file: str) -> Path:
    """``folder/file``, once it is sure that it is a regular file that lies there.

    Raises:
        WeightsError: it is not there, leads out of the folder, or is no regular file.
    """
    path = folder / file
    try:
        resolved, home = path.resolve(strict=True), folder.resolve(strict=True)
        regular = stat.S_ISREG(resolved.stat().st_mode)
    except (OSError, ValueError, RuntimeError) as err:
        raise WeightsError(f"no file {file!r} in {_shown(folder)}") from err
    if home not in resolved.parents:
        raise WeightsError(f"{file!r} leads out of {_shown(folder)}; refused")
    if not regular:
        raise WeightsError(f"{_shown(path)} is not a regular file; refused")
    return path


def _shown(path: Path | str) -> str:
    """A path in a message: on one line, of bounded length."""
    text = str(path) if str(path).isprintable() else repr(str(path))
    return text if len(text) <= 300 else f"{text[:300]}…"


def _checked(path: Path, weights: Weights, place: Place) -> Fetched:
    """Reads a file and compares it with the registry; a wrong one in the cache is deleted."""
    try:
        size = path.stat().st_size
        content, found = read(path, weights.size) if size == weights.size else (bytearray(), "")
    except OSError as err:
        raise WeightsError(f"cannot read {path}: {err.strerror or err}") from err
    if size == weights.size and found == weights.sha256:
        revision = weights.revision if place in ("cache", "hub") else ""
        return Fetched(path, place, content, found, size, revision)
    if place in ("cache", "hub"):
        delete(path)
        advice = "it was deleted; download it again, and if that fails too do not trust the repository"
    else:
        advice = "reinstall the plugin" if place == "bundled" else "this is not the model that the registry means"
    if size != weights.size:
        raise ChecksumError(f"{path} has {size:,} bytes, the registry says {weights.size:,}; {advice}")
    raise ChecksumError(f"{path} has sha256 {found}, the registry says {weights.sha256}; {advice}")


def read(path: Path, size: int) -> tuple[bytearray, str]:
    """The first ``size`` bytes of a file and their SHA-256, read once.

    Raises:
        OSError: it cannot be read.
        WeightsError: it does not fit into memory.
    """
    import hashlib  # OpenSSL takes milliseconds to start, and listings import this module

    try:
        content = bytearray(size)
    except (MemoryError, OverflowError) as err:
        raise WeightsError(f"{path} has {size:,} bytes, more than this machine's memory") from err
    digest, view = hashlib.sha256(), memoryview(content)
    with open(path, "rb") as file:
        for start in range(0, size, CHUNK):
            part = view[start : start + CHUNK]
            if file.readinto(part) != len(part):
                raise WeightsError(f"{path} became shorter while it was read; try again")
            digest.update(part)
    return content, digest.hexdigest()


def git_hash(content: bytes | bytearray) -> str:
    """What git calls a file of this content: the Hub's name for files that are no large ones."""
    import hashlib

    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def delete(path: Path) -> None:
    """The snapshot's link and the blob behind it, so that nothing loads it again."""
    for victim in (path.resolve(), path):
        victim.unlink(missing_ok=True)


def cached(entry: Entry) -> bool:
    """Whether the weights are in the Hub's cache."""
    return entry.weights is not None and all(_cached_path(one) is not None for one in entry.weights.files)


def _cached_path(weights: Weights) -> Path | None:
    """The file of a pinned revision in the cache (its layout is part of huggingface_hub's documentation)."""
    if not weights.repo_id:
        return None
    path = _repo_folder(weights.repo_id) / "snapshots" / weights.revision / weights.file
    return path if _is_file(path) else None


def _is_file(path: Path) -> bool:
    """Whether a file is there; a name that no file can have is not, where :meth:`Path.is_file` raises."""
    return os.path.isfile(path)


def _repo_folder(repo_id: str) -> Path:
    return cache_dir() / f"models--{repo_id.replace('/', '--')}"


def cached_repos(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """What the cache holds of these entries: ``id``, ``repo_id``, ``size`` in bytes, ``path``."""
    rows = []
    for entry in entries:
        if entry.weights is not None and (path := _cached_path(entry.weights)) is not None:
            size = path.stat().st_size
            rows.append({"id": entry.id, "repo_id": entry.weights.repo_id, "size": size, "path": str(path)})
    return rows


def remove_cached(entry: Entry) -> int:
    """Deletes the cached revision of an entry and returns the bytes freed (0 where there was none)."""
    import huggingface_hub

    if entry.weights is None or not cached(entry):
        return 0
    strategy = huggingface_hub.scan_cache_dir(cache_dir()).delete_revisions(entry.weights.revision)
    strategy.execute()
    return strategy.expected_freed_size
