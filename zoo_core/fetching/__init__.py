"""Fetches the weights of a registry entry: from the plugin's package, the Hub's cache, or the Hub.  Imports no torch.

The bytes are read once, their SHA-256 is compared with the registry's, and the bytes that were hashed are returned, so
that a file cannot change between the check and its use.  Revisions are commits, so weights in the cache need no
request.  ``huggingface_hub`` does the transfers (:mod:`zoo_core.fetching.hub_client`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from zoo_core.errors import ChecksumError, NetworkError, WeightsError
from zoo_core.fetching import bundled, hub_client
from zoo_core.fetching.hub_client import asking, cache_dir, endpoint, is_offline, repo_folder, require_connection
from zoo_core.files.reading import expanded, inside, read
from zoo_core.registry.entry import Entry, FromFolder, Weights

__all__ = [
    "Fetched",
    "cache_dir",
    "cached",
    "cached_repos",
    "delete",
    "download",
    "fetch",
    "remove_cached",
]

Place = Literal["bundled", "folder", "cache", "hub"]


@dataclass(frozen=True)
class Fetched:
    """Verified bytes of a file, and where they came from.

    Attributes:
        path: path of the file.
        came_from: source of the file: ``bundled``, ``folder``, ``cache`` or ``hub``.
        content: bytes of the file; tensors that are built from them may share their memory.
        sha256: SHA-256 hash of the bytes.
        size: number of bytes.
        revision: commit of the repository, for the cache and the Hub.
        more: other files, for weights that are split into several.
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
        """Returns all the files, this one first."""
        return (self, *self.more)


def fetch(entry: Entry, *, weights_from: str = "auto", offline: bool | None = None) -> Fetched:
    """Fetches and verifies the weights of an entry.

    Args:
        entry: entry with weights.
        weights_from: source of the weights: ``bundled``, ``cache``, ``hub``, a folder that has the file, or ``auto``.
            ``auto`` is the folder of an entry that came from one, and otherwise tries the plugin's package, the cache
            and the Hub in turn.
        offline: whether network requests are forbidden; as ``ZOO_OFFLINE`` and ``HF_HUB_OFFLINE`` say unless given.

    Raises:
        ChecksumError: the bytes are not those of the registry; a bad file in the cache has been deleted.
        WeightsError: the file does not exist, or is not a regular file inside its folder.
        NetworkError: the Hub is needed and cannot be reached; ``AccessError`` if it refuses access.
    """
    weights = entry.weights
    if weights is None:
        made = f"zoo train {entry.id} makes runs/{entry.id}/model" if entry.recipe else "it has no recipe either"
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
        raise WeightsError(f"{entry.id} is in no repository on the Hub; it is {its}: try --weights-from auto")
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
    """Downloads the weights, and downloads them a second time if the bytes of the first download are wrong."""
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
    """Downloads a file of a repository into the Hub's cache, unless it is there, and returns its path.

    Args:
        repo_id: repository, ``org/name``.
        file: plain file name.
        revision: commit.
        name: reference to the model as the user gave it, for messages.
        offline: whether network requests are forbidden.
        force: whether to download the file even if it is in the cache.

    Raises:
        NetworkError: the Hub cannot be reached, or sent another commit.
        AccessError: the Hub refuses access.
        WeightsError: the repository has no such file or commit.
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
                etag_timeout=hub_client.FIRST_WORD,
            )
        )
    expected = cache_dir() / repo_folder(repo_id) / "snapshots" / revision / file
    if path != expected:  # the client stores a file under the commit that the Hub's answer names, not the requested one
        raise NetworkError(
            f"{endpoint()} sent another commit of {repo_id} than {revision}; try again: zoo download {name}"
        )
    return path


def _checked(path: Path, weights: Weights, place: Place) -> Fetched:
    """Reads a file and compares its bytes with the registry's hash; a file in the cache that differs is deleted."""
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
        advice = "reinstall the plugin" if place == "bundled" else "the folder has another model, or a damaged file"
    if size != weights.size:
        raise ChecksumError(f"{path} has {size:,} bytes, the registry says {weights.size:,}; {advice}")
    raise ChecksumError(f"{path} has sha256 {found}, the registry says {weights.sha256}; {advice}")


def delete(path: Path) -> None:
    """Deletes a file of the cache: the link in the snapshot, and the blob that it points to."""
    for victim in (path.resolve(), path):
        victim.unlink(missing_ok=True)


def cached(entry: Entry) -> bool:
    """Says whether the weights of an entry are in the Hub's cache."""
    return entry.weights is not None and all(_cached_path(one) is not None for one in entry.weights.files)


def _cached_path(weights: Weights) -> Path | None:
    """Returns the path of a pinned file in the cache (huggingface_hub documents the folders); ``None`` if absent."""
    if not weights.repo_id:
        return None
    path = cache_dir() / repo_folder(weights.repo_id) / "snapshots" / weights.revision / weights.file
    return path if _is_file(path) else None


def _is_file(path: Path) -> bool:
    """Says whether a file exists; an impossible name does not (:meth:`Path.is_file` would raise an error)."""
    return os.path.isfile(path)


def cached_repos(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Lists the entries whose weights are in the cache, with ``id``, ``repo_id``, ``size`` in bytes and ``path``."""
    rows = []
    for entry in entries:
        if entry.weights is not None and (path := _cached_path(entry.weights)) is not None:
            size = path.stat().st_size
            rows.append({"id": entry.id, "repo_id": entry.weights.repo_id, "size": size, "path": str(path)})
    return rows


def remove_cached(entry: Entry) -> int:
    """Deletes the cached weights of an entry; returns the number of bytes freed, 0 if nothing was cached."""
    import huggingface_hub

    if entry.weights is None or not cached(entry):
        return 0
    strategy = huggingface_hub.scan_cache_dir(cache_dir()).delete_revisions(entry.weights.revision)
    strategy.execute()
    return strategy.expected_freed_size
