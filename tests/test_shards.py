"""Long runs in parts: shards are one run to the bit, whoever draws them, and wherever they were interrupted."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo_core
from zoo_core.errors import DataError, IncompatibleError
from zoo_core.interfaces import SampleSpace
from zoo_core.loading import load
from zoo_core.redrawing import again
from zoo_core.sampling import default_batch_size, default_part_size
from zoo_core.saving.manifest import Manifest
from zoo_core.saving.shards import Shard, merge, parts_of
from zoo_core.sharding import formats, sample_shard

RING, DIGITS, MOONS = "gmm-eight-gaussians", "gmm-digits", "ddpm-moons"


def files(folder: Path) -> dict[str, bytes]:
    """The files of a run, without those that say which shard wrote them."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if "-of-" not in p.name}


def sixteen(model, n, folder, **options):
    """Draws sixteen shards in any order; the last one that is drawn finds the run whole."""
    order = list(range(1, 17))
    random.Random(0).shuffle(order)
    done = [sample_shard(model, n, folder, shard=k, of=16, **options) for k in order]
    assert [one.run is not None for one in done] == [False] * 15 + [True]
    return done[-1].run


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "n", "part", "options"),
    [
        (RING, 100_000, None, {}),
        (DIGITS, 700, 64, {}),
        (MOONS, 300, 16, {"steps": 3}),
        ("cgan-mnist", 300, 16, {"condition": {"label": [0, 1, 2, 3, 4, 5, 6]}}),
        (RING, 2000, 100, {"first": 12_345, "format": ".csv"}),
        (RING, 5, None, {}),
    ],
    ids=["points", "images", "path", "condition", "csv, from the middle", "fewer than shards"],
)
def test_sixteen_shards_are_one_run_to_the_bit(tmp_path, name, n, part, options):
    """And the run is what ``zoo_core.sample`` draws at once; so are five shards, and a second run in one process."""
    model = load(name)
    many = sixteen(model, n, tmp_path / "sixteen", part_size=part, **options)
    for folder, of in (("one", 1), ("five", 5)):
        runs = [sample_shard(model, n, tmp_path / folder, shard=k, of=of, part_size=part, **options).run
                for k in range(1, of + 1)]  # fmt: skip
        assert runs[-1] == many
        assert files(tmp_path / folder) == files(tmp_path / "sixteen")
    plain = {key: value for key, value in options.items() if key != "format"}
    whole = zoo_core.sample(model, n, **plain)
    if options.get("format") != ".csv":
        parts = [np.load(tmp_path / "one" / file.file)["samples"] for file in many.files]
        drawn = torch.from_numpy(np.concatenate(parts))
        if part in (None, 64):  # the parts have the batches of the whole
            assert torch.equal(drawn, whole)
        assert torch.allclose(drawn, whole, atol=1e-5)
    assert sum(file.n for file in many.files) == n
    assert again(tmp_path / "sixteen" / many.files[-1].file).same


def test_a_part_is_the_same_in_a_longer_run(tmp_path):
    """Parts begin at multiples of their size, so that a run from the middle has the parts of the whole."""
    sample_shard(RING, 1000, tmp_path / "short", part_size=100)
    sample_shard(RING, 900, tmp_path / "middle", first=300, part_size=100)
    for k in range(3, 10):
        name = f"part-{k:05d}.npz"
        assert (tmp_path / "short" / name).read_bytes() == (tmp_path / "middle" / name).read_bytes()
    assert sorted(files(tmp_path / "middle"))[-1] == "part-00011.npz"


def test_parts_cover_a_run_once(tmp_path):
    sample_shard(RING, 1, tmp_path / "x")
    made = Manifest.read(tmp_path / "x" / "manifest.json").made
    source = random.Random(1)
    for _ in range(200):
        first, n, size = source.choice([0, source.randrange(10**6)]), source.randint(1, 5000), source.randint(1, 700)
        parts = parts_of(made.at(".npz", first=first, n=n), size)
        indices = [i for part in parts for i in range(part.first, part.first + part.n)]
        assert indices == list(range(first, first + n))
        assert all(part.first % size == 0 for part in parts[1:])
        assert [part.file for part in parts] == sorted(part.file for part in parts)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (2,), (784,), (5_000_000,)])
