"""What is killed: run as a script by ``test_faults.py``, in a process that has imported everything and forks.

    python tests/fault_operations.py OPERATION FOLDER TRIES SEED

A child does the operation again and again, and says in shared memory which one it has finished; it is killed after a
random time; then what is on the disk is judged, and the operation must succeed.  Prints one JSON object.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import torch

import zoo_core
from zoo_core import fetching, registry
from zoo_core.authoring import publishing
from zoo_core.errors import NetworkError
from zoo_core.fetching.references import entry_of
from zoo_core.registry import writer
from zoo_core.registry.entry import Entry, Weights
from zoo_core.saving import snapshot
from zoo_core.training import checkpoint

NAME = "gmm-eight-gaussians"
Done = Callable[[int], None]


class Save:
    """``snapshot.save`` of a model whose means are all k, in one place."""

    span = 0.2

    def __init__(self, folder: Path) -> None:
        self.place = folder / "ring"
        model = zoo_core.load(NAME)
        self.entry, self.state = model.entry, model.state_dict()

    def run(self, first: int, done: Done) -> None:
        for k in range(first, first + 100_000):
            self.state["means"] = torch.full((8, 2), float(k), dtype=torch.float64)
            snapshot.save(self.place, self.entry, self.state)
            done(k)

    def judge(self, finished: int) -> str:
        middle = "cut short" if list(self.place.parent.glob(".ring.*")) else "between two"
        if finished:
            means = zoo_core.load(str(self.place)).means
            assert means.min() == means.max() >= finished, f"{means} after {finished}"
        return middle

    def together(self, number: int) -> None:
        for _ in range(5):
            self.state["means"] = torch.full((8, 2), float(number), dtype=torch.float64)
            snapshot.save(self.place, self.entry, self.state)

    def judge_together(self) -> None:
        means = zoo_core.load(str(self.place)).means
        assert means.min() == means.max()
        assert [p.name for p in self.place.parent.iterdir()] == ["ring"]


class Checkpoint:
    """``checkpoint.write``, every step twice, as a run that was resumed does."""

    span = 0.2

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkpoints"

    def run(self, first: int, done: Done) -> None:
        for k in range(first, first + 100_000):
            tensors = {"x": torch.full((64, 64), float(k)), "y": torch.full((3,), float(k))}
            checkpoint.write(self.folder, k // 2, tensors, {"k": k})
            done(k)

    def judge(self, finished: int) -> str:
        middle = "cut short" if list(self.folder.glob(".step-*")) else "between two"
        place = checkpoint.latest(self.folder)
        if finished:
            assert place is not None
        if place is not None:
            tensors, state = checkpoint.read(place)
            assert state["k"] >= finished, f"{state} after {finished}"
            assert all((value == state["k"]).all() for value in tensors.values())
        return middle


class Download:
    """``fetching.fetch`` into an empty cache, from a Hub that takes its time."""

    span = 0.25

    def __init__(self, folder: Path) -> None:
        self.folder, self.tries = folder, 0
        revision, sha256, size = os.environ["FAULT_WEIGHTS"].split()
        weights = Weights("model.safetensors", sha256, int(size), False, "org/toy", revision)
        self.entry = Entry("toy-moons", "toy", "zoo-toy", {}, "a toy", weights=weights)
        os.environ["HF_HOME"] = str(folder / "0")

    def run(self, first: int, done: Done) -> None:
        fetching.fetch(self.entry)
        done(first)

    def judge(self, finished: int) -> str:
        try:
            fetched = fetching.fetch(self.entry, offline=True)
            outcome = "whole"
        except NetworkError:
            outcome = "cut short"
            assert not list(Path(os.environ["HF_HOME"]).rglob("snapshots/*/model.safetensors"))
        assert outcome == "whole" or finished < self.tries + 1, "it was finished, and is lost"
        fetched = fetching.fetch(self.entry)
        assert fetched.sha256 == self.entry.weights.sha256
        huggingface_hub.close_session()
        self.tries += 1
        os.environ["HF_HOME"] = str(self.folder / str(self.tries))
        return outcome

    def together(self, number: int) -> None:
        assert fetching.fetch(self.entry).sha256 == self.entry.weights.sha256

    def judge_together(self) -> None:
        home = Path(os.environ["HF_HOME"]) / "hub" / "models--org--toy"
        assert fetching.fetch(self.entry, offline=True).came_from == "cache"
        assert len([p for p in (home / "blobs").iterdir() if p.suffix != ".incomplete"]) == 1
        assert len(list(home.rglob("snapshots/*/*"))) == 1


class Publish:
    """``publishing.upload`` of other words each time, then the pin in a registry file."""

    span = 0.5

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.tries = folder, folder / "registry.toml", 0
        base = publishing.prepare(NAME, "org/ring", offline=True)
        self.base = replace(base.entry, weights=replace(base.entry.weights, bundled=False))
        self.files = base.files
        tempfile.tempdir = str(folder / "tmp")
        (folder / "tmp").mkdir()

    def package(self, k: int) -> publishing.Package:
        entry = replace(self.base, summary=f"try {k}")
        words = {"config.json": snapshot.config(entry).encode(), "README.md": snapshot.card(entry, "org/ring").encode()}
        return publishing.Package(entry, "org/ring", self.files | words, (), ())

    def publish(self, k: int) -> None:
        writer.pin_published(self.file, publishing.upload(self.package(k)).entry)

    def run(self, first: int, done: Done) -> None:
        for k in range(first, first + 100_000):
            self.publish(k)
            done(k)

    def judge(self, finished: int) -> str:
        middle = "cut short" if list((self.folder / "tmp").iterdir()) else "between two"
        if finished:
            self.is_right(finished)
        self.publish(finished + 50_000)  # the next attempt
        self.is_right(finished)
        huggingface_hub.close_session()
        for left in (self.folder / "tmp").glob("*/*"):
            left.unlink()
        for left in (self.folder / "tmp").iterdir():
            left.rmdir()
        return middle

    def is_right(self, finished: int) -> None:
        (entry,) = registry.read(self.file).entries
        assert entry.weights is not None
        os.environ["HF_HOME"] = str(self.folder / "homes" / f"{self.tries}")
        self.tries += 1
        assert fetching.fetch(entry).sha256 == self.base.weights.sha256
        there = entry_of(f"hf:org/ring@{entry.weights.revision}")
        number = int(there.summary.removeprefix("try "))
        assert number >= finished, f"try {number} is pinned after {finished}"


OPERATIONS = {"save": Save, "checkpoint": Checkpoint, "download": Download, "publish": Publish}


def kill_at_random(operation: object, tries: int, source: random.Random) -> dict[str, int]:
    """Kills a child that does the operation, and judges, as often as asked."""
    memory, seen = mmap.mmap(-1, 8), Counter()
    for _ in range(tries):
        (finished,) = struct.unpack_from("<Q", memory)
        pid = os.fork()
        if pid == 0:
            try:
                operation.run(finished + 1, lambda k: struct.pack_into("<Q", memory, 0, k))
                time.sleep(60)
            finally:
                os._exit(1)
        time.sleep(source.uniform(0, operation.span))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        (finished,) = struct.unpack_from("<Q", memory)
        seen[operation.judge(finished)] += 1
        seen["finished"] = finished
    return dict(seen)


def all_at_once(operation: object, number: int) -> dict[str, int]:
    """Children that do the operation at the same time; all must end well."""
    children = []
    for i in range(number):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                operation.together(i)
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    codes = [os.waitpid(pid, 0)[1] for pid in children]
    assert codes == [0] * number, codes
    operation.judge_together()
    return {"whole": number}


def main(name: str, folder: str, tries: str, seed: str) -> None:
    torch.set_num_threads(1)
    publishing.time = SimpleNamespace(sleep=lambda _: None)
    operation = OPERATIONS[name.removesuffix("-together")](Path(folder))
    if name.endswith("-together"):
        seen = all_at_once(operation, int(tries))
    else:
        seen = kill_at_random(operation, int(tries), random.Random(int(seed)))
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
