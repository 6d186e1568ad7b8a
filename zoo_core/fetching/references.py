"""Finds the entry of a reference to a model: an id, a repository on the Hub, or a folder."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo_core import fetching, plugins, registry
from zoo_core.errors import ChecksumError, NetworkError, UnknownNameError, WeightsError
from zoo_core.fetching import hub_client, pins, repository_formats
from zoo_core.fetching.hub_client import (
    asking,
    checked_commit,
    checked_repo_id,
    endpoint,
    is_offline,
    repo_folder,
    require_connection,
)
from zoo_core.fetching.repository_formats import CONFIG_LIMIT, Repository
from zoo_core.files import reading
from zoo_core.registry import schema
from zoo_core.registry.entry import Entry, FromFolder, FromHub

__all__ = ["described", "entry_of", "repository_of", "resolved"]

_SAID = ("plugin", "summary", "dataset", "license", "paper", "tags", "parameters", "sampler", "facts")
"""What a registry says of a model whose config and weights its source has."""

_FOLDERS = ("local-dir:", "./", "../", "/", "~")
"""Beginnings of references to folders."""


def entry_of(name: str, *, offline: bool | None = None) -> Entry:
    """Returns the entry that a reference names.

    Args:
        name: reference to a model: an id of the registry; ``hf:org/repo[@revision]``; ``./folder``, ``/folder`` or
            ``local-dir:folder``.
        offline: whether network requests are forbidden, which matters for ``hf:``.

    Raises:
        UnknownNameError: the registry has no such id, or a name with a slash has no prefix.
        WeightsError: the repository or folder has no valid ``config.json``.
        NetworkError: the Hub is needed and cannot be reached.
    """
    if name.startswith(("hf:", *_FOLDERS)) or name in (".", ".."):
        repository = repository_of(name, offline=offline)
        origin = repository.origin
        own = f"hf:{origin.repo_id}" if isinstance(origin, FromHub) else _own_name(origin.path)
        return repository_formats.entry(repository, own) or _entry(repository.fetch("config.json"), own, origin)
    if "/" in name:
        shown = name if name.isprintable() and len(name) <= 200 else "…"
        hint = f"use hf:{shown} for a repository on the Hub, or ./{shown} for a folder"
        raise UnknownNameError("model", name, None, hint)
    return resolved(registry.load().get(name), offline=offline)


def resolved(entry: Entry, *, offline: bool | None = None) -> Entry:
    """Returns an entry whose config and weights are known: the entry itself, or what its source says.

    What a source said when it was first loaded is pinned (:mod:`zoo_core.fetching.pins`).

    Args:
        entry: entry of a registry.
        offline: whether network requests are forbidden, which matters for a source.

    Raises:
        ChecksumError: the source's files are not those that were pinned.
        WeightsError: the source is of another family, or the pin cannot be written.
        NetworkError: the Hub is needed and cannot be reached.
    """
    if not entry.source:
        return entry
    plugins.family_of(entry)  # before anything is fetched, so that a missing plugin fails at once
    pinned = pins.read(entry.source)
    repo_id, _, commit = entry.source.removeprefix("hf:").partition("@")
    revision = commit or (pinned.revision if pinned else "")
    found = entry_of(f"hf:{repo_id}@{revision}" if revision else f"hf:{repo_id}", offline=offline)
    if found.family != entry.family:
        raise WeightsError(f"{entry.id}: {entry.source} has a {found.family}; the registry says {entry.family}")
    assert found.weights is not None
    pins.keep(entry.source, found.weights)
    said = {key: getattr(entry, key) for key in _SAID if getattr(entry, key)}
    return replace(found, id=entry.id, **said)


def described(name: str) -> Entry:
    """Returns the entry that a reference names, as far as it is known without asking a source.

    Args:
        name: reference to a model, as for :func:`entry_of`; an entry of the registry has its pin, if there is one.

    Raises:
        UnknownNameError: the registry has no such id, or a name with a slash has no prefix.
    """
    known = registry.load()
    return pins.with_pin(known.get(name)) if name in known.links else entry_of(name)


def repository_of(name: str, *, offline: bool | None = None) -> Repository:
    """Returns the repository or folder that a reference names, with its files.

    Args:
        name: ``hf:org/repo[@revision]``, ``./folder``, ``/folder`` or ``local-dir:folder``.
        offline: whether network requests are forbidden, which matters for ``hf:``.

    Raises:
        UnknownNameError: the name of the repository or of the revision is impossible.
        WeightsError: the repository has no such revision.
        NetworkError: the Hub is needed and cannot be reached.
    """
    if name.startswith("hf:"):
        return _on_the_hub(name.removeprefix("hf:"), offline)
    folder = reading.expanded(name.removeprefix("local-dir:"))
    return Repository(lambda file: reading.inside(folder, file), FromFolder(folder))


def _own_name(folder: Path) -> str:
    try:
        return folder.resolve().name
    except (ValueError, OSError):  # an impossible name; `reading.inside` raises the error with a message
        return ""


def _on_the_hub(reference: str, offline: bool | None) -> Repository:
    repo_id, _, revision = reference.partition("@")
    checked_repo_id(repo_id)
    revision = revision or "main"
    if not re.fullmatch(r"[\w.][\w./-]{0,199}", revision, re.ASCII) or ".." in revision:
        raise UnknownNameError("revision", revision[:200], None, "expected a branch, a tag or a commit")
    commit = _commit(repo_id, revision, offline)

    def fetch(file: str) -> Path:
        path = fetching.download(repo_id, file, commit, name=f"hf:{reference}", offline=offline)
        _check_blob(path)
        return path

    def has(file: str) -> bool:
        if is_offline(offline):
            return (fetching.cache_dir() / repo_folder(repo_id) / "snapshots" / commit / file).is_file()
        import huggingface_hub

        with asking(f"file {file!r}", f"{repo_id}@{commit[:12]}", f"zoo load hf:{reference}"):
            api = huggingface_hub.HfApi(endpoint=endpoint(), library_name="zoo")
            return bool(api.file_exists(repo_id, file, revision=commit))

    return Repository(fetch, FromHub(repo_id, commit), is_offline(offline), has)


def _commit(repo_id: str, revision: str, offline: bool | None) -> str:
    """Returns the commit that a branch or tag points to: as the Hub says, or when offline as the cache says."""
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    where = f"{repo_id}@{revision}"
    if is_offline(offline):
        ref = fetching.cache_dir() / repo_folder(repo_id) / "refs" / revision
        if not ref.is_file():
            raise NetworkError(f"offline, and {where} is not in the cache {fetching.cache_dir()}; load it once online")
        return checked_commit(ref.read_text(encoding="utf-8", errors="replace").strip(), where)
    import huggingface_hub

    require_connection()
    with asking("the revision", where, f"zoo load hf:{where}"):
        api = huggingface_hub.HfApi(endpoint=endpoint(), library_name="zoo")
        sha = api.model_info(repo_id, revision=revision, timeout=hub_client.FIRST_WORD).sha
    return checked_commit(sha, where)


def _check_blob(path: Path) -> None:
    """Compares a text file in the cache with the git hash that is its name; a file that differs is deleted.

    The Hub's client compares sizes only.  A name of 64 digits is the SHA-256 hash of a large file; such files are not
    checked here.
    """
    link = Path(os.readlink(path)) if path.is_symlink() else path
    if not re.fullmatch(r"[0-9a-f]{40}", link.name) or path.stat().st_size > CONFIG_LIMIT:
        return
    found = reading.git_hash(path.read_bytes())
    if found != link.name:
        fetching.delete(path)
        raise ChecksumError(f"{path} has the git hash {found}, the Hub said {link.name}; it was deleted, try again")


def _entry(path: Path, name: str, origin: FromHub | FromFolder) -> Entry:
    """Reads an entry from the ``config.json`` of a snapshot, which is a registry table in JSON."""
    if path.stat().st_size > CONFIG_LIMIT:
        raise WeightsError(f"{path} has {path.stat().st_size:,} bytes; a config has at most {CONFIG_LIMIT:,}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as err:
        raise WeightsError(f"{path} is not JSON: {err}") from err
    if not isinstance(data, dict):
        raise WeightsError(f"{path} is not a JSON object")
    weights: Any = data.get("weights")
    if not isinstance(weights, dict) or not isinstance(weights.get("file"), str):
        raise WeightsError(f"{path}: weights.file: missing; expected the config.json of a model of the zoo")
    if isinstance(origin, FromFolder) and "sha256" not in weights:
        file = reading.inside(origin.path, weights["file"])
        size = file.stat().st_size
        weights = {"file": weights["file"], "sha256": reading.read(file, size)[1], "size": size}
    weights = {k: v for k, v in weights.items() if k not in ("repo_id", "revision", "bundled")}
    if isinstance(origin, FromHub):
        weights |= {"repo_id": origin.repo_id, "revision": origin.commit}
    table = {k: v for k, v in data.items() if k not in ("schema", "id")} | {"weights": weights}
    found = schema.problems({"schema": data.get("schema"), "models": {"it": table}}, str(path), snapshot=True)
    if found:
        raise WeightsError(found[0].replace("models.it.", ""))
    return registry.entry_from(name, table, origin)