def test_the_size_of_a_part(shape):
    """About a million numbers, and a multiple of the batch that is drawn at once on a CPU."""
    space = SampleSpace.of(shape)
    size = default_part_size(space)
    model = load(RING)
    model.space = space
    assert size % default_batch_size(model) == 0
    assert size == default_batch_size(model) or size * np.prod(shape) <= 2**20


# Interruptions


def interrupt(model, folder: Path, after: int, **options: object) -> None:
    """Draws a shard and stops, as if killed, after some parts."""
    seen = 0

    def stop(done: int, total: int) -> None:
        nonlocal seen
        seen += 1
        if seen == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample_shard(model, 1000, folder, part_size=100, progress=stop, **options)


def test_it_goes_on_from_the_last_whole_part(tmp_path):
    """A part that was damaged since, or written by halves, is drawn again; a journal cut short is no harm."""
    model = load(RING)
    sample_shard(model, 1000, tmp_path / "straight", part_size=100)
    out = tmp_path / "out"
    interrupt(model, out, 6)
    (out / "part-00002.npz").write_bytes(b"half")
    (out / ".123.part-00007.npz").write_bytes(b"left by a process that was killed")
    journal = out / ".journal-001-of-001.jsonl"
    journal.write_text(journal.read_text() + '\n{"file": "part-00007.np')
    interrupt(model, out, 7)
    assert len(journal.read_text().splitlines()) > 7
    done = sample_shard(model, 1000, out, part_size=100)
    assert done.drawn == 3
    assert files(out) == files(tmp_path / "straight")
    assert sample_shard(model, 1000, out, part_size=100).drawn == 0
    journal.write_text('{"made": {')
    (out / "manifest.json").unlink()
    (out / "manifest-001-of-001.json").unlink()
    assert sample_shard(model, 1000, out, part_size=100).drawn == 10
    assert files(out) == files(tmp_path / "straight")


def test_other_shards_take_over_what_is_there(tmp_path):
    """Ten shards where one was interrupted: none draws what is finished."""
    model = load(RING)
    interrupt(model, tmp_path / "out", 6)
    drawn = [sample_shard(model, 1000, tmp_path / "out", part_size=100, shard=k, of=10).drawn for k in range(1, 11)]
    assert drawn == [0] * 6 + [1] * 4


# One folder, one run


