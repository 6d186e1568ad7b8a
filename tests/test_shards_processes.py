"""Long runs and several processes: killed and started again, started twice, and drawn by two."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zoo_core.redrawing import again
from zoo_core.sharding import sample_shard

MOONS = "ddpm-moons"


def files(folder: Path) -> dict[str, bytes]:
    """The files of a run, without those that say which shard wrote them."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if "-of-" not in p.name}


def start(folder: Path, n: int, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "zoo_core.cli", "sample", MOONS, "-n", str(n), "--steps", "4", "--part", "50",
               "--out", f"{folder}/", *more]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ZOO_")} | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_manifest(tmp_path):
    """``kill -9`` four times, each after some more parts; the parts that were whole are not drawn again."""
    sample_shard(MOONS, 10_000, tmp_path / "straight", steps=4, part_size=50)
    out, seen = tmp_path / "parts", 0
    for least in (1, 30, 70, 120):
        process = start(out, 10_000, "--shard", "1/1")
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if len(list(out.glob("part-*"))) >= least:
                break
            time.sleep(0.002)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        there = len(list(out.glob("part-*")))
        assert least <= there < 200
        assert there >= seen
        seen = there
        assert not (out / "manifest.json").exists()
    done = start(out, 10_000, "--shard", "1/1", "--json")
    facts = json.loads(done.communicate()[0])
    assert facts["files"] == 200
    assert facts["drawn"] <= 200 - seen + 1  # one part may have been written and not been noted
    assert files(out) == files(tmp_path / "straight")
    assert sorted(p.name for p in out.iterdir() if p.name.startswith(".")) == []


@pytest.mark.long
@pytest.mark.slow
def test_one_shard_drawn_twice_at_once(tmp_path):
    """As a queue does that starts a job again too early: both write the same bytes."""
    command = ["--shard", "1/1"]
    processes = [start(tmp_path / "out", 2000, *command) for _ in range(2)]
    assert [process.communicate() and process.returncode for process in processes] == [0, 0]
    sample_shard(MOONS, 2000, tmp_path / "straight", steps=4, part_size=50)
    assert files(tmp_path / "out") == files(tmp_path / "straight")


@pytest.mark.long
@pytest.mark.slow
def test_what_two_processes_drew_is_made_again_by_one(tmp_path):
    command = ["-m", "zoo_core.cli", "sample", MOONS, "-n", "9", "--steps", "5", "--first", "3", "--out"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *command]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, str(tmp_path / "two.npz")], check=True, capture_output=True, env=environment)
    (difference,) = again(tmp_path / "two.npz").differences.values()
    assert difference.same or difference.is_rounding
