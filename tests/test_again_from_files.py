"""``zoo again`` for what was made from files: completed samples, codes, samples of codes, and scores."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo_core
from zoo_core.errors import ChecksumError, DataError, IncompatibleError
from zoo_core.files import formats, notes
from zoo_core.loading import load
from zoo_core.redrawing import again, made_of
from zoo_core.saving.manifest import Manifest
from zoo_core.saving.provenance import Provenance
from zoo_core.saving.samples import save_one, save_samples

RING = "gmm-eight-gaussians"
HOLES = "width,height\n1.41,\n,0.02\n-2.00,0.01\n"


def same(run, place: str, *more: str) -> None:
    """The file or folder is made again, and is the same to the bit."""
    code, out, err = run("again", place, *more)
    assert (code, err) == (0, "")
    assert out.endswith("the same to the bit\n")


@pytest.fixture
def holes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(HOLES)
    Path("b.csv").write_text("3,\n")


# Completed samples


@pytest.mark.long
@pytest.mark.parametrize("kind", ["image", "rgb", "points", "sequence", "tokens", "audio", "table"])
def test_what_was_completed_is_made_again_in_every_format(kinds, run, kind):
    """In the format that it came in and in another; the bytes are those of every run of the command."""
    name = kinds(kind)
    space = load(name).space.user
    mask = {"image": "left", "rgb": "top", "points": "[1,1,0,0,1]", "table": "[1,0,0]", "audio": "prefix=0"}.get(
        kind, "prefix=1"
    )
    for suffix in sorted(set(formats.readable(space)) & set(formats.writable(space))):
        samples = zoo_core.sample(name, 1 if suffix in (*formats.PICTURES, ".wav") else 3, seed=5)
        if suffix in formats.PICTURES:
            save_one(samples[0], Path(f"in{suffix}"), space)
        else:
            save_samples(samples, f"in{suffix}", space)
        code, _, err = run("fill", name, f"in{suffix}", "--mask", mask, "--seed", "3", "--out", f"x{suffix}")
        assert code == 0, err
        first = Path(f"x{suffix}").read_bytes()
        made = made_of(f"x{suffix}")
        assert (made.verb, made.mask, made.seed, made.n, made.format) == ("fill", mask, 3, len(samples), suffix)
        assert (made.completion, made.completions, made.sampler) == (0, 1, "")
        assert made.inputs[0].sha256 == notes.file_sha256(Path(f"in{suffix}"))
        same(run, f"x{suffix}", "--out", f"copy{suffix}")
        assert Path(f"copy{suffix}").read_bytes() == first
        same(run, f"x{suffix}", "--out", "copy.json")


def test_the_text_of_a_csv_file_has_its_note_beside_it(holes, run):
    assert run("fill", RING, "a.csv", "--out", "x.csv")[0] == 0
    assert sorted(p.name for p in Path.cwd().iterdir()) == ["a.csv", "b.csv", "x.csv", "x.csv.zoo.json"]
    lines = Path("x.csv").read_text().splitlines()
    assert (lines[0], lines[3]) == ("width,height", "-2.00,0.01")
    same(run, "x.csv", "--out", "y.csv")
    assert Path("y.csv").read_bytes() == Path("x.csv").read_bytes()
    assert run("again", "x.csv", "--show")[1] == f"zoo fill {RING} a.csv -n 1 --seed 0 --out x.csv\n"


@pytest.mark.parametrize("named", [1, 100])
def test_a_folder_of_completions_and_each_file_of_it(holes, run, monkeypatch, named):
    """Where few files are filled together each result names all of them, else its own only."""
    monkeypatch.setattr("zoo_core.saving.making.MOST_INPUTS", named)
    assert run("fill", RING, "a.csv", "b.csv", "-n", "3", "--seed", "7", "--out", "d/")[0] == 0
    manifest = Manifest.read(Path("d/manifest.json"))
    assert [(f.file, f.first, f.n, f.completion) for f in manifest.files] == [
        *((f"a-{c}.csv", 0, 3, c) for c in range(3)), *((f"b-{c}.csv", 3, 1, c) for c in range(3))
    ]  # fmt: skip
    assert [one.file for one in made_of("d/b-1.csv").inputs] == (["a.csv", "b.csv"] if named > 1 else ["b.csv"])
    assert run("again", "d/", "--out", "e/")[:2] == (0, "d/: 6 files, the same to the bit\n")
    for c in range(3):
        for file in (f"a-{c}.csv", f"b-{c}.csv"):
            same(run, f"d/{file}")
            assert Path(f"e/{file}").read_bytes() == Path(f"d/{file}").read_bytes()
            beside = notes.beside(Path(file)).name
            assert Path(f"e/{beside}").read_bytes() == Path(f"d/{beside}").read_bytes()
    assert run("again", "d", "--show")[1] == f"zoo fill {RING} a.csv b.csv -n 3 --seed 7 --out x/\n"


def test_a_sampler_and_its_options_are_written_down_and_the_command_makes_the_file(run):
    assert run("sample", "ddpm-moons", "-n", "3", "--out", "in.npz")[0] == 0
    assert run("fill", "ddpm-moons", "in.npz", "--mask", "[1, 0]", "--steps", "3", "--out", "x.npz")[0] == 0
    made = made_of("x.npz")
    assert (made.sampler, made.options["steps"]) == ("inpaint", 3)
    assert made.options.keys() >= {"resamplings", "variance"}
    assert "zoo-guidance" in made.versions
    same(run, "x.npz")
    code, _, err = run(*shlex.split(run("again", "x.npz", "--show")[1])[1:-1], "y.npz")
    assert code == 0, err
    assert Path("y.npz").read_bytes() == Path("x.npz").read_bytes()


@pytest.mark.long
def test_pictures_under_a_condition_with_a_picture_as_the_mask(run):
    """In batches as they were filled; the mask is part of it by its hash."""
    assert run("sample", "cfm-mnist-cond", "-n", "2", "--steps", "2", "--label", "3", "--out", "in/")[0] == 0
    rows = np.zeros((28, 28), np.uint8)
    rows[:, 9:] = 255
    Image.fromarray(rows).save("mask.png")
    files = ("in/00000.png", "in/00001.png")
    given = ("--mask", "mask.png", "--condition", "label=[3,8]", "--steps", "2", "--set", "resamplings=1")
    code, _, err = run("fill", "cfm-mnist-cond", *files, *given, "-n", "2", "--out", "d/")
    assert code == 0, err
    made = made_of("d/00001-1.png")
    assert made.uses == {"mask.png": notes.file_sha256(Path("mask.png"))}
    assert (made.condition, made.first, made.completion) == ({"label": [3, 8]}, 1, 1)
    assert run("again", "d/")[:2] == (0, "d/: 4 files, the same to the bit\n")
    same(run, "d/00001-1.png")
    Image.fromarray(255 - rows).save("mask.png")
    code, out, err = run("again", "d/00001-1.png")
    assert (code, out) == (ChecksumError.exit_code, "")
    assert "was made from 'mask.png' with SHA-256" in err


def test_samples_that_were_continued(kinds, run):
    name = kinds("tokens")
    Path("in.txt").write_text("1 2 3\n4\n")
    assert run("fill", name, "in.txt", "--length", "6", "--out", "x.txt")[0] == 0
    assert made_of("x.txt").length == 6
    same(run, "x.txt")
    Path("in.txt").write_text("1 2 3\n4\n1\n")
    code, _, err = run("again", "x.txt")
    assert code == ChecksumError.exit_code
    assert "was made from 'in.txt' with SHA-256" in err
    Path("in.txt").unlink()
    with pytest.raises(DataError, match="which is not here"):
        again("x.txt")


def test_other_weights_are_refused(kinds, run):
    name = kinds("points")
    Path("in.csv").write_text("1,,3,4,5\n")
    assert run("fill", name, "in.csv", "--out", "x.csv")[0] == 0
    weights = Path(name) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    code, out, err = run("again", "x.csv")
    assert (code, out) == (ChecksumError.exit_code, "")
    assert "has sha256" in err


def test_what_is_said_and_what_is_left_out(holes, run):
    """``--json`` is what it was; ``--no-note`` leaves no trace; the list of results is not written over."""
    code, out, _ = run("fill", RING, "a.csv", "--out", "x.csv", "--json")
    assert code == 0
    assert json.loads(out).keys() == {"model", "how", "n", "seed", "seconds", "files", "missing"}
    assert run("fill", RING, "a.csv", "--no-note", "--out", "x.csv")[0] == 0
    assert run("fill", RING, "a.csv", "b.csv", "--no-note", "--out", "d/")[0] == 0
    assert sorted(p.name for p in Path.cwd().iterdir()) == ["a.csv", "b.csv", "d", "x.csv"]
    assert sorted(p.name for p in Path("d").iterdir()) == ["a.csv", "b.csv"]
    Path("manifest.json").write_text("[[1, 2]]")
    code, _, err = run("fill", RING, "manifest.json", "--mask", "[1,0]", "--out", "d/")
    assert code == 2
    assert "is where the list of results is written" in err


def test_where_it_cannot_be_said_the_file_is_written_all_the_same(holes, run, monkeypatch):
    monkeypatch.setattr("zoo_core.saving.making.LONGEST", 1200)
    code, _, err = run("fill", RING, "a.csv", "--out", "x.csv")
    assert code == 0
    assert "zoo: x.csv does not say how it was made: that takes" in err
    assert Path("x.csv").exists()
    assert not Path("x.csv.zoo.json").exists()


@pytest.mark.parametrize("verb", ["fill", "decode"])
def test_the_list_of_another_run_is_not_replaced(holes, run, verb):
    """That of samples, or a file of the user's own; a list of the same verb is."""
    assert run("sample", "vae-moons", "-n", "2", "--out", "d/")[0] == 0
    assert run("sample", "vae-moons", "-n", "2", "--out", "x.csv")[0] == 0
    assert run("encode", "vae-moons", "x.csv", "--out", "c.npz")[0] == 0
    command = ["fill", RING, "a.csv"] if verb == "fill" else ["decode", "vae-moons", "c.npz"]
    for words in ("lists what zoo sample wrote", "is no list of the zoo's"):
        before = Path("d/manifest.json").read_bytes()
        code, _, err = run(*command, "--out", "d/")
        assert (code, len(err.splitlines())) == (2, 1)
        assert words in err
        assert Path("d/manifest.json").read_bytes() == before
        Path("d/manifest.json").write_text("{}")
    assert run(*command, "--no-note", "--out", "d/")[0] == 0
    assert Path("d/manifest.json").read_text() == "{}"
    for _ in range(2):
        assert run(*command, "--out", "e/")[0] == 0


