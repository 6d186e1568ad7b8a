"""Generated names and paths, and a Hub that answers anything.  Each is an error with its exit code, or the right model.

Seeds are fixed: 600 names, 60 folders with something odd in them, 160 answers.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.utils import logging

import zoo_core
from zoo_core import registry
from zoo_core.errors import NetworkError, WeightsError
from zoo_core.fetching import bundled
from zoo_core.fetching.references import entry_of
from zoo_core.files import reading
from zoo_core.testing.hub_standin import Fault, HubStandIn

NAME = "gmm-eight-gaussians"

PARTS = [
    "..", ".", "/", "//", "./", "../", "~", "~nobody", "~root/", "hf:", "local-dir:", "@", ":", "-", "--", "", " ",
    "\n", "\t", "\0", "\x1b[2J", "a", "org", "ring", "org/ring", NAME, "zoo-gmm:", "main", "0" * 40, "f" * 39,
    "refs/pr/1", "é", "ｄdpm", "\u202e", "𝔤𝔪𝔪", "\ud800", "%2e%2e", "%00",
    "a" * 300, "b" * 5000, "dev/zero", "/dev/zero", "models--a",
    "/proc/self/mem", "/proc/self/fd/0", "/etc/passwd", "CON", "*", "?", "[", "$(id)", "`id`", ";",
    "config.json", "None", "\\", "C:\\", "file://", "https://hub/", "#", "snapshots", "1e309",
]  # fmt: skip


def contents() -> dict[str, bytes]:
    folder = bundled.folder_of(registry.load().get(NAME))
    assert folder is not None
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_six_hundred_names(tmp_path, monkeypatch, judged):
    """No name reads outside of what it may, runs anything, or hangs; those that mean the model load the model."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.chdir(tmp_path)
    source, seen = random.Random(4), Counter()
    right = zoo_core.load(NAME).state_dict()
    for case in range(600):
        name = "".join(source.choice(PARTS) for _ in range(source.choice([1, 1, 2, 2, 3, 4])))
        name = NAME if case % 60 == 0 else name
        model = judged(f"name {case} {name[:60]!r}", lambda n=name: zoo_core.load(n, offline=True), codes={3, 4, 5, 6})
        seen["loaded" if model else "refused"] += 1
        if model:
            assert name.endswith(NAME)
            assert all(torch.equal(value, right[key]) for key, value in model.state_dict().items())
        where = "".join(source.choice(PARTS) for _ in range(2))
        judged(
            f"source {case} {where[:60]!r}",
            lambda w=where: zoo_core.load(NAME, weights_from=w, offline=True),
            codes={4, 5},
        )
    assert min(seen.values()) >= 5, seen
    assert list(tmp_path.iterdir()) == []


def odd(path: Path, kind: str, source: random.Random) -> None:
    """Puts something that is no plain file where a file should be."""
    good = path.read_bytes()
    path.unlink()
    if kind == "device":
        path.symlink_to(source.choice(["/dev/zero", "/dev/random", "/dev/stdin", "/dev/tty", "/dev/null"]))
    elif kind == "process":
        path.symlink_to(source.choice(["/proc/self/mem", "/proc/self/environ", "/proc/kmsg", "/proc/self/fd/0"]))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "outside":
        (path.parent.parent / "secret").write_bytes(good)
        path.symlink_to(source.choice(["../secret", str(path.parent.parent / "secret")]))
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "nothing":
        path.symlink_to("nowhere")
    elif kind == "folder":
        path.mkdir()
    elif kind == "through a folder":
        (path.parent.parent / "elsewhere").mkdir()
        (path.parent.parent / "elsewhere" / path.name).write_bytes(good)
        (path.parent / "door").symlink_to("../elsewhere")
        path.symlink_to(f"door/{path.name}")
    elif kind == "endless":
        with open(path, "wb") as f:
            f.truncate(1 << 42)
    elif kind == "empty":
        path.touch()


