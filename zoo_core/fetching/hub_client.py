"""Prepares the Hub's client (``huggingface_hub``) and turns its errors into the zoo's.  Imports no torch.

``HF_HOME``, ``HF_ENDPOINT`` and ``HF_TOKEN`` mean what they mean to ``huggingface_hub``; they are read at every use.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zoo_core.errors import AccessError, NetworkError, UnknownNameError, WeightsError, ZooError

__all__ = [
    "REPO_ID",
    "asking",
    "cache_dir",
    "careful_client",
    "checked_commit",
    "checked_repo_id",
    "endpoint",
    "is_offline",
    "offline",
    "one_line",
    "repo_folder",
    "require_connection",
    "retry_after",
    "status_of",
]

REPO_ID = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
FIRST_WORD = 10.0
"""Timeout, in seconds, of a request that asks which commit or file the Hub has."""
TIMEOUT = 120.0
"""Timeout, in seconds, of any other request of the client."""
_TRANSPORTS = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "hf_xet")


def cache_dir() -> Path:
    """Returns the folder of the Hub's cache, from the environment variables that ``huggingface_hub`` uses.

    They are read at every call; ``huggingface_hub`` reads them once, when it is imported.
    """
    if explicit := os.environ.get("HF_HUB_CACHE"):
        return Path(explicit).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(home).expanduser() / "hub"


def repo_folder(repo_id: str) -> str:
    """Returns the name of a repository's folder in the cache; ``huggingface_hub`` documents it."""
    return f"models--{repo_id.replace('/', '--')}"


