"""Publishes a model on the Hub: checks it, writes its model card, uploads it as one folder, and returns the commit.

A snapshot is uploaded (:mod:`zoo_core.saving.snapshot`): ``config.json``, ``model.safetensors``, ``README.md``.  The
Hub is used only after the model has passed every check.  Files that are there already make no commit.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from zoo_core.errors import AccessError, ChecksumError, NetworkError, RegistryError, WeightsError, ZooError
from zoo_core.fetching import bundled, hub_client
from zoo_core.fetching.hub_client import asking, checked_commit, checked_repo_id, endpoint, retry_after, status_of
from zoo_core.fetching.references import entry_of
from zoo_core.files import reading
from zoo_core.interfaces.values import finite_rows
from zoo_core.loading import load_with_weights
from zoo_core.registry import schema
from zoo_core.registry.entry import Entry, FromFolder, Weights
from zoo_core.sampling import plain_condition, quick_sampler, sample
from zoo_core.saving import snapshot

__all__ = ["Package", "Published", "prepare", "require_token", "upload"]

WAITS = (1.0, 2.0, 4.0)
"""Seconds to wait before each further try when the Hub is busy or the connection breaks; the Hub may ask for others."""
LONGEST_WAIT = 60.0
"""Longest time, in seconds, that the Hub may ask to wait; if it asks for more, publishing stops with an error."""

T = TypeVar("T")


@dataclass(frozen=True)
class Package:
    """A checked model with the files to upload.

    Attributes:
        entry: entry of the model, whose weights are among ``files``.
        repo_id: repository that the model card names.
        files: content of each file, by name.
        checks: descriptions of the checks that the model passed.
        warnings: descriptions of what the model card lacks.
    """

    entry: Entry
    repo_id: str
    files: Mapping[str, bytes | bytearray]
    checks: tuple[str, ...]
    warnings: tuple[str, ...]

    def listing(self) -> list[dict[str, Any]]:
        """Lists name, size and SHA-256 hash of every file."""
        return [
            {"file": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in self.files.items()
        ]


@dataclass(frozen=True)
class Published:
    """The place of a package on the Hub.

    Attributes:
        entry: entry of the model, with weights pinned to the repository and commit.
        revision: commit that has the files.
        changed: whether the upload made the commit; false if the files were there already.
    """

    entry: Entry
    revision: str
    changed: bool


def prepare(name: str, repo_id: str, *, offline: bool | None = None) -> Package:
    """Checks a model and makes the files to publish.

    Args:
        name: id of the registry, or a folder.
        repo_id: repository on the Hub, ``org/name``.
        offline: whether network requests are forbidden, also for the weights.

    Raises:
        RegistryError: the entry lacks a licence, a plugin or a summary.
        WeightsError: the weights or the samples are not finite.
        ZooError: the model does not load.
    """
    checked_repo_id(repo_id)
    if name.startswith("hf:"):
        raise WeightsError(f"{name} is on the Hub already; publish a model of the registry or a folder")
    model, fetched = load_with_weights(name, offline=offline)
    entry = model.entry
    assert entry is not None
    state = model.state_dict()
    if isinstance(entry.origin, FromFolder):
        entry = replace(entry, id=snapshot.declared_id(entry.origin.path) or entry.id)
    file = entry.weights.file if entry.weights else snapshot.FILE
    weights = Weights(file, fetched.sha256, fetched.size, bundled.has_weights(entry))
    entry = replace(entry, weights=weights, parameters=sum(t.numel() for t in state.values())).for_others()
    _require_words(entry)
    if wrong := [key for key, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]:
        raise WeightsError(f"{entry.id} is not published: its tensor {wrong[0]} has numbers that are not finite")
    if not finite_rows(sample(model, 1, sampler=quick_sampler(model, 2), condition=plain_condition(model))).all():
        raise WeightsError(f"{entry.id} is not published: its samples are not finite")
    config, card = snapshot.config(entry).encode(), snapshot.card(entry, repo_id).encode()
    _require_readable(entry, config)
    files: dict[str, bytes | bytearray] = {snapshot.CONFIG: config, file: fetched.content, snapshot.README: card}
    checks = (
        f"the entry is valid and has a licence, {entry.license}",
        f"the weights are those of the entry ({fetched.came_from}) and load strictly",
        "all weights and a sample are finite",
    )
    return Package(entry, repo_id, files, checks, tuple(_missing_words(entry, name)))


def require_token() -> str:
    """Returns the user's token for the Hub.

    Raises:
        AccessError: there is no token.
    """
    import huggingface_hub

    token = huggingface_hub.get_token()
    if not token:
        raise AccessError(
            "publishing needs a token with write access to the Hub: run 'hf auth login' or set HF_TOKEN "
            "(--dry-run and loading need none)"
        )
    return token


def upload(package: Package, *, private: bool = False) -> Published:
    """Uploads a package to its repository, which is created if it does not exist.

    Files that are there already are not uploaded again.

    Args:
        package: package from :func:`prepare`.
        private: whether the repository must be private; a public one is refused.

    Raises:
        AccessError: there is no token, or it has no access to the repository.
        NetworkError: the Hub cannot be used; the same command continues the upload.
        ChecksumError: the files on the Hub differ from those that were sent.
    """
    token = require_token()
    if hub_client.is_offline():
        raise NetworkError("offline, and publishing needs the Hub; unset ZOO_OFFLINE and HF_HUB_OFFLINE, or --dry-run")
    hub_client.require_connection()
    import huggingface_hub
    from huggingface_hub import errors

    repo_id = package.repo_id
    api = huggingface_hub.HfApi(endpoint=endpoint(), token=token, library_name="zoo")

    def before() -> str | None:
        try:
            info = api.model_info(repo_id)
        except errors.GatedRepoError:
            raise
        except errors.RepositoryNotFoundError:
            api.create_repo(repo_id, private=True if private else None, exist_ok=True)
            info = api.model_info(repo_id)
        if private and info.private is False:
            raise AccessError(f"{repo_id} is public already; make it private on the Hub, or leave --private out")
        return info.sha

    def send() -> object:
        try:
            done = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=f"Publish {package.entry.id}")
        except ValueError as err:
            if "README.md" in str(err) and status_of(err) is None:
                raise ZooError(f"the Hub refuses the model card: {hub_client.one_line(err)}") from err
            raise
        return done.oid

    head = _patiently("the repository", repo_id, before)
    try:
        with _quietly(), tempfile.TemporaryDirectory(prefix="zoo-publish-") as folder:
            for name, content in package.files.items():
                Path(folder, name).write_bytes(content)
            revision = checked_commit(_patiently("the upload", repo_id, send), repo_id)
    except OSError as err:
        raise ZooError(
            f"cannot gather the files of {package.entry.id}: {err.strerror or err}; nothing was sent"
        ) from err
    there = _patiently("the check of the upload", repo_id, lambda: _there(api, repo_id, revision, package))
    for name, content in package.files.items():
        if there.get(name) not in (hashlib.sha256(content).hexdigest(), reading.git_hash(content)):
            raise ChecksumError(
                f"{repo_id}@{revision[:12]} has another {name} than was sent; nothing was pinned, publish it again"
            )
    weights = package.entry.weights
    assert weights is not None
    entry = replace(package.entry, weights=replace(weights, repo_id=repo_id, revision=revision))
    return Published(entry, revision, revision != head)


@contextmanager
def _quietly() -> Iterator[None]:
    """Silences the client's messages, which this module replaces, and its progress bars if stderr is no terminal."""
    from huggingface_hub.utils import logging as log
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    verbosity, hide = log.get_verbosity(), not sys.stderr.isatty() and not are_progress_bars_disabled()
    log.set_verbosity(logging.ERROR)
    if hide:
        disable_progress_bars()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if hide:
            enable_progress_bars()


