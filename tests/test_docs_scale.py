"""docs/scale.md: its four ways are followed word for word, and all end with the hash of one machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from zoo_core.saving.manifest import Manifest
from zoo_core.sharding import sample_shard

PAGE = Path(__file__).parent.parent / "docs" / "scale.md"
N, SHARDS = 120_000, 2
"""Fewer than on the page: eight parts, and two shards where the page has sixteen."""

HF = """#!{python}
import subprocess, sys
words = sys.argv[1:]
assert words[:2] == ["jobs", "run"]
known = {{"--detach": 1, "--attempts": 2, "--flavor": 2, "--volume": 2}}
at = 2
while words[at].startswith("-"):
    at += known[words[at]]
assert words[at] == "IMAGE"
folder = "job-" + words[-1].split("--shard ")[1].split("/")[0]
subprocess.run(["mkdir", folder], check=True)
subprocess.run(words[at + 1 :], check=True, cwd=folder)
"""


def blocks(language: str) -> list[str]:
    """The code blocks of a language, with numbers that a test has time for."""
    text = PAGE.read_text(encoding="utf-8").replace("1000000 --shard", f"{N} --shard").replace("1_000_000", f"{N}")
    text = re.sub(r"\b16\b(?! shards)", str(SHARDS), text).replace("1-16", f"1-{SHARDS}")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The run that one process draws at once."""
    run = sample_shard("gmm-eight-gaussians", N, tmp_path_factory.mktemp("straight") / "run").run
    assert run is not None
    return run


def shell(script: str, folder: Path, **environment: str) -> str:
    folder.mkdir(exist_ok=True)
    variables = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    done = subprocess.run(
        ["sh", "-eu", "-c", script], cwd=folder, env=variables | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_every_block_is_followed():
    assert [len(blocks(language)) for language in ("sh", "python", "yaml", "text")] == [5, 1, 1, 1]


@pytest.mark.long
def test_ray_data(straight, tmp_path, monkeypatch):
    """With a stand-in that calls the function batch by batch, as Ray does in its workers."""
    (code,) = blocks("python")

    def each(draw, *, batch_size):
        assert batch_size == 1
        return SimpleNamespace(materialize=lambda: [draw({"id": [k]}) for k in reversed(range(SHARDS))])

    rows = SimpleNamespace(range=lambda count: SimpleNamespace(map_batches=each) if count == SHARDS else None)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(data=rows))
    exec(compile(code.replace("/shared/run", str(tmp_path / "run")), str(PAGE), "exec"), {})
    assert Manifest.read(tmp_path / "run" / "manifest.json") == straight


@pytest.mark.slow
def test_one_machine(straight, tmp_path):
    first, then = blocks("sh")[:2]
    (shown,) = blocks("text")
    out = shell(first, tmp_path)
    pattern = re.escape(" ".join(shown.split())).replace("1000000", str(N)).replace("62", "8").replace("…", ".*")
    assert re.search(pattern, out), out
    out = shell(then.replace("00042", "00003"), tmp_path)
    assert out.count(straight.sha256) == 2
    assert "run/part-00003.npz: the same to the bit" in out


@pytest.mark.slow
def test_torchrun(straight, tmp_path):
    shell(blocks("sh")[2], tmp_path)
    assert Manifest.read(tmp_path / "run" / "manifest.json") == straight


@pytest.mark.slow
def test_slurm(straight, tmp_path):
    """Each job of the array, in any order."""
    script = blocks("sh")[3]
    assert f"--array=1-{SHARDS}" in script
    for k in (2, 1):
        shell(script, tmp_path, SLURM_ARRAY_TASK_ID=str(k), SLURM_ARRAY_TASK_COUNT=str(SHARDS))
    assert Manifest.read(tmp_path / "run" / "manifest.json") == straight


@pytest.mark.slow
def test_skypilot_and_hf_jobs(straight, tmp_path):
    """Machines with a disk of their own and a bucket; an ``hf`` that runs the command here."""
    yaml = pytest.importorskip("yaml")
    task = yaml.safe_load(blocks("yaml")[0])
    ((mount, bucket),) = task["file_mounts"].items()
    assert (mount, bucket["mode"], task["num_nodes"]) == ("/shared/run", "MOUNT", SHARDS)
    for name in ("sky", "hf"):
        (tmp_path / name).mkdir()
    for rank in range(SHARDS):
        environment = {"SKYPILOT_NODE_RANK": str(rank), "SKYPILOT_NUM_NODES": str(SHARDS)}
        shell(task["run"].replace(mount, str(tmp_path / "sky")), tmp_path / f"node-{rank}", **environment)
    stand_in = tmp_path / "bin" / "hf"
    stand_in.parent.mkdir()
    stand_in.write_text(HF.format(python=sys.executable))
    stand_in.chmod(0o755)
    path = os.pathsep.join([str(stand_in.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    script = blocks("sh")[4]
    shell(script.replace("cp run/* /shared/run/", f"cp run/* {tmp_path / 'hf'}/"), tmp_path / "jobs", PATH=path)
    for name in ("sky", "hf"):
        assert straight.sha256 in shell(f"zoo verify {name}/", tmp_path)
        assert Manifest.read(tmp_path / name / "manifest.json") == straight
    options = shell("hf jobs run --help", tmp_path)
    for option in re.findall(r"--[a-z]+", script.split("IMAGE")[0]):
        assert option in options