STRANGE = {
    "first": (1, DataError, "which no file of"),
    "n": (2, DataError, "which no file of"),
    "completion": (1, DataError, "completion = 1 is none of 1"),
    "length": (10**7, IncompatibleError, "a length of 10,000,000; more than is drawn"),
    "mask": ("./secret.png", ChecksumError, "does not say with which SHA-256"),
    "sampler": ("direct", IncompatibleError, "completes no samples"),
    "completions": (None, DataError, "a key that fill needs is missing"),
    "inputs": ((), DataError, "a key that fill needs is missing"),
}


def test_a_folder_whose_list_names_other_verbs_or_completions(holes, run):
    """One line for each, and nothing is written."""
    assert run("fill", RING, "a.csv", "b.csv", "--out", "d/")[0] == 0
    manifest = Manifest.read(Path("d/manifest.json"))
    before = sorted(Path.cwd().rglob("*"))
    for changes in (
        {"verb": "plot", "plot": "samples"}, {"verb": "encode"}, {"verb": "decode"},
        {"verb": "score", "shows": "table"}, {"verb": "translate", "to": "x"}, {"n": 9},
        {"inputs": manifest.made.inputs[:1]},
    ):  # fmt: skip
        replace(manifest, made=replace(manifest.made, **changes)).write(Path("d/manifest.json"))
        code, out, err = run("again", "d/")
        assert code in (1, 2, 3, 4), changes
        assert (out, len(err.splitlines())) == ("", 1), changes
        assert sorted(Path.cwd().rglob("*")) == before


