"""Faults: a process killed, a disk full, a cache that cannot be written, many at once, a clock gone back.

Nothing that loads is ever wrong, nothing that was finished is lost, and the next attempt succeeds.  Each test says what
it tried with ``survived``; ``docs/faults.py`` makes a table of that.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import zoo_core
from zoo_core import fetching, plugins, registry
from zoo_core.errors import NetworkError, RegistryError, WeightsError, ZooError
from zoo_core.files import folders
from zoo_core.registry import writer
from zoo_core.registry.entry import Entry, Weights
from zoo_core.saving import snapshot
from zoo_core.testing.fake_plugins import install
from zoo_core.testing.hub_standin import HubStandIn
from zoo_core.training import checkpoint

NAME = "gmm-eight-gaussians"
CONTENT = bytes(range(256)) * 2048  # half a megabyte: eight chunks
SCRIPT = Path(__file__).parent / "fault_operations.py"
DOCS = Path(__file__).parent.parent / "docs"

Survived = Callable[..., None]


@pytest.fixture
def survived(request) -> Survived:
    """Records a row of the table, where ``ZOO_FAULTS`` names a file for it."""

    def record(fault: str, operation: str, tries: int, outcome: str) -> None:
        if path := os.environ.get("ZOO_FAULTS"):
            row = {"fault": fault, "operation": operation, "tries": tries, "outcome": outcome}
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row | {"test": request.node.name}) + "\n")

    return record


@pytest.fixture
def server() -> Iterator[HubStandIn]:
    with HubStandIn() as standin:
        yield standin


def operate(server: HubStandIn, folder: Path, name: str, tries: int, seed: int = 0) -> dict[str, int]:
    """Runs ``fault_operations.py``; returns what it saw."""
    commit = server.add_repo("org/toy", {"model.safetensors": CONTENT})
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ZOO_"))}
    variables |= server.environment(folder / "hf", token=True)
    variables |= {
        "FAULT_WEIGHTS": f"{commit} {hashlib.sha256(CONTENT).hexdigest()} {len(CONTENT)}",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-W", "ignore", str(SCRIPT), name, str(folder), str(tries), str(seed)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


KILLED = ["download", "save", "publish", "checkpoint"]
WORDS = {
    "download": "download into an empty cache",
    "save": "snapshot in place of another",
    "publish": "publish and pin",
    "checkpoint": "training checkpoint, new and again",
}


def kill(server: HubStandIn, folder: Path, operation: str, tries: int, survived: Survived) -> None:
    if operation == "download":
        server.slow(0.01)
    seen = operate(server, folder, operation, tries)
    seen.pop("finished", None)
    if operation == "publish":
        complete_commits(server)
    survived(
        "kill -9 at a random moment", WORDS[operation], tries, ", ".join(f"{v} {k}" for k, v in sorted(seen.items()))
    )


def complete_commits(server: HubStandIn) -> None:
    """Every commit on the Hub is a whole snapshot."""
    for _, files in server.repos["org/ring"].commits[1:]:
        config = json.loads(files["config.json"])
        assert hashlib.sha256(files["model.safetensors"]).hexdigest() == config["weights"]["sha256"]
        assert f"\n{config['summary']}.\n" in files["README.md"].decode()


@pytest.mark.parametrize(
    "operation", [pytest.param(one, marks=pytest.mark.slow if one != "save" else ()) for one in KILLED]
)
def test_killed_a_few_times(server, tmp_path, operation):
    kill(server, tmp_path, operation, 5, lambda *_: None)


@pytest.mark.slow
@pytest.mark.parametrize("operation", KILLED)
def test_killed_at_fifty_random_moments(server, tmp_path, operation, survived):
    kill(server, tmp_path, operation, 50, survived)


@pytest.mark.parametrize("operation", [pytest.param("download", marks=pytest.mark.slow), "save"])
def test_sixteen_processes_at_once(server, tmp_path, operation, survived):
    server.slow(0.005)
    operate(server, tmp_path, f"{operation}-together", 16)
    what = "one good copy, none failed" if operation == "download" else "one whole snapshot, nothing beside it"
    survived("16 processes at once", WORDS[operation], 16, what)


# Where a folder cannot be replaced in one step.


def test_without_an_exchange_of_folders_half_a_folder_is_never_seen(tmp_path, monkeypatch):
    """macOS and old systems: two moves, after which the new one stands there and nothing is beside it."""
    monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    for text in (b"one", b"two", b"three"):
        folders.write_folder(tmp_path / "place", {"file": text})
        assert [(p.name, (p / "file").read_bytes()) for p in tmp_path.iterdir()] == [("place", text)]


def test_what_a_dead_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    dead, alive = (tmp_path / f".place.{pid}.1.partial" for pid in (done.pid, os.getppid()))
    dead.mkdir()
    alive.mkdir()
    folders.write_folder(tmp_path / "place", {"file": b""})
    assert {p.name for p in tmp_path.iterdir()} == {"place", alive.name}


# No room.


@pytest.fixture
def home(server, tmp_path, monkeypatch) -> Path:
    """This process talks to the stand-in, with a cache of its own."""
    server.use_here(monkeypatch, tmp_path / "hf")
    return tmp_path / "hf"


@pytest.fixture
def toy(server, home) -> Entry:
    commit = server.add_repo("org/toy", {"model.safetensors": CONTENT})
    weights = Weights("model.safetensors", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), False, "org/toy", commit)
    return Entry("toy-moons", "toy", "zoo-toy", {}, "a toy", weights=weights)


class Disk:
    """A disk of its own: a tmpfs whose size can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(folder)], capture_output=True)
        if mounted.returncode:
            pytest.skip("a disk of its own needs the right to mount; the limit on files is tried instead")

    def leave(self, room: int) -> None:
        """Fills it up to so many bytes."""
        (self.folder / "ballast").unlink(missing_ok=True)
        free = os.statvfs(self.folder)
        size = free.f_bavail * free.f_frsize - room
        with open(self.folder / "ballast", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))

    def free(self) -> None:
        (self.folder / "ballast").unlink()


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk]:
    if sys.platform != "linux":
        pytest.skip("tmpfs is Linux's")
    made = Disk(tmp_path / "disk")
    yield made
    subprocess.run(["umount", "-l", str(made.folder)], check=True)


