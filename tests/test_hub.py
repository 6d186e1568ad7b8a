"""Weights from a real HTTP server: verified, once, whole; and every way in which it can go wrong."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from zoo_core import fetching, installed
from zoo_core.errors import AccessError, ChecksumError, NetworkError, WeightsError
from zoo_core.fetching import bundled
from zoo_core.registry.entry import Entry, Weights
from zoo_core.testing.fake_plugins import install
from zoo_core.testing.hub_standin import TOKEN, HubStandIn

CONTENT = bytes(range(256)) * 2048  # half a megabyte: eight chunks


def entry_for(commit: str, content: bytes = CONTENT, **weights: object) -> Entry:
    pinned = Weights("model.safetensors", hashlib.sha256(content).hexdigest(), len(content), False, "org/toy", commit)
    return Entry("toy-moons", "toy", "zoo-toy", {}, "a toy", weights=replace(pinned, **weights))


@pytest.fixture
def server(zoo_hub):
    return zoo_hub


@pytest.fixture
def home(zoo_hub, tmp_path):
    """The cache of this process, which talks to the stand-in."""
    return tmp_path / "hf"


@pytest.fixture
def toy(server, home):
    return entry_for(server.add_repo("org/toy", {"model.safetensors": CONTENT}))


def snapshot_of(entry: Entry) -> Path:
    assert entry.weights is not None
    return fetching.cache_dir() / "models--org--toy" / "snapshots" / entry.weights.revision / entry.weights.file


def test_first_fetch_downloads_second_asks_nothing(server, toy):
    first = fetching.fetch(toy)
    assert (first.came_from, first.content, first.size) == ("hub", CONTENT, len(CONTENT))
    assert len(server.downloads()) == 1
    server.requests.clear()
    second = fetching.fetch(toy)
    assert (second.came_from, second.sha256) == ("cache", first.sha256)
    assert server.requests == []


def test_offline_works_once_it_is_cached(toy):
    with pytest.raises(NetworkError, match=r"offline, and file .* of org/toy@.* zoo download toy-moons"):
        fetching.fetch(toy, offline=True)
    fetching.fetch(toy)
    assert fetching.fetch(toy, offline=True).came_from == "cache"


def test_a_flipped_byte_on_the_way_is_seen_and_leaves_nothing(server, toy):
    server.corrupt("model.safetensors")
    with pytest.raises(ChecksumError, match="it was deleted"):
        fetching.fetch(toy)
    assert len(server.downloads()) == 2  # it tried once more
    assert not snapshot_of(toy).exists()
    assert not [p for p in (fetching.cache_dir() / "models--org--toy" / "blobs").iterdir() if p.is_file()]
    server.corrupt("model.safetensors", wrong=False)
    assert fetching.fetch(toy).content == CONTENT


def test_a_flipped_byte_in_the_cache_is_fetched_again(server, toy):
    fetching.fetch(toy)
    blob = snapshot_of(toy).resolve()
    blob.write_bytes(CONTENT[:1000] + b"\xff" + CONTENT[1001:])
    with pytest.raises(ChecksumError):
        fetching.fetch(toy, offline=True)
    assert not blob.exists()
    assert fetching.fetch(toy).content == CONTENT


@pytest.mark.parametrize("wrong", [CONTENT[:-1], CONTENT + b"\0", b""])
def test_another_size_is_refused(server, home, wrong):
    commit = server.add_repo("org/toy", {"model.safetensors": wrong})
    with pytest.raises(ChecksumError, match="bytes, the registry says"):
        fetching.fetch(entry_for(commit))


@pytest.mark.slow
def test_a_cut_connection_fails_and_leaves_nothing_that_loads(server, toy):
    server.cut_after(100_000)
    with pytest.raises((NetworkError, WeightsError)):
        fetching.fetch(toy)
    assert not snapshot_of(toy).exists()
    server.cut_after(None)
    assert fetching.fetch(toy).content == CONTENT


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_outage_is_survived_by_trying_again(server, toy, status):
    server.fail_next(status)
    assert fetching.fetch(toy).content == CONTENT


def test_no_server_is_said_at_once(server, toy, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NetworkError, match=r"cannot reach http://127\.0\.0\.1:9"):
        fetching.fetch(toy)


def test_private_and_gated_and_missing(server, home, monkeypatch):
    private = entry_for(server.add_repo("org/toy", {"model.safetensors": CONTENT}, private=True))
    with pytest.raises(AccessError, match="does not exist, or is private"):
        fetching.fetch(private)
    server.repos["org/toy"].private, server.repos["org/toy"].gated = False, True
    with pytest.raises(AccessError, match="is gated"):
        fetching.fetch(private)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    assert fetching.fetch(private).content == CONTENT


def test_no_such_revision_and_no_such_file(server, toy):
    with pytest.raises(WeightsError, match="has no revision"):
        fetching.fetch(entry_for("0" * 40))
    with pytest.raises(WeightsError, match=r"has no file 'other\.safetensors'"):
        fetching.fetch(replace(toy, weights=replace(toy.weights, file="other.safetensors")))


def bundle(site: Path, content: bytes, name: str = "model.safetensors") -> Entry:
    """A plugin package with a snapshot, which must not be imported."""
    package = site / install(site, "zoo-toy", "raise SystemExit('imported')")
    folder = package / "weights" / "toy-moons"
    folder.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    (folder / name).write_bytes(content)
    installed.reset()
    return entry_for("", repo_id="", revision="", bundled=True)


def test_bundled_comes_first_and_imports_nothing(server, home, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    entry = bundle(tmp_path / "site", CONTENT)
    fetched = fetching.fetch(entry)
    assert (fetched.came_from, fetched.content) == ("bundled", CONTENT)
    assert bundled.has_weights(entry)
    assert server.requests == []
    (tmp_path / "site" / "zoo_toy" / "weights" / "toy-moons" / "model.safetensors").write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(ChecksumError, match="reinstall the plugin"):
        fetching.fetch(entry)


@pytest.mark.parametrize("escape", ["../secret", "/etc/passwd", "..", "."])
def test_a_path_cannot_leave_its_folder(home, tmp_path, monkeypatch, escape):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    entry = bundle(tmp_path / "site", CONTENT)
    (tmp_path / "site" / "zoo_toy" / "weights" / "secret").write_bytes(CONTENT)
    with pytest.raises(WeightsError, match=r"leads out of|not a regular file|no file"):
        fetching.fetch(replace(entry, weights=replace(entry.weights, file=escape)))


def test_a_link_out_of_the_folder_and_a_device_are_refused(home, tmp_path):
    (tmp_path / "secret").write_bytes(CONTENT)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").symlink_to(tmp_path / "secret")
    with pytest.raises(WeightsError, match="leads out of"):
        fetching.fetch(entry_for(""), weights_from=str(folder))
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(WeightsError, match="not a regular file"):
        fetching.fetch(entry_for(""), weights_from=str(folder))


def test_cache_verbs(toy):
    assert not fetching.cached(toy)
    assert fetching.cached_repos([toy]) == []
    fetching.fetch(toy)
    assert fetching.cached(toy)
    assert fetching.cached_repos([toy])[0]["size"] == len(CONTENT)
    assert fetching.remove_cached(toy) >= len(CONTENT)
    assert not fetching.cached(toy)
    assert fetching.remove_cached(toy) == 0


FETCH = """
import sys
from zoo_core import fetching
from zoo_core.registry.entry import Entry, Weights
sha256, size, revision = sys.argv[1:]
weights = Weights("model.safetensors", sha256, int(size), False, "org/toy", revision)
entry = Entry("toy-moons", "toy", "zoo-toy", {}, "a toy", weights=weights)
print(fetching.fetch(entry).came_from)
"""


def start(server: HubStandIn, home: Path, entry: Entry) -> subprocess.Popen[str]:
    weights = entry.weights
    assert weights is not None
    command = [sys.executable, "-c", FETCH, weights.sha256, str(weights.size), weights.revision]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | server.environment(home)
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_eight_at_once_on_an_empty_cache_leave_one_good_copy(server, toy, home):
    server.slow(0.02)
    processes = [start(server, home, toy) for _ in range(8)]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.strip() in ("hub", "cache")
    assert len(list((home / "hub").rglob("snapshots/*/*"))) == 1
    blobs = [p for p in (home / "hub" / "models--org--toy" / "blobs").iterdir() if p.is_file()]
    assert [p.read_bytes() for p in blobs] == [CONTENT]
    assert fetching.fetch(toy, offline=True).content == CONTENT


def test_killed_in_the_middle_leaves_nothing_that_loads(server, toy, home):
    server.slow(0.3)
    process = start(server, home, toy)
    deadline = time.monotonic() + 30
    while not server.downloads() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.7)  # two of eight chunks
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert not snapshot_of(toy).exists()
    with pytest.raises(NetworkError):
        fetching.fetch(toy, offline=True)
    server.slow(0.0)
    assert fetching.fetch(toy).content == CONTENT


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the client's own transport
def test_the_stand_in_takes_uploads(server, home, tmp_path):
    """``create_repo`` and ``upload_folder`` of the real client, LFS included; the second makes no commit."""
    import huggingface_hub

    api = huggingface_hub.HfApi(endpoint=server.url, token=TOKEN)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "README.md").write_text("# toy\n", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(CONTENT)
    api.create_repo("org/new", private=True)
    done = api.upload_folder(repo_id="org/new", folder_path=folder)
    assert server.repos["org/new"].at("main") == (done.oid, {"README.md": b"# toy\n", "model.safetensors": CONTENT})
    again = api.upload_folder(repo_id="org/new", folder_path=folder)
    assert again.oid == done.oid
    api.create_tag("org/new", tag="v1")
    assert api.model_info("org/new", revision="v1").sha == done.oid