@pytest.mark.parametrize("key", STRANGE)
def test_a_strangers_note_does_no_harm(holes, run, key):
    value, kind, words = STRANGE[key]
    assert run("fill", RING, "a.csv", "b.csv", "--out", "d/")[0] == 0
    strange = replace(made_of("d/a.csv"), **{key: value})
    Image.new("L", (2, 1)).save("secret.png")
    notes.write_noted(Path("d/a.csv"), Path("d/a.csv").read_bytes(), strange.text())
    with pytest.raises(kind, match=words):
        again("d/a.csv")


# Codes


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".safetensors"])
def test_codes_and_what_is_decoded_from_them(run, suffix):
    """A change of one number is named; a change of the codes makes another file than the samples were made from."""
    assert run("sample", "nsf-moons", "-n", "4", "--out", "x.csv")[0] == 0
    codes = f"c{suffix}"
    assert run("encode", "nsf-moons", "x.csv", "x.csv", "--out", codes)[0] == 0
    made = made_of(codes)
    assert (made.verb, made.n, [one.file for one in made.inputs]) == ("encode", 8, ["x.csv", "x.csv"])
    assert made.command() == f"zoo encode nsf-moons x.csv x.csv --out x{suffix}"
    first = Path(codes).read_bytes()
    same(run, codes, "--out", f"copy{suffix}")
    assert Path(f"copy{suffix}").read_bytes() == first
    assert run("decode", "nsf-moons", codes, "--out", "y.npz")[0] == 0
    assert made_of("y.npz").command() == f"zoo decode nsf-moons {codes} --out x.npz"
    same(run, "y.npz", "--out", "y.csv")
    same(run, "y.csv")
    if suffix == ".npz":
        changed = np.load(codes)["codes"]
        changed[0, 0] += 3
        np.savez(codes, codes=changed)
        notes.write_noted(Path(codes), Path(codes).read_bytes(), made.text())
        code, _, err = run("again", codes)
        assert (code, err) == (1, f"zoo: {codes} is not the same: 1 of 16 numbers differ, by up to 3\n")
        code, _, err = run("again", "y.npz")
        assert code == ChecksumError.exit_code
        assert f"was made from '{codes}' with SHA-256" in err
        with pytest.raises(IncompatibleError, match="cannot write codes"):
            again(codes, out="y.png")


