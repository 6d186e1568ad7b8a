"""Answers the requests of ``huggingface_hub`` from repositories and commits in memory.

:class:`zoo_core.testing.hub_standin.HubStandIn` serves the answers over HTTP.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

__all__ = ["READ_TOKEN", "TOKEN", "Answer", "Repo", "Repositories"]

TOKEN = "hf_test"
"""Token that may read and write everything."""
READ_TOKEN = "hf_read"
"""Token that may read everything, and write nothing."""
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Repo:
    """A repository with its commits, the newest last; each commit has the content of files by name."""

    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(self, files: dict[str, bytes]) -> str:
        """Adds a commit with exactly these files, and returns its hash of 40 hex digits."""
        parent = self.commits[-1][0] if self.commits else ""
        digest = hashlib.sha1(parent.encode())
        for name in sorted(files):
            digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
        self.commits.append((digest.hexdigest(), files))
        return self.commits[-1][0]

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Returns the commit of a revision (branch, tag or commit), with its files; ``None`` if there is none."""
        if revision == "main":
            return self.commits[-1] if self.commits else None
        revision = self.tags.get(revision, revision)
        return next((c for c in self.commits if c[0] == revision), None)


class Repositories(ABC):
    """The repositories of a Hub, and its answers to requests.

    Args:
        lfs: whether weights are uploaded by LFS; otherwise they are part of the commit's request.
    """

    def __init__(self, *, lfs: bool = True) -> None:
        self.repos: dict[str, Repo] = {}
        self.lfs: dict[str, bytes] = {}
        self.uses_lfs = lfs
        self._corrupt: set[str] = set()

    @property
    @abstractmethod
    def url(self) -> str:
        """The address of the Hub."""

    def add_repo(self, repo_id: str, files: dict[str, bytes], *, private: bool = False, gated: bool = False) -> str:
        """Adds a commit to a repository, which is created if it does not exist, and returns the commit's hash."""
        repo = self.repos.setdefault(repo_id, Repo())
        repo.private, repo.gated = private, gated
        return repo.commit(dict(files))

    def route(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Returns the answer to a request."""
        for verb, pattern, action in _ROUTES:
            if method == verb and (match := re.fullmatch(pattern, path)):
                return action(self, headers, body, *map(unquote, match.groups()))
        return _error(404, "", f"no route for {method} {path}")

    def allowed(self, headers: dict[str, str], *, write: bool = False) -> bool:
        """Says whether a request has a token that may read, or with ``write`` may write."""
        return headers.get("authorization") in [f"Bearer {t}" for t in ((TOKEN,) if write else (TOKEN, READ_TOKEN))]

    def refused(self, headers: dict[str, str], repo_id: str = "") -> Answer | None:
        """Returns the Hub's refusal of a request to write; ``None`` if it is allowed and the repository exists."""
        if not self.allowed(headers):
            return _error(401, "", "Invalid credentials in Authorization header")
        if not self.allowed(headers, write=True):
            return _error(403, "", "You need write access to do this")
        return _error(404, "RepoNotFound", "Repository not found") if repo_id and repo_id not in self.repos else None

    def found(
        self, repo_id: str, headers: dict[str, str], revision: str = "main"
    ) -> Answer | tuple[str, dict[str, bytes]]:
        """Returns a commit and its files, or the Hub's refusal."""
        repo, authorised = self.repos.get(repo_id), self.allowed(headers)
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
        return _json([self._path_info(name, content) for name, content in found[1].items()])

    def paths_info(self, headers: dict[str, str], body: bytes, repo_id: str, revision: str) -> Answer:
        found = self.found(repo_id, headers, revision)
        if len(found) == 3:
            return found
        if headers.get("content-type", "").startswith("application/json"):
            asked = json.loads(body)["paths"]
        else:
            asked = parse_qs(body.decode()).get("paths", [])
        return _json([self._path_info(name, found[1][name]) for name in asked if name in found[1]])

    def _path_info(self, name: str, content: bytes) -> dict[str, Any]:
        row: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": _git_oid(content)}
        if self._is_lfs(name):
            row["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return row

    def _is_lfs(self, name: str) -> bool:
        return self.uses_lfs and name.endswith(".safetensors")

    def resolve(self, headers: dict[str, str], body: bytes, repo_id: str, revision: str, file: str) -> Answer:
        found = self.found(repo_id, headers, revision)
        if len(found) == 3:
            return found
        commit, files = found
        if file not in files:
            status, extra, text = _error(404, "EntryNotFound", "Entry not found")
            return status, extra | {"X-Repo-Commit": commit}, text
        content = files[file]
        tag = hashlib.sha256(content).hexdigest() if self._is_lfs(file) else _git_oid(content)
        extra = {"X-Repo-Commit": commit, "ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
        if file in self._corrupt and content:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        if match := re.fullmatch(r"bytes=(\d+)-", headers.get("range", "")):
            begin = int(match[1])
            extra["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            return 206, extra, content[begin:]
        return 200, extra, content

    def create(self, headers: dict[str, str], body: bytes) -> Answer:
        if refusal := self.refused(headers):
            return refusal
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
        if refusal := self.refused(headers, repo_id):
            return refusal
        current = self.repos[repo_id].at(revision)
        rows = []
        for file in json.loads(body)["files"]:
            large = self._is_lfs(file["path"])
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
        if refusal := self.refused(headers, repo_id):
            return refusal
        objects = []
        for item in json.loads(body)["objects"]:
            there = item["oid"] in self.lfs
            actions = {} if there else {"actions": {"upload": {"href": f"{self.url}/lfs/{item['oid']}"}}}
            objects.append({"oid": item["oid"], "size": item["size"], **actions})
        return _json({"transfer": "basic", "objects": objects})

    def lfs_put(self, headers: dict[str, str], body: bytes, oid: str) -> Answer:
        if hashlib.sha256(body).hexdigest() != oid:
            return _error(400, "", "the content does not have the hash of its oid")
        self.lfs[oid] = body
        return 200, {}, b""

    def commit(self, headers: dict[str, str], body: bytes, repo_id: str, revision: str) -> Answer:
        if refusal := self.refused(headers, repo_id):
            return refusal
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
        if not self.allowed(headers):
            return _error(401, "", "Invalid credentials in Authorization header")
        return _json({"type": "user", "name": "tester", "orgs": [], "auth": {}})

    def validate(self, headers: dict[str, str], body: bytes) -> Answer:
        return _json({"errors": [], "warnings": []})


_ID = r"([\w.-]+/[\w.-]+)"
_ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("GET", rf"/{_ID}/resolve/([^/]+)/(.+)", Repositories.resolve),
    ("HEAD", rf"/{_ID}/resolve/([^/]+)/(.+)", Repositories.resolve),
    ("GET", rf"/api/models/{_ID}", Repositories.info),
    ("GET", rf"/api/models/{_ID}/revision/([^/]+)", Repositories.info),
    ("GET", rf"/api/models/{_ID}/tree/([^/]+)", Repositories.tree),
    ("POST", rf"/api/models/{_ID}/paths-info/([^/]+)", Repositories.paths_info),
    ("GET", r"/api/whoami-v2", Repositories.whoami),
    ("POST", r"/api/validate-yaml", Repositories.validate),
    ("POST", r"/api/repos/create", Repositories.create),
    ("POST", rf"/api/models/{_ID}/preupload/([^/]+)", Repositories.preupload),
    ("POST", rf"/{_ID}\.git/info/lfs/objects/batch", Repositories.lfs_batch),
    ("PUT", r"/lfs/([0-9a-f]{64})", Repositories.lfs_put),
    ("POST", rf"/api/models/{_ID}/commit/([^/]+)", Repositories.commit),
    ("POST", rf"/api/models/{_ID}/tag/([^/]+)", Repositories.tag),
]


def _json(value: Any) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _error(status: int, code: str, message: str) -> Answer:
    """Makes the answer for an error; the client reads ``X-Error-Code`` besides the status."""
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return status, headers, json.dumps({"error": message}).encode()


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
