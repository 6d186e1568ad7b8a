"""What a user may call a model: an id, a repository on the Hub, a folder."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from zoo_core import hub, registry, registry_schema
from zoo_core.entry import Entry
from zoo_core.errors import AccessError, NetworkError, UnknownNameError, WeightsError

__all__ = ["entry_of"]

CONFIG_LIMIT = 1_000_000
"""The greatest ``config.json`` that is read, in bytes."""


def entry_of(name: str, *, offline: bool | None = None) -> Entry:
    """The entry that a name means.

    Args:
        name: an id of the registry; ``hf:org/repo[@revision]``; ``./folder``, ``/folder`` or ``local-dir:folder``.
        offline: for ``hf:``, make no request.

    Raises:
        UnknownNameError: no such id, or a name with a slash that has neither prefix.
        WeightsError: the reference has no valid ``config.json``.
        NetworkError: the Hub was needed and cannot be used.
    """
    if name.startswith("hf:"):
        return _from_hub(name.removeprefix("hf:"), offline)
    if name.startswith(("local-dir:", "./", "../", "/", "~")) or name in (".", ".."):
        folder = Path(name.removeprefix("local-dir:")).expanduser()
        path = hub.inside(folder, "config.json")
        return _entry(path, folder.resolve().name, folder)
    if "/" in name:
        hint = f"say hf:{name} for a repository on the Hub, or ./{name} for a folder"
        raise UnknownNameError("model", name, None, hint)
    return registry.load().get(name)


def _from_hub(reference: str, offline: bool | None) -> Entry:
    repo_id, _, revision = reference.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id, re.ASCII) or ".." in repo_id:
        raise UnknownNameError("repository", repo_id, None, "expected hf:ORG/REPO or hf:ORG/REPO@REVISION")
    commit = _commit(repo_id, revision or "main", offline)
    path = hub.download(repo_id, "config.json", commit, name=f"hf:{reference}", offline=offline)
    return _entry(path, f"hf:{repo_id}", None, repo_id=repo_id, revision=commit)


def _commit(repo_id: str, revision: str, offline: bool | None) -> str:
    """The commit that a branch or tag means now; from the cache when offline."""
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    if hub.is_offline(offline):
        ref = hub.cache_dir() / f"models--{repo_id.replace('/', '--')}" / "refs" / revision
        if not re.fullmatch(r"[\w.-]+", revision, re.ASCII) or not ref.is_file():
            raise NetworkError(
                f"offline, and {repo_id}@{revision} is not in the cache {hub.cache_dir()}; load it once online"
            )
        return ref.read_text(encoding="utf-8").strip()
    import huggingface_hub
    from huggingface_hub import errors

    hub.require_connection()
    try:
        sha = (
            huggingface_hub.HfApi(endpoint=hub.endpoint(), library_name="zoo")
            .model_info(repo_id, revision=revision, timeout=10)
            .sha
        )
    except errors.RevisionNotFoundError as err:
        raise WeightsError(f"{repo_id} has no revision {revision!r}") from err
    except errors.RepositoryNotFoundError as err:
        raise AccessError(
            f"{repo_id} does not exist, or is private or gated; log in with 'hf auth login' or set HF_TOKEN"
        ) from err
    except Exception as err:  # the transport's own errors differ between versions of huggingface_hub
        raise NetworkError(f"cannot ask {hub.endpoint()} about {repo_id}: {' '.join(str(err).split())[:200]}") from err
    if sha is None:
        raise NetworkError(f"{hub.endpoint()} does not say which commit {repo_id}@{revision} is")
    return sha


def _entry(path: Path, name: str, folder: Path | None, *, repo_id: str = "", revision: str = "") -> Entry:
    """An entry from a snapshot's ``config.json``: a registry table in JSON."""
    if path.stat().st_size > CONFIG_LIMIT:
        raise WeightsError(f"{path} has {path.stat().st_size:,} bytes; a config has at most {CONFIG_LIMIT:,}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as err:
        raise WeightsError(f"{path} is not JSON: {err}") from err
    if not isinstance(data, dict):
        raise WeightsError(f"{path} is not a JSON object")
    data = dict(data)
    weights: Any = data.get("weights")
    if not isinstance(weights, dict) or not isinstance(weights.get("file"), str):
        raise WeightsError(f"{path}: weights.file: missing; is this a model of the zoo?")
    if folder is not None and "sha256" not in weights:
        content = hub.inside(folder, weights["file"]).read_bytes()
        weights = {"file": weights["file"], "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    where: dict[str, Any] = {"repo_id": repo_id, "revision": revision} if repo_id else {"bundled": True}
    data["weights"] = {k: v for k, v in weights.items() if k not in ("repo_id", "revision", "bundled")} | where
    table = {k: v for k, v in data.items() if k not in ("schema", "id")}
    found = registry_schema.problems({"schema": data.get("schema"), "models": {"it": table}}, str(path))
    if found:
        raise WeightsError(found[0].replace("models.it.", ""))
    return registry.entry(name, table, str(folder or f"hf:{repo_id}@{revision}"))