def test_another_run_is_refused(tmp_path):
    """Another seed, number, condition, format, part, batch or model: one line, and the folder is unchanged."""
    sample_shard(RING, 1000, tmp_path / "out", part_size=100, shard=1, of=2)
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    for wrong, words in (
        ({"seed": 1}, "seed = 0 in place of 1"),
        ({"n": 2000}, "n = 1000 in place of 2000"),
        ({"first": 100}, "first = 0 in place of 100"),
        ({"part_size": 50}, "part = 100 in place of 50"),
        ({"batch_size": 10}, "batch = 100 in place of 10"),
        ({"format": ".json"}, "format = .npz in place of .json"),
        ({"model": MOONS}, "model = gmm-eight-gaussians in place of ddpm-moons"),
        ({"dtype": "float32"}, "dtype = None in place of float32"),
    ):
        with pytest.raises(IncompatibleError, match=words):
            sample_shard(**{"model": RING, "n": 1000, "out": tmp_path / "out", "part_size": 100, **wrong})
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_what_cannot_be_a_shard(tmp_path, run):
    for wrong, words in (
        ({"shard": 0}, "shard 0 of 1; expected a number from 1 to 1"),
        ({"shard": 3, "of": 2}, "shard 3 of 2"),
        ({"n": 0}, "expected positive numbers"),
        ({"part_size": 0}, "expected positive numbers"),
        ({"format": ".png"}, r"cannot write parts of points 2 as '.png'; use .npz, .csv, .json, .npy, .safetensors"),
        ({"out": tmp_path / "nowhere" / "out"}, "there is no folder"),
        ({"condition": {"label": object()}}, "JSON values"),
    ):
        with pytest.raises(IncompatibleError, match=words):
            sample_shard(**{"model": RING, "n": 5, "out": tmp_path / "out", **wrong})
    (tmp_path / "file").write_text("")
    for arguments, words in (
        (["--shard", "0/4", "--out", "d/"], "'0/4' is not K/N"),
        (["--shard", "5/4", "--out", "d/"], "'5/4' is not K/N"),
        (["--shard", "x", "--out", "d/"], "'x' is not K/N"),
        (["--shard", "1/4"], "give --out FOLDER/"),
        (["--shard", "1/4", "--out", "x.npz"], "give --out FOLDER/"),
        (["--shard", "1/4", "--out", "file/"], "a file of that name is there"),
        (["--shard", "1/4", "--out", "d/", "--trajectory", "f.gif"], "takes no --trajectory"),
        (["--shard", "1/4", "--out", "d/", "--no-note"], "leave that out"),
        (["--part", "3"], "are for --shard K/N"),
        (["--format", "csv", "--out", "x.csv"], "are for --shard K/N"),
    ):
        code, out, err = run("sample", RING, *arguments)
        assert (code, out) == (2, "")
        assert words in " ".join(err.split())


@pytest.mark.parametrize("kind", ["image", "sequence", "tokens", "audio", "table"])
def test_every_kind_in_its_format(kinds, kind, tmp_path):
    """A table is a .csv, all others are arrays; every format that is offered can be written."""
    model = load(kinds(kind))
    assert formats(model.space)[0] == (".csv" if kind == "table" else ".npz")
    for suffix in formats(model.space):
        out = tmp_path / suffix[1:]
        done = sample_shard(model, 7, out, part_size=3, format=suffix)
        assert [file.n for file in done.run.files] == [3, 3, 1]
        assert again(out).same


def test_at_the_command_line(run, tmp_path):
    for k in ("2", "1"):
        code, out, err = run("sample", RING, "-n", "300", "--part", "100", "--shard", f"{k}/2", "--out", "d/")
        assert (code, out) == (0, "")
        assert f"shard {k} of 2: " in err
    sha256 = Manifest.read(Path("d/manifest.json")).sha256
    assert f"all shards are there, sha256 {sha256}" in err
    facts = json.loads(run("sample", RING, "-n", "300", "--part", "100", "--shard", "1/2", "--out", "d/", "--json")[1])
    assert (facts["shard"], facts["n"], facts["files"], facts["drawn"], facts["sha256"]) == ([1, 2], 100, 1, 0, sha256)
    parts = [(hashlib.sha256(path.read_bytes()).hexdigest(), path.name) for path in sorted(Path("d").glob("part-*"))]
    assert hashlib.sha256("".join(f"{digest}  {name}\n" for digest, name in parts).encode()).hexdigest() == sha256
    assert run("again", "d/")[:2] == (0, "d/: 3 files, the same to the bit\n")
    assert run("again", "d/", "--index", "250", "--out", "one.csv")[0] == 0
    assert zoo_core.again("one.csv").samples.tolist() == zoo_core.sample(RING, 1, first=250).tolist()


def test_samples_that_are_not_finite_are_a_failure_again_and_again(kinds, run, monkeypatch):
    name = kinds("points")
    load(name)
    drawn = sys.modules["zoo_kinds.model"].Kinds.draw
    monkeypatch.setattr(
        "zoo_kinds.model.Kinds.draw", lambda *a, **k: drawn(*a, **k).index_fill(0, torch.tensor([1]), torch.nan)
    )
    for _ in range(2):
        code, _, err = run("sample", name, "-n", "30", "--part", "10", "--shard", "1/1", "--out", "d/")
        assert code == 1
        assert "3 of 30 samples in d/ are not finite" in err