def _there(api: Any, repo_id: str, revision: str, package: Package) -> dict[str, str]:
    """Returns the Hub's hash of every file: SHA-256 for large files, git's hash for others."""
    rows = api.get_paths_info(repo_id, list(package.files), revision=revision)
    return {row.path: row.lfs.sha256 if row.lfs else row.blob_id for row in rows}


def _patiently(what: str, repo_id: str, ask: Callable[[], T]) -> T:
    """Repeats a request when the Hub is busy or the connection breaks; all requests of this module can be repeated."""
    for wait in (*WAITS, None):
        try:
            with asking(what, repo_id, "zoo publish, which continues the upload"):
                return ask()
        except AccessError:
            raise
        except NetworkError as err:
            cause = err.__cause__
            status = status_of(cause) if cause else None
            asked = retry_after(cause) if cause else None
            if (
                wait is None
                or (asked or 0) > LONGEST_WAIT
                or not (status is None or status in (408, 429) or status > 499)
            ):
                raise
            time.sleep(wait if asked is None else asked)
    raise AssertionError("unreachable")


def _require_words(entry: Entry) -> None:
    folder = entry.origin.path if isinstance(entry.origin, FromFolder) else None
    licence = f'"license": "MIT" in {folder / snapshot.CONFIG}, say' if folder else 'license = "MIT", say'
    lacking = {
        "license": (entry.license, licence),
        "plugin": (entry.plugin, "the distribution that provides the family"),
        "summary": (entry.summary.strip(), "one line about the model"),
    }
    wrong = [f"{key} is missing ({what})" for key, (value, what) in lacking.items() if not value]
    if not re.fullmatch(schema.ID, entry.id, re.ASCII):
        wrong.append(f"{entry.id!r} is not an id like ddpm-mnist; rename the folder")
    if entry.weights and not entry.weights.file.endswith(".safetensors"):
        wrong.append(f"the weights are called {entry.weights.file!r}, not {snapshot.FILE!r}")
    if wrong:
        raise RegistryError([f"{entry.id}: not published: {'; '.join(wrong)}"])


def _missing_words(entry: Entry, name: str) -> list[str]:
    here = isinstance(entry.origin, FromFolder)
    measure = f"zoo eval {name} --save" if here else f"python -m zoo_core.authoring.release {entry.id} --measure METRIC"
    lacking = {
        "its data set": entry.dataset,
        "how it was made (a recipe)": entry.recipe,
        f"a measured number ({measure})": entry.evaluations,
        "a paper": entry.paper,
    }
    return [f"the model card lacks {what}" for what, value in lacking.items() if not value]


def _require_readable(entry: Entry, config: bytes) -> None:
    """Makes sure that the config is read back as the entry that it was written from."""
    with tempfile.TemporaryDirectory(prefix="zoo-publish-") as folder:
        Path(folder, snapshot.CONFIG).write_bytes(config)
        back = entry_of(f"local-dir:{folder}")
    if replace(back, id=entry.id).table() != json.loads(config):
        raise RegistryError([f"{entry.id}: its config.json is read back with other values; report this as a bug"])
