"""Serves a Hub on a local port: real HTTP, the requests of ``huggingface_hub``, and faults on demand.

    with HubStandIn() as hub:
        commit = hub.add_repo("org/toy", {"model.safetensors": content})
        subprocess.run([...], env=os.environ | hub.environment(tmp_path / "hf"))
        assert hub.requests == [...]

Downloads (resolve, tree, info) and uploads (create, preupload, LFS, commit, tags) both work, so that a round trip needs
no mock.  Weights are uploaded by LFS or, with ``HubStandIn(lfs=False)``, in the commit itself.  Everything is served
from one port and nothing redirects.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from zoo_core.testing.hub_repositories import READ_TOKEN, TOKEN, Answer, Repo, Repositories

if TYPE_CHECKING:
    import pytest

__all__ = ["READ_TOKEN", "TOKEN", "Fault", "HubStandIn", "Repo"]


@dataclass
class Fault:
    """A fault that happens to requests.

    Attributes:
        pattern: regular expression that is searched for in the request's ``"METHOD /path"``.
        answer: status, headers and body that are sent; ``None`` for the true answer.
        times: number of requests that the fault happens to.
        cut: number of bytes of the answer's body after which the connection is closed; 0 sends no answer at all.
        wait: seconds to wait before the answer.
        after: whether the request is carried out first, so that only its answer is lost.
    """

    pattern: str = ""
    answer: Answer | None = None
    times: int = 1
    cut: int | None = None
    wait: float = 0.0
    after: bool = False


class HubStandIn(Repositories):
    """A Hub on a local port, as a context manager.

    Args:
        lfs: whether weights are uploaded by LFS; otherwise they are part of the commit's request.

    Attributes:
        requests: log of the requests, such as ``("GET", "/org/toy/resolve/…")``.
    """

    def __init__(self, *, lfs: bool = True) -> None:
        super().__init__(lfs=lfs)
        self.requests: list[tuple[str, str]] = []
        self._faults: list[Fault] = []
        self._cut_after: int | None = None
        self._seconds_per_chunk = 0.0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> HubStandIn:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The address of the Hub, for ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self, home: Path, *, token: bool | str = False) -> dict[str, str]:
        """Returns the environment variables of a process that uses this Hub.

        Args:
            home: folder for the cache, the client's ``HF_HOME``.
            token: token of the process, or ``True`` for :data:`TOKEN`; none unless given.
        """
        variables = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0" if token else "1",
            "NO_PROXY": "127.0.0.1",
        }
        return variables | ({"HF_TOKEN": token if isinstance(token, str) else TOKEN} if token else {})

    def use_here(self, monkeypatch: pytest.MonkeyPatch, home: Path, *, token: bool | str = False) -> None:
        """Makes this process a client of this Hub until the test ends.

        `huggingface_hub` reads its settings when it is imported, so the relevant constants are replaced too.

        Args:
            monkeypatch: pytest's fixture, which undoes the changes.
            home: folder for the cache, empty at first.
            token: token of the process, or ``True`` for :data:`TOKEN`; none unless given.
        """
        import huggingface_hub.constants as constants

        for name in ("ZOO_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in self.environment(home, token=token).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def fail_next(self, status: int, times: int = 1, *, pattern: str = "", retry_after: int | None = None) -> None:
        """Answers the next requests with an HTTP status.

        Args:
            status: HTTP status.
            times: number of requests that fail.
            pattern: regular expression that the failing requests match.
            retry_after: seconds in the header ``Retry-After``; no header unless given.
        """
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self.fault(Fault(pattern, (status, headers, b'{"error": "as asked"}'), times))

    def fault(self, *faults: Fault) -> None:
        """Adds faults; a request meets the first one that matches it and is not used up."""
        with self._lock:
            self._faults += faults

    def heal(self) -> None:
        """Removes all faults."""
        with self._lock:
            self._faults.clear()
        self.cut_after(None)
        self.slow(0.0)
        self._corrupt.clear()

    def corrupt(self, file: str, wrong: bool = True) -> None:
        """Flips a byte in the middle of every download of ``file`` (the size stays)."""
        (self._corrupt.add if wrong else self._corrupt.discard)(file)

    def cut_after(self, size: int | None) -> None:
        """Closes the connection of every download after ``size`` bytes of the body; ``None`` ends this."""
        self._cut_after = size

    def slow(self, seconds: float) -> None:
        """Waits the given number of seconds before each 64 KiB of a download."""
        self._seconds_per_chunk = seconds

    def downloads(self) -> list[tuple[str, str]]:
        """Lists the logged requests that fetched a file."""
        return [r for r in self.requests if r[0] == "GET" and "/resolve/" in r[1]]

    # What follows is called by the handler, in its threads.

    def answer(self, method: str, raw_path: str, headers: dict[str, str], body: bytes) -> tuple[Answer, Fault | None]:
        """Returns the answer to a request, and the fault that happens to it; ``None`` if there is none."""
        path = urlsplit(raw_path).path
        with self._lock:
            self.requests.append((method, path))
            fault = next((f for f in self._faults if f.times > 0 and re.search(f.pattern, f"{method} {path}")), None)
            if fault is not None:
                fault.times -= 1
                if not fault.after and (fault.answer or fault.cut == 0):
                    return fault.answer or (500, {}, b""), fault
            return self.route(method, path, headers, body), fault


def _handler(hub: HubStandIn) -> type[BaseHTTPRequestHandler]:
    """Makes the class of the request handler."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # otherwise Nagle's algorithm delays every body by 40 ms

        def serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:  # the client was killed
                self.close_connection = True
                return
            headers = {k.lower(): v for k, v in self.headers.items()}
            answer, fault = hub.answer(self.command, self.path, headers, body)
            if fault is not None:
                if fault.answer is not None:
                    answer = fault.answer
                time.sleep(fault.wait)
                if fault.cut == 0:
                    self.cut()
                    return
            status, extra, content = answer
            is_file = "/resolve/" in self.path
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | extra).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                cut = fault.cut if fault is not None and fault.cut is not None else hub._cut_after if is_file else None
                self.send_body(content, cut, hub._seconds_per_chunk if is_file else 0.0)

        def send_body(self, content: bytes, cut: int | None, seconds: float) -> None:
            for start in range(0, len(content), 65536):
                if seconds:
                    time.sleep(seconds)
                chunk = content[start : start + 65536]
                if cut is not None and start + len(chunk) > cut:
                    self.wfile.write(chunk[: max(cut - start, 0)])
                    self.wfile.flush()
                    self.cut()
                    return
                self.wfile.write(chunk)

        def cut(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def handle(self) -> None:
            try:
                super().handle()
            except (OSError, ValueError):  # the client was killed, or the connection was cut as asked
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Writes nothing: the log is ``hub.requests``."""

        do_GET = do_HEAD = do_POST = do_PUT = serve

    return Handler