ROOMS = [0, 4096, 40_000, 200_000, 450_000]
"""Bytes that are left: at none of them does what is written fit."""


@pytest.mark.filterwarnings("ignore:Not enough free disk space:UserWarning")
def test_disk_full_at_a_download(toy, disk, monkeypatch, survived):
    monkeypatch.setenv("HF_HOME", str(disk.folder / "hf"))
    for room in ROOMS:
        disk.leave(room)
        with pytest.raises(ZooError) as caught:
            fetching.fetch(toy)
        assert caught.value.exit_code in (4, 5), caught.value
        assert "\n" not in str(caught.value)
        with pytest.raises(NetworkError):
            fetching.fetch(toy, offline=True)
    disk.free()
    assert fetching.fetch(toy).content == CONTENT
    survived("disk full (tmpfs)", "download", len(ROOMS), "one line, nothing that loads; works once there is room")


def big_state(model: zoo_core.interfaces.Model, k: int) -> dict[str, torch.Tensor]:
    return {key: torch.full_like(value, k) for key, value in model.state_dict().items()}


def test_disk_full_at_a_snapshot_and_a_checkpoint(disk, survived):
    model = zoo_core.load("vae-moons")  # a quarter of a megabyte
    place, run = disk.folder / "model", disk.folder / "checkpoints"
    snapshot.save(place, model.entry, big_state(model, 1))
    checkpoint.write(run, 1, big_state(model, 1), {"k": 1})
    rooms = [0, 4096, 40_000, 200_000]
    for room in rooms:
        disk.leave(room)
        with pytest.raises(ZooError, match=r"cannot write .*No space left on device; what was there is unchanged"):
            snapshot.save(place, model.entry, big_state(model, 2))
        with pytest.raises(ZooError, match="No space left on device"):
            checkpoint.write(run, 2, big_state(model, 2), {"k": 2})
        assert all((value == 1).all() for value in zoo_core.load(str(place)).state_dict().values())
        assert checkpoint.read(checkpoint.latest(run))[1]["k"] == 1
        assert sorted(p.name for p in disk.folder.iterdir()) == ["ballast", "checkpoints", "model"]
    disk.free()
    snapshot.save(place, model.entry, big_state(model, 3))
    checkpoint.write(run, 2, big_state(model, 3), {"k": 3})
    assert all((value == 3).all() for value in zoo_core.load(str(place)).state_dict().values())
    assert checkpoint.read(checkpoint.latest(run))[1]["k"] == 3
    survived(
        "disk full (tmpfs)",
        "snapshot, checkpoint",
        2 * len(rooms),
        "one line, the old one loads; works once there is room",
    )