@pytest.mark.long
def test_a_folder_of_decoded_pictures(run):
    assert run("sample", "vae-mnist", "-n", "3", "--out", "in/")[0] == 0
    files = [f"in/0000{i}.png" for i in range(3)]
    assert run("encode", "vae-mnist", *files, "--out", "c.npz")[0] == 0
    same(run, "c.npz")
    assert run("decode", "vae-mnist", "c.npz", "--out", "d/")[0] == 0
    assert run("again", "d/")[:2] == (0, "d/: 3 files, the same to the bit\n")
    same(run, "d/00002.png")
    assert run("decode", "vae-mnist", "c.npz", "--out", "grid.png")[0] == 0
    same(run, "grid.png")
    assert run("decode", "vae-mnist", "c.npz", "--no-note", "--out", "e/")[0] == 0
    assert run("encode", "vae-mnist", *files, "--no-note", "--out", "e/c.npz")[0] == 0
    assert sorted(p.name for p in Path("e").iterdir()) == ["00000.png", "00001.png", "00002.png", "c.npz"]
    assert notes.read_note(Path("e/c.npz")) is None


def test_another_number_of_rows_than_the_note_says(run):
    assert run("sample", "nsf-moons", "-n", "4", "--out", "x.csv")[0] == 0
    assert run("encode", "nsf-moons", "x.csv", "--out", "c.npz")[0] == 0
    strange = replace(Provenance.of(notes.read_note(Path("c.npz")), "c.npz"), n=5)
    np.savez("z.npz", codes=np.zeros((5, 2), np.float32))
    notes.write_noted(Path("z.npz"), Path("z.npz").read_bytes(), strange.text())
    with pytest.raises(DataError, match="has 5 rows, it says; the files that it names have 4"):
        again("z.npz")


# Scores


def test_scores_are_made_again(holes, run):
    """With the examples that calibrate them, a change of which is refused."""
    assert run("sample", RING, "-n", "40", "--seed", "1", "--out", "usual.csv")[0] == 0
    given = ("--held-out", "usual.csv", "--false-alarms", "0.1", "-n", "30", "--seed", "5")
    assert run("score", RING, "a.csv", "b.csv", *given, "--out", "s.csv")[0] == 0
    made = made_of("s.csv")
    assert (made.verb, made.n, made.shows) == ("score", 4, "table")
    assert made.options == {"statistic": "surprise", "false_alarms": 0.1, "held_out": "usual.csv", "n": 30}
    assert made.uses == {"usual.csv": notes.file_sha256(Path("usual.csv"))}
    same(run, "s.csv", "--out", "t.csv")
    assert Path("t.csv").read_bytes() == Path("s.csv").read_bytes()
    code, _, err = run(*shlex.split(run("again", "s.csv", "--show")[1])[1:-1], "u.csv")
    assert code == 0, err
    assert Path("u.csv").read_bytes() == Path("s.csv").read_bytes()
    with pytest.raises(IncompatibleError, match="cannot write a table"):
        again("s.csv", out="s.json")
    for options in ({"model": "x"}, {"n": True}, {"n": "3"}, {"statistic": 1}, {"batch_size": 1}):
        notes.write_noted(Path("v.csv"), b"1\n", replace(made, options=options).text())
        with pytest.raises(DataError, match="which zoo score does not take"):
            again("v.csv")
    Path("usual.csv").write_text("1,2\n")
    code, _, err = run("again", "s.csv")
    assert code == ChecksumError.exit_code
    assert "was made from 'usual.csv' with SHA-256" in err


def test_scores_of_held_out_data_and_without_a_note(holes, run):
    assert run("score", RING, "a.csv", "-n", "50", "--out", "s.csv")[0] == 0
    same(run, "s.csv")
    Path("s.csv").write_text(Path("s.csv").read_text().replace("false", "true"))
    code, _, err = run("again", "s.csv")
    assert code == 1
    assert "the file was changed after it was written" in err
    assert run("score", RING, "a.csv", "-n", "50", "--no-note", "--out", "s.csv")[0] == 0
    assert not Path("s.csv.zoo.json").exists()
