"""The Hub's client: where the Hub is, whether it may be asked, and its errors as ours.  Imports no torch.

``HF_HOME``, ``HF_ENDPOINT`` and ``HF_TOKEN`` are those of ``huggingface_hub``, read when they are needed.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from zoo_core.errors import AccessError, NetworkError, UnknownNameError, WeightsError, ZooError

__all__ = [
    "REPO_ID",
    "asking",
    "cache_dir",
    "checked_commit",
    "checked_repo_id",
    "endpoint",
    "is_offline",
    "one_line",
    "require_connection",
    "retry_after",
    "status_of",
]

REPO_ID = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
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


def require_connection() -> None:
    """Raises :class:`NetworkError` at once where the Hub's host cannot be reached; the client would retry for 23 s.

    Behind a proxy there is nothing to be learned this way, and the client is left to find out.
    """
    proxies = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    if any(os.environ.get(name) for name in proxies):
        return
    try:
        parts = urlsplit(endpoint())
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=5).close()
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or err
        raise NetworkError(f"cannot reach {endpoint()} ({reason}); check the connection, or use --offline") from err


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


def status_of(err: BaseException) -> int | None:
    """The HTTP status that an error of the client stands for, if any."""
    status = getattr(getattr(err, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def retry_after(err: BaseException) -> float | None:
    """The seconds that the Hub asks to wait, if it does."""
    value = getattr(getattr(err, "response", None), "headers", {}).get("retry-after", "")
    return float(value) if re.fullmatch(r"\d{1,6}", value) else None


@contextmanager
def asking(what: str, where: str, again: str, *, offline: bool = False) -> Iterator[None]:
    """Turns the errors of the Hub's client, which differ between its versions, into ours.

    Args:
        what: is asked (``"the file config.json"``).
        where: of (``"org/repo@0123abcd"``).
        again: the command that tries it again.
        offline: whether the client was told to make no request.
    """
    from huggingface_hub import errors

    try:
        yield
    except ZooError:
        raise
    except errors.GatedRepoError as err:
        advice = "accept its terms on the Hub, then log in with 'hf auth login' or set HF_TOKEN"
        raise AccessError(f"{where} is gated: {advice}") from err
    except errors.RepositoryNotFoundError as err:
        advice = "for one of these log in with 'hf auth login' or set HF_TOKEN"
        raise AccessError(f"{where} does not exist, or is private or gated; {advice}") from err
    except errors.RevisionNotFoundError as err:
        repo_id, _, revision = where.partition("@")
        raise WeightsError(f"{repo_id} has no revision {revision!r}; was it deleted? look for a newer one") from err
    except errors.LocalEntryNotFoundError as err:
        if offline:
            raise NetworkError(
                f"offline, and {what} of {where} is not in the cache {cache_dir()}; when online: {again}"
            ) from err
        raise NetworkError(
            f"cannot reach {endpoint()} for {what} of {where}; check the connection, then {again}"
        ) from err
    except errors.EntryNotFoundError as err:
        raise WeightsError(f"{where} has no {what}") from err
    except errors.HFValidationError as err:
        raise WeightsError(f"{where!r} is not the name of a repository: {one_line(err)}") from err
    except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, OSError) as err:
        status = status_of(err)
        if status in (401, 403):
            raise AccessError(f"{endpoint()} refuses access to {where} ({status}); check HF_TOKEN") from err
        if status == 429:
            wait = retry_after(err)
            when = f"in {wait:.0f} seconds" if wait is not None else "later"
            raise NetworkError(
                f"{endpoint()} limits how often it may be asked (429); try again {when}: {again}"
            ) from err
        if isinstance(err, OSError) and err.errno is not None and status is None:
            reason = err.strerror or one_line(err)
            raise WeightsError(
                f"cannot write {what} to the cache {cache_dir()}: {reason}; free it, then {again}"
            ) from err
        raise NetworkError(f"{what} of {where} failed: {one_line(err)}; try again: {again}") from err
    except Exception as err:  # whatever else a broken answer makes the client raise
        who = (
            "the connection broke" if type(err).__module__.partition(".")[0] in _TRANSPORTS else "the answer is broken"
        )
        raise NetworkError(f"{what} of {where}: {who} ({one_line(err)}); try again: {again}") from err


def one_line(err: BaseException) -> str:
    """What an error says, on one line of bounded length."""
    return " ".join(str(err).split())[:200] or type(err).__name__