KINDS = [
    "device", "process", "pipe", "outside", "loop", "nothing", "folder", "through a folder", "endless", "empty",
]  # fmt: skip


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_sixty_odd_folders(tmp_path, judged, file):
    source = random.Random(5)
    for case in range(30):
        kind = KINDS[case % len(KINDS)]
        folder = tmp_path / str(case) / "ring"
        folder.mkdir(parents=True)
        for name, content in contents().items():
            (folder / name).write_bytes(content)
        odd(folder / file, kind, source)
        if case % 2 and file != "config.json":  # a folder whose config pins nothing
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            del config["weights"]["sha256"]
            (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        for name in (str(folder), f"local-dir:{folder}"):
            assert judged(f"{kind} for {file}", lambda n=name: zoo_core.load(n), codes={4}) is None
        judged(f"{kind} as source", lambda f=folder: zoo_core.load(NAME, weights_from=str(f)), codes={4})


def test_a_file_claimed_to_be_endless_is_not_believed(tmp_path):
    """A sparse file of four terabytes, whose config says so: more than the machine has, said and not tried."""
    folder = tmp_path / "ring"
    folder.mkdir()
    for name, content in contents().items():
        (folder / name).write_bytes(content)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["weights"]["size"] = 1 << 42
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    os.truncate(folder / "model.safetensors", 1 << 42)
    with pytest.raises(WeightsError, match="more than this machine's memory"):
        zoo_core.load(str(folder))


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A Hub, and this process as its client, which waits for nothing."""
    import huggingface_hub.constants as constants

    with HubStandIn() as standin:
        standin.use_here(monkeypatch, tmp_path / "hf")
        for module in ("utils._http", "file_download"):
            monkeypatch.setattr(f"huggingface_hub.{module}.time", SimpleNamespace(sleep=lambda _: None, time=time.time))
        monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)  # where less comes than was promised
        monkeypatch.setattr("zoo_core.fetching.hub_client.FIRST_WORD", 0.3)
        verbosity = logging.get_verbosity()
        logging.set_verbosity(50)
        yield standin
        logging.set_verbosity(verbosity)


BODIES: list[bytes] = [
    b"", b"<!doctype html><html><body>Log in to the wifi</body></html>", b"{", b"null", b"[]", b"{}", b"3", b'"x"',
    b"\xff\xfe", b'{"id": "org/ring"}', b'{"id": "org/ring", "sha": null}', b'{"id": "org/ring", "sha": "main"}',
    b'{"id": "org/ring", "sha": "../../../../tmp/x"}', b'{"id": "org/ring", "sha": 7}', b'{"id": 7, "sha": []}',
    b'{"id": "org/other", "sha": "' + b"0" * 40 + b'"}', b"\x80\x04\x95cos\nsystem\n", b"x" * 300_000, b"[" * 50_000,
]  # fmt: skip
STATUSES = [200, 200, 200, 200, 201, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 410, 416, 418, 429, 500, 503]
ZEROS, ONES = f'"{"0" * 40}"', f'"{"1" * 64}"'
HEADERS: dict[str, list[str]] = {
    "X-Repo-Commit": ["", "main", "0" * 40, "../../../../etc", "\xe9", "a" * 8000],
    "ETag": ["", '""', '"../../../../../../etc/passwd"', "W/x", ZEROS, ONES, '"..\\.."', '"a/b"', '"/tmp/x"'],
    "Content-Length": ["0", "1", "99999999", "-1", "x", ""],
    "X-Linked-Size": ["0", "7", "-7", "x", "99999999999999999999"],
    "X-Linked-Etag": [ONES, '"../x"', ""],
    "Location": [
        "/",
        "//127.0.0.1:9/x",
        "http://127.0.0.1:9/x",
        "file:///etc/passwd",
        "\\",
        "/org/ring/resolve/main/x",
    ],
    "Content-Encoding": ["gzip", "br", "x"],
    "Content-Range": ["bytes 0-1/2", "bytes 5-1/x", "x"],
    "X-Error-Code": ["RepoNotFound", "GatedRepo", "EntryNotFound", "RevisionNotFound", "x"],
    "X-Error-Message": ["two words", "\xe9"],
    "Retry-After": ["0", "-1", "x", "99999999999"],
    "Content-Type": ["text/html", "application/json", "application/x-python-pickle"],
    "X-Xet-Hash": ["x"],
    "Link": ['<http://127.0.0.1:9/>; rel="next"'],
}
REQUESTS = [
    "GET /api/models/org/ring",
    "HEAD .*config",
    "GET .*resolve.*config",
    "HEAD .*safetensors",
    "GET .*safetensors",
]


def answer(source: random.Random, true: dict[str, str]) -> Fault:
    """A wrong answer to one kind of request, once or always."""
    headers = dict(true) if source.random() < 0.7 else {}
    for name in source.sample(list(HEADERS), source.choice([0, 1, 1, 2, 3])):
        headers[name] = source.choice(HEADERS[name])
    body = source.choice(BODIES)
    return Fault(
        source.choice(REQUESTS),
        (source.choice(STATUSES), headers, body),
        source.choice([1, 99]),
        cut=source.choice([None, None, None, None, 0, 5]),
    )


@pytest.mark.slow
def test_a_hundred_and_sixty_answers_of_a_hub(server, tmp_path, monkeypatch, judged):
    """Whatever it answers, what loads is the model; nothing is written outside of the cache; next time it works."""
    commit = server.add_repo("org/ring", contents())
    right = zoo_core.load(NAME).state_dict()
    source, seen = random.Random(6), Counter()
    true = {"X-Repo-Commit": commit, "ETag": f'"{reading.git_hash(contents()["config.json"])}"'}

    def same(model: Any) -> bool:
        return all(torch.equal(value, right[key]) for key, value in model.state_dict().items())

    for case in range(160):
        home = tmp_path / "homes" / str(case)
        monkeypatch.setenv("HF_HOME", str(home))
        fault = answer(source, true)
        reference = source.choice(["hf:org/ring", f"hf:org/ring@{commit}"])
        server.fault(fault)
        label = f"answer {case} {fault}"[:500]
        model = judged(label, lambda r=reference: zoo_core.load(r), codes={4, 5, 6}, seconds=20)
        seen["loaded" if model else "refused"] += 1
        assert model is None or same(model), label
        server.heal()
        huggingface_hub.close_session()  # a body longer than it said goes on in the next answer of the connection
        late = judged(
            f"offline after {label}", lambda: zoo_core.load(f"hf:org/ring@{commit}", offline=True), codes={4, 5}
        )
        assert late is None or same(late), label
        again = judged(f"again after {label}", lambda r=reference: zoo_core.load(r), codes=set())
        assert again is None or same(again), label
        shutil.rmtree(home)
    assert min(seen.values()) > 20, seen
    assert sorted(p.name for p in tmp_path.iterdir()) == ["homes"]


HOSTILE = {
    "a hash that leads out": {"ETag": '"../../../../../escaped"'},
    "a hash that is a path": {"ETag": '"{}/escaped"'},
    "a linked hash that is a path": {"ETag": '"' + "0" * 40 + '"', "X-Linked-Etag": '"{}/escaped"'},
    "a commit that leads out": {"ETag": '"' + "0" * 40 + '"', "X-Repo-Commit": "../../../../escaped"},
    "a commit that is a path": {"ETag": '"' + "0" * 40 + '"', "X-Repo-Commit": "{}/escaped"},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_answer_cannot_choose_where_it_is_written(server, tmp_path, kind):
    """The client writes to ``blobs/<ETag>`` and ``snapshots/<X-Repo-Commit>``, whatever those are."""
    commit = server.add_repo("org/ring", contents())
    headers = {"X-Repo-Commit": commit} | {k: v.format(tmp_path) for k, v in HOSTILE[kind].items()}
    server.fault(Fault("HEAD .*config", (200, headers | {"Content-Length": "7"}, b""), 99))
    server.fault(Fault("GET .*config", (200, headers, b"content"), 99))
    with pytest.raises(NetworkError, match="answer refused"):
        entry_of(f"hf:org/ring@{commit}")
    assert not list(tmp_path.rglob("*escaped*"))


def test_a_changed_config_on_the_way_is_seen(server):
    """The client compares sizes only; the git hash that the Hub gives is compared here."""
    commit = server.add_repo("org/ring", contents())
    server.corrupt("config.json")
    with pytest.raises(WeightsError, match=r"has the git hash .*it was deleted, try again"):
        entry_of(f"hf:org/ring@{commit}")
    server.heal()
    assert entry_of(f"hf:org/ring@{commit}").family == "gmm"


def test_an_answer_under_another_commit_is_not_taken(server):
    commit = server.add_repo("org/ring", contents())
    other = server.add_repo("org/ring", contents() | {"README.md": b"newer"})
    fault = server.route("HEAD", f"/org/ring/resolve/{other}/config.json", {}, b"")
    server.fault(Fault("HEAD .*config", fault, 9))
    with pytest.raises(zoo_core.errors.ZooError, match="sent another commit of org/ring"):
        entry_of(f"hf:org/ring@{commit}")