def endpoint() -> str:
    """Returns the address of the Hub."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def is_offline(explicit: bool | None = None) -> bool:
    """Says whether network requests are forbidden.

    Args:
        explicit: the caller's choice; ``None`` where ``ZOO_OFFLINE`` and ``HF_HUB_OFFLINE`` decide.
    """
    if explicit is not None:
        return explicit
    return any(
        os.environ.get(v, "").lower() not in ("", "0", "false", "no", "off") for v in ("ZOO_OFFLINE", "HF_HUB_OFFLINE")
    )


@contextmanager
def offline() -> Iterator[None]:
    """Forbids network requests within a ``with`` block, as ``ZOO_OFFLINE=1`` does."""
    before = os.environ.get("ZOO_OFFLINE")
    os.environ["ZOO_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["ZOO_OFFLINE"]
        else:
            os.environ["ZOO_OFFLINE"] = before


def require_connection() -> None:
    """Raises :class:`NetworkError` at once if the Hub's host cannot be reached; the client would retry for 23 s.

    If a proxy is set, the host is not tried, since only the proxy can reach it.
    """
    careful_client()
    proxies = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    if any(os.environ.get(name) for name in proxies):
        return
    import socket  # imported here because listings import this module and open no connection

    try:
        parts = urlsplit(endpoint())
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=5).close()
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or err
        raise NetworkError(f"cannot reach {endpoint()} ({reason}); check the connection, or use --offline") from err


def careful_client() -> None:
    """Gives the Hub's client a timeout, and makes it refuse answers whose headers could name a path.

    The client writes downloads to ``blobs/<ETag>`` and ``snapshots/<X-Repo-Commit>`` without checking those headers, so
    a malicious server could choose the path; and it has no timeout for the answer to an upload.
    """
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    current = getattr(_http, "_GLOBAL_CLIENT_FACTORY", _http.default_client_factory)
    if getattr(current, "is_careful", False):
        return

    def factory() -> Any:
        client = current()
        if client.timeout.read is None:
            client.timeout = TIMEOUT
        client.event_hooks = client.event_hooks | {"response": [*client.event_hooks["response"], _check_headers]}
        return client

    factory.is_careful = True  # type: ignore[attr-defined]
    set_client_factory(factory)


def _check_headers(response: Any) -> None:
    if "/resolve/" not in response.request.url.path:
        return
    commit = response.headers.get("x-repo-commit")
    if commit is not None and not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise NetworkError(f"{endpoint()} gave {commit[:60]!r} as a commit, expected 40 hex digits; answer refused")
    for name in ("etag", "x-linked-etag"):
        tag = response.headers.get(name, "x").removeprefix("W/").strip('"')
        if not re.fullmatch(r"[\w.:+=~-]{1,200}", tag, re.ASCII) or tag in (".", ".."):
            raise NetworkError(f"{endpoint()} gave {tag[:60]!r} as the hash of a file; answer refused")


def checked_repo_id(repo_id: str) -> str:
    """Checks the name of a repository and returns it.

    Raises:
        UnknownNameError: the name is not ``org/name``.
    """
    if not re.fullmatch(REPO_ID, repo_id, re.ASCII) or ".." in repo_id or "--" in repo_id:
        raise UnknownNameError("repository", repo_id, None, "expected ORG/REPO, as in hf:ORG/REPO@REVISION")
    return repo_id


def checked_commit(value: object, where: str) -> str:
    """Checks a commit that the Hub named, since it becomes part of a path, and returns it.

    Args:
        value: commit from the Hub's answer.
        where: repository and revision that were asked for, for messages.

    Raises:
        NetworkError: the value is not 40 hex digits.
    """
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{40}", value):
        raise NetworkError(f"{endpoint()} does not say which commit {where} is (it says {str(value)[:60]!r})")
    return value


def status_of(err: BaseException | None) -> int | None:
    """Returns the HTTP status of an error of the client; ``None`` if it has none."""
    status = getattr(getattr(err, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def retry_after(err: BaseException | None) -> float | None:
    """Returns the seconds that the Hub asks to wait before the next request; ``None`` if it does not ask."""
    value = getattr(getattr(err, "response", None), "headers", {}).get("retry-after", "")
    return float(value) if re.fullmatch(r"\d{1,6}", value) else None


@contextmanager
def asking(what: str, where: str, again: str, *, offline: bool = False) -> Iterator[None]:
    """Turns errors of the Hub's client, which differ between its versions, into the zoo's.

    Args:
        what: thing that is asked for (``"file 'config.json'"``), for messages.
        where: repository and revision (``"org/repo@0123abcd"``), for messages.
        again: command that repeats the attempt, for messages.
        offline: whether the client was told to make no request.
    """
    try:
        yield
    except ZooError:
        raise
    except Exception as err:
        cause: BaseException = err
        while isinstance(cause, RuntimeError) and cause.__cause__ is not None:  # "Error while uploading …"
            cause = cause.__cause__
        raise _ours(cause, what, where, again, offline) from cause


def _ours(err: BaseException, what: str, where: str, again: str, offline: bool) -> ZooError:
    """Makes the zoo's error for an error of the client."""
    from huggingface_hub import errors

    status = status_of(err)
    if isinstance(err, errors.GatedRepoError):
        advice = "accept its terms on the Hub, then log in with 'hf auth login' or set HF_TOKEN"
        return AccessError(f"{where} is gated: {advice}")
    if isinstance(err, errors.RepositoryNotFoundError):
        advice = "for one of these log in with 'hf auth login' or set HF_TOKEN"
        return AccessError(f"{where} does not exist, or is private or gated; {advice}")
    if isinstance(err, errors.RevisionNotFoundError):
        repo_id, _, revision = where.partition("@")
        return WeightsError(f"{repo_id} has no revision {revision!r}; it may have been deleted: look for a newer one")
    if isinstance(err, errors.LocalEntryNotFoundError):
        if offline:
            return NetworkError(
                f"offline, and {what} of {where} is not in the cache {cache_dir()}; when online: {again}"
            )
        return NetworkError(f"cannot reach {endpoint()} for {what} of {where}; check the connection, then {again}")
    if isinstance(err, errors.EntryNotFoundError):
        return WeightsError(f"{where} has no {what}")
    if isinstance(err, errors.HFValidationError):
        return WeightsError(f"{where!r} is not the name of a repository: {one_line(err)}")
    if status in (401, 403):
        return AccessError(f"{endpoint()} refuses access to {where} ({status}); check HF_TOKEN and what it may do")
    if status == 429:
        wait = retry_after(err)
        when = f"in {wait:.0f} seconds" if wait is not None else "later"
        return NetworkError(f"{endpoint()} limits how often it may be asked (429); try again {when}: {again}")
    if isinstance(err, OSError) and err.errno is not None and status is None:
        reason = err.strerror or one_line(err)
        return WeightsError(f"cannot write {what} to the cache {cache_dir()}: {reason}; make room, then {again}")
    if isinstance(err, (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, OSError)):
        return NetworkError(f"{what} of {where} failed: {one_line(err)}; try again: {again}")
    broken = "the connection broke" if type(err).__module__.split(".")[0] in _TRANSPORTS else "the answer is broken"
    return NetworkError(f"{what} of {where}: {broken} ({one_line(err)}); try again: {again}")


def one_line(err: BaseException) -> str:
    """Writes the message of an error on one line, shortened to 200 characters."""
    return " ".join(str(err).split())[:200] or type(err).__name__
