"""The Hub's client: where the Hub is, whether it may be asked, and its errors as ours.  Imports no torch.

``HF_HOME``, ``HF_ENDPOINT`` and ``HF_TOKEN`` are those of ``huggingface_hub``, read when they are needed.
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
    "require_connection",
    "retry_after",
    "status_of",
]

REPO_ID = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
FIRST_WORD = 10.0
"""Seconds in which the Hub says what it has."""
TIMEOUT = 120.0
"""Seconds that the Hub may be silent while it works."""
_TRANSPORTS = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "hf_xet")


def cache_dir() -> Path:
    """The Hub's cache, by the same variables that ``huggingface_hub`` reads (but read now, not at its import)."""
    if explicit := os.environ.get("HF_HUB_CACHE"):
        return Path(explicit).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(home).expanduser() / "hub"


def endpoint() -> str:
    """Where the Hub is."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def is_offline(explicit: bool | None = None) -> bool:
    """Whether requests are forbidden."""
    if explicit is not None:
        return explicit
    return any(
        os.environ.get(v, "").lower() not in ("", "0", "false", "no", "off") for v in ("ZOO_OFFLINE", "HF_HUB_OFFLINE")
    )


@contextmanager
def offline() -> Iterator[None]:
    """Forbids requests for a while, as ``ZOO_OFFLINE=1`` does."""
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
    """Raises :class:`NetworkError` at once where the Hub's host cannot be reached; the client would retry for 23 s.

    Behind a proxy there is nothing to be learned this way, and the client is left to find out.
    """
    careful_client()
    proxies = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    if any(os.environ.get(name) for name in proxies):
        return
    import socket  # only here: listings import this module, and ask for no connection

    try:
        parts = urlsplit(endpoint())
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=5).close()
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or err
        raise NetworkError(f"cannot reach {endpoint()} ({reason}); check the connection, or use --offline") from err


def careful_client() -> None:
    """Makes the Hub's client give up on a Hub that is silent, and refuse answers that name a path.

    The client writes what it downloads to ``blobs/<ETag>`` and ``snapshots/<X-Repo-Commit>``, whatever those headers
    say, and waits without end for the answer to an upload.
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
        raise NetworkError(f"{endpoint()} names {commit[:60]!r} as a commit; its answer is not taken")
    for name in ("etag", "x-linked-etag"):
        tag = response.headers.get(name, "x").removeprefix("W/").strip('"')
        if not re.fullmatch(r"[\w.:+=~-]{1,200}", tag, re.ASCII) or tag in (".", ".."):
            raise NetworkError(f"{endpoint()} names {tag[:60]!r} as a file's hash; its answer is not taken")


def checked_repo_id(repo_id: str) -> str:
    """The name of a repository, once it is sure that it is one.

    Raises:
        UnknownNameError: it is not ``org/name``.
    """
    if not re.fullmatch(REPO_ID, repo_id, re.ASCII) or ".." in repo_id or "--" in repo_id:
        raise UnknownNameError("repository", repo_id, None, "expected ORG/REPO, as in hf:ORG/REPO@REVISION")
    return repo_id


def checked_commit(value: object, where: str) -> str:
    """A commit that the Hub named, once it is sure that it is one: it becomes part of a path.

    Raises:
        NetworkError: it is not 40 hex digits.
    """
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{40}", value):
        raise NetworkError(f"{endpoint()} does not say which commit {where} is (it says {str(value)[:60]!r})")
    return value


def status_of(err: BaseException | None) -> int | None:
    """The HTTP status that an error of the client stands for, if any."""
    status = getattr(getattr(err, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def retry_after(err: BaseException | None) -> float | None:
    """The seconds that the Hub asks to wait, if it does."""
    value = getattr(getattr(err, "response", None), "headers", {}).get("retry-after", "")
    return float(value) if re.fullmatch(r"\d{1,6}", value) else None


@contextmanager
def asking(what: str, where: str, again: str, *, offline: bool = False) -> Iterator[None]:
    """Turns the errors of the Hub's client, which differ between its versions, into ours.

    Args:
        what: is asked (``"file 'config.json'"``).
        where: of (``"org/repo@0123abcd"``).
        again: the command that tries it again.
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
    """The error that is raised for one of the client's."""
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
        return WeightsError(f"{repo_id} has no revision {revision!r}; was it deleted? look for a newer one")
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
        return WeightsError(f"cannot write {what} to the cache {cache_dir()}: {reason}; free it, then {again}")
    if isinstance(err, (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, OSError)):
        return NetworkError(f"{what} of {where} failed: {one_line(err)}; try again: {again}")
    broken = "the connection broke" if type(err).__module__.split(".")[0] in _TRANSPORTS else "the answer is broken"
    return NetworkError(f"{what} of {where}: {broken} ({one_line(err)}); try again: {again}")


def one_line(err: BaseException) -> str:
    """What an error says, on one line of bounded length."""
    return " ".join(str(err).split())[:200] or type(err).__name__