def test_disk_full_at_a_pin(disk, survived):
    entry = registry.load().get(NAME)
    pinned = replace(entry, weights=replace(entry.weights, repo_id="org/ring", revision="a" * 40, bundled=False))
    file = disk.folder / "registry.toml"
    text = registry.central_file().read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    disk.leave(0)
    with pytest.raises(RegistryError, match="cannot be written: No space left on device; nothing was changed"):
        writer.pin_published(file, pinned)
    assert file.read_text(encoding="utf-8") == text
    disk.free()
    writer.pin_published(file, pinned)
    assert len(registry.read(file).entries) > 5
    survived("disk full (tmpfs)", "pin in a registry file", 1, "one line, the file unchanged; works once there is room")


LIMITED = """
import resource, signal, sys
from pathlib import Path
import zoo_core
from zoo_core.saving import snapshot
from zoo_core.errors import ZooError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
model = zoo_core.load("vae-moons")
state = {k: v * 0 + 2 for k, v in model.state_dict().items()}
for size in (0, 1000, 100_000, 250_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        snapshot.save(Path(sys.argv[1]), model.entry, state)
    except ZooError as err:
        print(err)
"""


def test_a_limit_on_files_at_a_snapshot(tmp_path, survived):
    """What a full disk does, where nobody may mount one: a write that stops after so many bytes."""
    model = zoo_core.load("vae-moons")
    snapshot.save(tmp_path / "model", model.entry, big_state(model, 1))
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / "model")], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 4, done.stderr
    assert all(os.strerror(errno.EFBIG) in line for line in lines)
    assert all((value == 1).all() for value in zoo_core.load(str(tmp_path / "model")).state_dict().values())
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    survived("writes that stop (a limit on file sizes)", "snapshot", 4, "one line, the old one loads")


# A cache that cannot be written.


def test_read_only_cache(server, toy, home, survived):
    """A bind mount that is read only, because modes do not stop root: what is there loads, the rest is one line."""
    fetching.fetch(toy)
    commit = server.add_repo("org/other", {"model.safetensors": CONTENT})
    other = replace(toy, weights=replace(toy.weights, repo_id="org/other", revision=commit))
    for options in (["--bind", str(home), str(home)], ["-o", "remount,ro,bind", str(home)]):
        if subprocess.run(["mount", *options], capture_output=True).returncode:
            pytest.skip("a read-only mount needs the right to mount; a cache that is no folder is tried instead")
    try:
        assert fetching.fetch(toy).came_from == "cache"
        assert fetching.fetch(toy, weights_from="hub").content == CONTENT  # asked for, and found to be there
        with pytest.raises(
            WeightsError, match=r"cannot write file .*Read-only file system; make room, then zoo download"
        ):
            fetching.fetch(other)
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)
    assert fetching.fetch(other).content == CONTENT
    survived("read-only cache (mount)", "load, download", 3, "what is there loads, the rest is one line, exit code 4")


def test_a_cache_that_is_no_folder(toy, home, survived):
    home.parent.mkdir(exist_ok=True)
    home.write_text("in the way", encoding="utf-8")
    with pytest.raises(WeightsError, match=r"cannot write file 'model\.safetensors' to the cache"):
        fetching.fetch(toy)
    assert home.read_text(encoding="utf-8") == "in the way"
    home.unlink()
    assert fetching.fetch(toy).content == CONTENT
    survived("a file where the cache should be", "download", 1, "one line with exit code 4")


# Two versions of a plugin.

