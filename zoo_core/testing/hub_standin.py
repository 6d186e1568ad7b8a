"""A Hub on loopback: real HTTP, the part of the protocol that ``huggingface_hub`` speaks, and faults on demand.

    with HubStandIn() as hub:
        commit = hub.add_repo("org/toy", {"model.safetensors": content})
        subprocess.run([...], env=os.environ | hub.environment(tmp_path / "hf"))
        assert hub.requests == [...]

Downloads (resolve, tree, info) and uploads (create, preupload, LFS, commit, tags) both work, so that a round trip needs
no mock.  Everything is served from one port and nothing redirects.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["HubStandIn", "Repo"]

TOKEN = "hf_test"
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Repo:
    """A repository: its commits, newest last, each a tree of files."""

    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(self, files: dict[str, bytes]) -> str:
        """Adds a commit with exactly these files and returns its 40 hex digits."""
        parent = self.commits[-1][0] if self.commits else ""
        digest = hashlib.sha1(parent.encode())
        for name in sorted(files):
            digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
        self.commits.append((digest.hexdigest(), files))
        return self.commits[-1][0]

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit that a revision means, and its files."""
        if revision == "main":
            return self.commits[-1] if self.commits else None
        revision = self.tags.get(revision, revision)
        return next((c for c in self.commits if c[0] == revision), None)


class HubStandIn:
    """The server.  A context manager; ``requests`` is the log, ``("GET", "/org/toy/resolve/…")`` each."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[tuple[str, str]] = []
        self.lfs: dict[str, bytes] = {}
        self._faults: list[int] = []
        self._corrupt: set[str] = set()
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
        """What ``HF_ENDPOINT`` should be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self, home: Path, *, token: bool = False) -> dict[str, str]:
        """The variables with which a process talks to this Hub, with its cache in ``home``."""
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
        return variables | ({"HF_TOKEN": TOKEN} if token else {})

    def add_repo(self, repo_id: str, files: dict[str, bytes], *, private: bool = False, gated: bool = False) -> str:
        """Adds a commit to a repository (made if need be); returns the commit."""
        repo = self.repos.setdefault(repo_id, Repo())
        repo.private, repo.gated = private, gated
        return repo.commit(dict(files))

    def fail_next(self, status: int, times: int = 1) -> None:
        """Answers the next requests with an HTTP status."""
        self._faults += [status] * times

    def corrupt(self, file: str, wrong: bool = True) -> None:
        """Flips a byte in the middle of every download of ``file`` (the size stays)."""
        (self._corrupt.add if wrong else self._corrupt.discard)(file)

    def cut_after(self, size: int | None) -> None:
        """Closes the connection after so many bytes of a body; ``None``: no longer."""
        self._cut_after = size

    def slow(self, seconds: float) -> None:
        """Waits so long before each 64 KiB of a body."""
        self._seconds_per_chunk = seconds

    def downloads(self) -> list[tuple[str, str]]:
        """The logged requests that fetched a file."""
        return [r for r in self.requests if r[0] == "GET" and "/resolve/" in r[1]]

    # What follows is called by the handler, in its threads.

    def answer(self, method: str, raw_path: str, headers: dict[str, str], body: bytes) -> Answer:
        """The answer to one request."""
        path = urlsplit(raw_path).path
        with self._lock:
            self.requests.append((method, path))
            if self._faults:
                return self._faults.pop(0), {}, b'{"error": "as asked"}'
            for verb, pattern, action in _ROUTES:
                if method == verb and (match := re.fullmatch(pattern, path)):
                    return action(self, headers, body, *map(unquote, match.groups()))
        return _error(404, "", f"no route for {method} {path}")

    def found(
        self, repo_id: str, headers: dict[str, str], revision: str = "main"
    ) -> Answer | tuple[str, dict[str, bytes]]:
        """A commit and its files, or the refusal that the Hub would give."""
        repo, authorised = self.repos.get(repo_id), headers.get("authorization") == f"Bearer {TOKEN}"
        if repo is None or (repo.private and not authorised):
            return _error(404 if authorised else 401, "RepoNotFound", "Repository not found")
        if repo.gated and not authorised:
            return _error(403, "GatedRepo", f"Access to model {repo_id} is restricted")
        return repo.at(revision) or _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def info(self, headers: dict[str, str], body: bytes, repo_id: str, revision: str = "main") -> Answer:
        found = self.found(repo_id, headers, revision)
        if len(found) == 3:
            return found
        siblings = [{"rfilename": name} for name in found[1]]
        private = self.repos[repo_id].private
        return _json({"id": repo_id, "sha": found[0], "private": private, "tags": [], "siblings": siblings})

    def tree(self, headers: dict[str, str], body: bytes, repo_id: str, revision: str) -> Answer:
        found = self.found(repo_id, headers, revision)
        if len(found) == 3:
            return found
        return _json([{"type": "file", "path": n, "size": len(c), "oid": _git_oid(c)} for n, c in found[1].items()])

    def resolve(self, headers: dict[str, str], body: bytes, repo_id: str, revision: str, file: str) -> Answer:
        found = self.found(repo_id, headers, revision)
        if len(found) == 3:
            return found
        commit, files = found
        if file not in files:
            status, extra, text = _error(404, "EntryNotFound", "Entry not found")
            return status, extra | {"X-Repo-Commit": commit}, text
        content = files[file]
        extra = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        if file in self._corrupt and content:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        if match := re.fullmatch(r"bytes=(\d+)-", headers.get("range", "")):
            begin = int(match[1])
            extra["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            return 206, extra, content[begin:]
        return 200, extra, content

    def create(self, headers: dict[str, str], body: bytes) -> Answer:
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, "", "Invalid credentials in Authorization header")
        asked = json.loads(body)
        repo_id = f"{asked.get('organization') or 'tester'}/{asked['name']}"
        url = f"{self.url}/{repo_id}"
        if repo_id in self.repos:
            return 409, {}, json.dumps({"error": "You already created this model repo", "url": url}).encode()
        private = asked.get("private", False) or asked.get("visibility") == "private"
        self.repos[repo_id] = Repo(private=private)
        self.repos[repo_id].commit({})
        return _json({"url": url})

    def preupload(self, headers: dict[str, str], body: bytes, repo_id: str, revision: str) -> Answer:
        current = self.repos[repo_id].at(revision)
        rows = []
        for file in json.loads(body)["files"]:
            large = file["path"].endswith(".safetensors")
            row: dict[str, Any] = {
                "path": file["path"],
                "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": False,
            }
            content = current[1].get(file["path"]) if current else None
            if content is not None:
                row["oid"] = hashlib.sha256(content).hexdigest() if large else _git_oid(content)
            rows.append(row)
        return _json({"files": rows})

    def lfs_batch(self, headers: dict[str, str], body: bytes, repo_id: str) -> Answer:
        objects = []
        for item in json.loads(body)["objects"]:
            there = item["oid"] in self.lfs
            actions = {} if there else {"actions": {"upload": {"href": f"{self.url}/lfs/{item['oid']}"}}}
            objects.append({"oid": item["oid"], "size": item["size"], **actions})
        return _json({"transfer": "basic", "objects": objects})

    def lfs_put(self, headers: dict[str, str], body: bytes, oid: str) -> Answer:
        if hashlib.sha256(body).hexdigest() != oid:
            return _error(400, "", "the content is not that of its oid")
        self.lfs[oid] = body
        return 200, {}, b""

    def commit(self, headers: dict[str, str], body: bytes, repo_id: str, revision: str) -> Answer:
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, "", "Invalid credentials in Authorization header")
        repo = self.repos[repo_id]
        head = repo.at(revision)
        files = dict(head[1]) if head else {}
        for line in filter(None, body.split(b"\n")):
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header" and value.get("parentCommit") not in (None, head[0] if head else None):
                return _error(412, "", "parentCommit is not the head")
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.lfs[value["oid"]]
            elif item["key"] == "deletedFile":
                files.pop(value["path"], None)
        commit = repo.commit(files)
        return _json({"commitOid": commit, "commitUrl": f"{self.url}/{repo_id}/commit/{commit}"})

    def tag(self, headers: dict[str, str], body: bytes, repo_id: str, revision: str) -> Answer:
        name, found = json.loads(body)["tag"], self.repos[repo_id].at(revision)
        if name in self.repos[repo_id].tags:
            return _error(409, "", "Tag reference exists already")
        if found is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        self.repos[repo_id].tags[name] = found[0]
        return _json({})

    def whoami(self, headers: dict[str, str], body: bytes) -> Answer:
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, "", "Invalid credentials in Authorization header")
        return _json({"type": "user", "name": "tester", "orgs": [], "auth": {}})

    def validate(self, headers: dict[str, str], body: bytes) -> Answer:
        return _json({"errors": [], "warnings": []})