# Verified


def test_a_run_is_verified(run, tmp_path):
    """Shards that were drawn in two folders are brought together; what is missing or changed is said."""
    for k, folder in (("1", "a/"), ("2", "b/"), ("3", "a/")):
        assert run("sample", RING, "-n", "600", "--part", "100", "--shard", f"{k}/3", "--out", folder)[0] == 0
    code, out, err = run("verify", "a/")
    assert code == DataError.exit_code
    assert "a lacks 1 of 3 shards: 2" in err
    assert "no manifest.json" in run("again", "a/")[2]
    for path in Path("b").iterdir():
        shutil.copy(path, "a")
    sample_shard(RING, 600, "whole", part_size=100)
    code, out, err = run("verify", "a/", "--json")
    assert (code, err) == (0, "")
    ((row),) = json.loads(out)
    sha256 = Manifest.read(Path("whole/manifest.json")).sha256
    assert row["status"] == "ok"
    assert row["detail"] == f"6 files, samples 0 … 599 of {RING}, sha256 {sha256}"
    assert files(Path("a")) == files(Path("whole"))
    part = Path("a/part-00003.npz")
    content = part.read_bytes()
    for wrong, words in ((content[:-1] + b"?", "has sha256"), (content[:-1], "has 2,304 bytes"), (None, "is missing")):
        part.unlink()
        if wrong is not None:
            part.write_bytes(wrong)
        else:
            Path("a/part-00004.npz").unlink()
        code, out, err = run("verify", "a/")
        assert (code, len(err.splitlines())) == (DataError.exit_code, 1)
        assert "part-00003.npz " + words in err
    assert "(and 1 more)" in err
    assert run("verify", RING, "whole")[0] == 0


def test_shards_of_different_runs_are_not_one(tmp_path):
    """Brought together from two folders, where seeds differ; with a gap; and a manifest that somebody changed."""
    sample_shard(RING, 400, tmp_path / "a", part_size=100, shard=1, of=2)
    sample_shard(RING, 400, tmp_path / "b", part_size=100, shard=2, of=2, seed=1)
    for path in (tmp_path / "b").glob("manifest-*"):
        shutil.copy(path, tmp_path / "a")
    with pytest.raises(DataError, match="are of different runs: seed = 1 in place of 0"):
        merge(tmp_path / "a", 2)
    sample_shard(RING, 400, tmp_path / "c", part_size=100, shard=1, of=2)
    shutil.copy(tmp_path / "c" / "manifest-001-of-002.json", tmp_path / "c" / "manifest-002-of-002.json")
    with pytest.raises(DataError, match="samples up to 199 of 400"):
        merge(tmp_path / "c", 2)
    path = tmp_path / "c" / "manifest-001-of-002.json"
    text = path.read_text()
    for old, new in (("part-00000", "../part-00000"), ('"first": 0', '"first": -1'),
                     ('"n": 400', '"n": 100'), ('"part": 100', '"part": "x"'), ("{", "["), ('"files"', '"file"'),
                     ("part-00000", "part-00000\\u0007")):  # fmt: skip
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(DataError) as caught:
            Manifest.read(path)
        assert len(str(caught.value).splitlines()) == 1


def test_a_shard_knows_its_parts(tmp_path):
    sample_shard(RING, 1000, tmp_path / "x", part_size=100)
    run = Manifest.read(tmp_path / "x" / "manifest.json")
    shares = [Shard(tmp_path / "y", run, k, 4).parts for k in range(1, 5)]
    assert [len(parts) for parts in shares] == [2, 3, 2, 3]
    assert [part.number for parts in shares for part in parts] == list(range(10))