PLUGIN = """
from zoo_core.plugins.hookspecs import hookimpl
ZOO_API = (1, 0)
VERSION = "{version}"
@hookimpl
def zoo_register(catalogue):
    catalogue.family("toy", "zoo_toy.model:Toy", "version {version}", capabilities=["DirectSampler"])
"""


@pytest.mark.parametrize("where", ["one folder", "two folders"])
def test_two_versions_of_a_plugin(site, monkeypatch, survived, where):
    """What an interrupted pip leaves, and a path with two: one is loaded, and it is the one that is imported."""
    install(site, "zoo-toy", PLUGIN.format(version="2.0"), version="2.0")
    second = site if where == "one folder" else site.parent / "second"
    if where == "two folders":
        second.mkdir()
        monkeypatch.setattr(sys, "path", [str(site), *sys.path, str(second)])
    install(second, "zoo-toy", PLUGIN.format(version="1.0"), version="1.0")
    plugins.reset()
    found = plugins.load()
    (record,) = [r for r in found.records if r.distribution == "zoo-toy"]
    assert record.status == "loaded", record
    imported = "2.0" if where == "two folders" else "1.0"  # the later one wrote over the module
    assert found.catalogue.get("family", "toy").summary == f"version {imported}"
    if where == "two folders":
        assert record.version == imported
    survived(f"two versions of a plugin in {where}", "zoo plugins", 1, "loaded once, no conflict with itself")


# A clock that went back.

CLOCK = """
import os, sys, time
from pathlib import Path
real = time.time
time.time = lambda: real() - 20 * 365 * 86400
time.time_ns = lambda: int(time.time() * 1e9)
import torch
import zoo_core
from zoo_core import fetching, registry
from zoo_core.registry import writer
from zoo_core.saving import snapshot
from zoo_core.registry.entry import Entry, Weights
from zoo_core.training import checkpoint
from dataclasses import replace
home = Path(sys.argv[1])
sha256, size, revision = sys.argv[2:]
weights = Weights("model.safetensors", sha256, int(size), False, "org/toy", revision)
toy = Entry("toy-moons", "toy", "zoo-toy", {}, "a toy", weights=weights)
assert fetching.fetch(toy, offline=True).came_from == "cache"
assert fetching.fetch(toy, weights_from="hub").sha256 == sha256
tensors, state = checkpoint.read(checkpoint.latest(home / "checkpoints"))
assert state["k"] == 2, state
checkpoint.write(home / "checkpoints", 3, {"x": torch.zeros(1)}, {"k": 3})
assert checkpoint.read(checkpoint.latest(home / "checkpoints"))[1]["k"] == 3
model = zoo_core.load(str(home / "model"))
snapshot.save(home / "model", model.entry, model.state_dict())
entry = registry.load().get("gmm-eight-gaussians")
pinned = replace(entry, weights=replace(entry.weights, repo_id="org/x", revision="a" * 40, bundled=False))
writer.pin_published(home / "registry.toml", pinned)
print("all well")
"""


@pytest.mark.slow
def test_clock_gone_back(toy, home, tmp_path, survived):
    """Every file is twenty years newer than now, as far as Python's clock says: nothing here asks for the time."""
    fetching.fetch(toy)
    model = zoo_core.load(NAME)
    snapshot.save(tmp_path / "model", model.entry, model.state_dict())
    for step in (1, 2):
        checkpoint.write(tmp_path / "checkpoints", step, {"x": torch.ones(1)}, {"k": step})
    future = time.time() + 10 * 365 * 86400
    for path in [*tmp_path.rglob("*")]:
        os.utime(path, (future, future))
    os.utime(tmp_path / "checkpoints" / "step-00000002", (0, 0))  # the newer one looks older
    weights = toy.weights
    command = [sys.executable, "-c", CLOCK, str(tmp_path), weights.sha256, str(weights.size), weights.revision]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=120)
    assert done.stdout.strip() == "all well", done.stderr
    survived(
        "clock gone back (Python's, and files from the future)", "load, download, save, checkpoint, pin", 7, "as ever"
    )


# The table.


def test_the_table_in_the_docs_is_of_these_tests():
    """Every test that records a row has one in docs/faults.md, and every row has its test."""
    spec = importlib.util.spec_from_file_location("faults", DOCS / "faults.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.mistakes() == []