_ID = r"([\w.-]+/[\w.-]+)"
_ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("GET", rf"/{_ID}/resolve/([^/]+)/(.+)", HubStandIn.resolve),
    ("HEAD", rf"/{_ID}/resolve/([^/]+)/(.+)", HubStandIn.resolve),
    ("GET", rf"/api/models/{_ID}", HubStandIn.info),
    ("GET", rf"/api/models/{_ID}/revision/([^/]+)", HubStandIn.info),
    ("GET", rf"/api/models/{_ID}/tree/([^/]+)", HubStandIn.tree),
    ("GET", r"/api/whoami-v2", HubStandIn.whoami),
    ("POST", r"/api/validate-yaml", HubStandIn.validate),
    ("POST", r"/api/repos/create", HubStandIn.create),
    ("POST", rf"/api/models/{_ID}/preupload/([^/]+)", HubStandIn.preupload),
    ("POST", rf"/{_ID}\.git/info/lfs/objects/batch", HubStandIn.lfs_batch),
    ("PUT", r"/lfs/([0-9a-f]{64})", HubStandIn.lfs_put),
    ("POST", rf"/api/models/{_ID}/commit/([^/]+)", HubStandIn.commit),
    ("POST", rf"/api/models/{_ID}/tag/([^/]+)", HubStandIn.tag),
]


def _json(value: Any) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _error(status: int, code: str, message: str) -> Answer:
    """The client decides by ``X-Error-Code``, not by the status alone."""
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return status, headers, json.dumps({"error": message}).encode()


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def _handler(hub: HubStandIn) -> type[BaseHTTPRequestHandler]:
    """The request handler of one stand-in."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            headers = {k.lower(): v for k, v in self.headers.items()}
            status, extra, content = hub.answer(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.send_body(content, is_file="/resolve/" in self.path)

        def send_body(self, content: bytes, *, is_file: bool) -> None:
            cut = hub._cut_after if is_file else None
            for start in range(0, len(content), 65536):
                if is_file and hub._seconds_per_chunk:
                    time.sleep(hub._seconds_per_chunk)
                chunk = content[start : start + 65536]
                if cut is not None and start + len(chunk) > cut:
                    self.wfile.write(chunk[: max(cut - start, 0)])
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.close()
                    return
                self.wfile.write(chunk)

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, ValueError):  # the client was killed, or the connection was cut as asked
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """The log is ``hub.requests``."""

        do_GET = do_HEAD = do_POST = do_PUT = serve

    return Handler
