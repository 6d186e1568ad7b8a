"""Samples of every kind at the command line: drawn, written, hinted at, carried from domain to domain."""

from __future__ import annotations

import json
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zoo_core
from zoo_core.datasets.reading import read_samples
from zoo_core.errors import ConditionError, DivergenceError, IncompatibleError
from zoo_core.files import formats
from zoo_core.interfaces import Ragged
from zoo_core.loading import load
from zoo_core.saving.samples import save_samples
from zoo_core.translation import translate

KINDS = (
    "image", "rgb", "spectral", "points", "sequence", "frames", "tokens", "codes", "audio", "stereo", "table", "words",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_model_draws_is_written_without_being_told_where(kinds, kind, run, tmp_path):
    """Of one sample and of several; and what zoo load advises works."""
    name = kinds(kind)
    for count in ("1", "70"):
        before = {path.name for path in tmp_path.iterdir()}
        code, out, err = run("sample", name, "-n", count, "--json")
        assert (code, err) == (0, "")
        made = json.loads(out)["out"]
        beside = {f"{made}.zoo.json"} if made.endswith(".csv") else set()
        assert {path.name for path in tmp_path.iterdir()} - before == ({made.rstrip("/")} | beside) - before
    code, out, _ = run("load", name)
    assert code == 0
    command = out.split("Next: zoo ")[1].split()
    code, _, err = run(*command)
    assert code == 0, err
    assert (tmp_path / command[-1]).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_at_the_command_line(kinds, kind, run, tmp_path, monkeypatch):
    """Those of the kind hold the samples that Python draws; others are refused before anything is drawn."""
    name = kinds(kind)
    model = load(name)
    space, wanted = model.space, zoo_core.sample(model, 3, seed=5)
    for suffix in formats.writable(space):
        count = "1" if suffix == ".wav" else "3"
        code, _, err = run("sample", name, "-n", count, "--seed", "5", "--out", f"x{suffix}")
        assert code == 0, err
        if suffix in formats.PICTURES:
            continue
        found = read_samples(f"x{suffix}", space)
        atol = 1e-4 if suffix == ".wav" else 0
        for one, other in zip(found, wanted, strict=suffix != ".wav"):
            assert torch.allclose(one, other, rtol=0, atol=atol)
    monkeypatch.setattr("zoo_core.sampling.sample", lambda *_, **__: pytest.fail("drawn in vain"))
    for suffix in {".csv", ".json", ".txt", ".wav", ".npy", ".npz"} - set(formats.writable(space)):
        code, _, err = run("sample", name, "-n", "3", "--out", f"y{suffix}")
        assert code == 2
        assert f"cannot write {space.words()} to 'y{suffix}'" in err
        assert "use ." in err
    assert not list(tmp_path.glob("y*"))


def test_a_picture_that_cannot_show_all_says_so(kinds, run):
    name = kinds("tokens")
    assert "70 samples of ./tokens in" in (err := run("sample", name, "-n", "70", "--out", "x.png")[2])
    assert "x.png (a picture of the first 64; .npz has all)" in err
    assert "first" not in run("sample", name, "-n", "64", "--out", "x.png")[2]
    assert "first" not in run("sample", name, "-n", "70", "--out", "x.csv")[2]


def test_samples_that_are_not_finite_are_written_and_are_a_failure(kinds, run, monkeypatch, tmp_path):
    name = kinds("points")
    model = load(name)
    drawn = sys.modules["zoo_kinds.model"].Kinds.draw
    monkeypatch.setattr(
        "zoo_kinds.model.Kinds.draw", lambda *a, **k: drawn(*a, **k).index_fill(0, torch.tensor([1]), torch.nan)
    )
    code, out, err = run("sample", name, "-n", "3", "--out", "x.npz")
    assert (code, out) == (1, "")
    assert "1 of 3 samples in x.npz are not finite with direct" in err
    assert (tmp_path / "x.npz").exists()
    assert not torch.isfinite(zoo_core.sample(model, 3)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_is_where_it_began(kinds, kind):
    """Whatever the batch size; and in between it is something else."""
    model = load(kinds(kind))
    x = zoo_core.sample(model, 10, seed=1)
    there = translate(model, x, to="turned", source="plain")
    again = translate(model, x, to=1, source="0", batch_size=3)
    back = translate(model, there, to="plain", source="turned", batch_size=4)
    for before, one, other, after in zip(x, there, again, back, strict=True):
        assert torch.equal(one, other)
        assert torch.allclose(before, after, rtol=0, atol=1e-6)
        assert before.dtype == one.dtype
    changed = [not torch.allclose(a, b) for a, b in zip(x, there, strict=True)]
    assert any(changed)
    assert isinstance(there, Ragged) == (model.space.open_axis is not None)


def test_a_translation_by_chance_depends_on_the_seed_and_the_sample_only(kinds):
    model = load(kinds("points", noise=0.5))
    x = torch.zeros(6, 5)
    one = translate(model, x, to=1, source=0, seed=3)
    assert torch.equal(one, translate(model, x, to=1, source=0, seed=3, batch_size=1))
    assert not torch.equal(one, translate(model, x, to=1, source=0, seed=4))
    assert len(one.unique(dim=0)) == 6


def test_one_file_and_another(kinds, run, tmp_path):
    """A picture keeps its pixels: it is turned, not drawn."""
    name = kinds("image")
    levels = torch.arange(24, dtype=torch.uint8).view(4, 6) * 10
    Image.fromarray(levels.numpy()).save("a.png")
    code, out, err = run("translate", name, "a.png", "--to", "turned", "--from", "plain", "--out", "b.png")
    assert (code, out) == (0, "")
    assert "1 sample by ./image to turned in" in err
    with Image.open("b.png") as picture:
        assert np.abs(255 - np.asarray(picture).astype(int) - levels.numpy()).max() <= 1
    code, out, err = run("translate", name, "a.png", "a.png", "--to", "1", "--from", "0", "--out", "both.npz", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["files"] == [{"in": ["a.png", "a.png"], "out": "both.npz", "n": 2}]
    assert facts["to"] == "1"
    assert len(read_samples("both.npz", load(name).space)) == 2


def test_a_folder_has_a_file_for_each_under_its_own_name(kinds, run, tmp_path):
    name = kinds("image")
    space = load(name).space
    (tmp_path / "in").mkdir()
    for i, file in enumerate(("a.png", "b.jpg")):
        Image.new("L", (6, 4), 100 * i).save(tmp_path / "in" / file)
    save_samples(torch.full((3, 1, 4, 6), 0.25), "in/c.npz", space)
    files = ["in/a.png", "in/b.jpg", "in/c.npz"]
    code, out, _ = run("translate", name, *files, "--to", "turned", "--from", "plain", "--out", "out/", "--json")
    assert code == 0
    assert [(row["out"], row["n"]) for row in json.loads(out)["files"]] == [
        ("out/a.png", 1),
        ("out/b.jpg", 1),
        ("out/c.npz", 3),
    ]
    assert read_samples("out/a.png", space).unique().tolist() == [1.0]
    assert read_samples("out/b.jpg", space).mean().item() == pytest.approx(155 / 255, abs=0.02)
    assert torch.allclose(read_samples("out/c.npz", space), torch.full((3, 1, 4, 6), 0.75))


@pytest.mark.parametrize(
    ("kind", "file"), [("audio", "x.wav"), ("tokens", "x.txt"), ("table", "x.csv"), ("frames", "x.json")]
)
def test_files_of_every_kind_are_translated(kinds, kind, file, run):
    name = kinds(kind)
    model = load(name)
    x = zoo_core.sample(model, 1)
    save_samples(x, file, model.space)
    assert run("translate", name, file, "--to", "turned", "--from", "plain", "--out", "y/")[0] == 0
    assert run("translate", name, f"y/{file}", "--to", "plain", "--from", "turned", "--out", "z/")[0] == 0
    for one, other in zip(read_samples(f"z/{file}", model.space), x, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-4)


def test_what_cannot_be_translated(kinds, run, tmp_path):
    name = kinds("image")
    Image.new("L", (6, 4)).save("a.png")
    Image.new("L", (5, 4)).save("small.png")
    Path("bad.png").write_bytes(b"no picture")
    Path("a.gif").write_bytes(b"")
    Path("a.csv").write_text("1,2\n")
    (tmp_path / "other").mkdir()
    Image.new("L", (6, 4)).save("other/a.png")
    with wave.open("a.wav", "wb") as file:
        file.setparams((1, 2, 44100, 2, "NONE", ""))
        file.writeframes(bytes(4))
    domains = ("--to", "turned", "--from", "plain")
    cases = [
        ((name, "a.png", "--to", "winter", "--out", "b.png"), 2, "domain 'winter' is unknown; expected one of plain, "),
        ((name, "a.png", "--to", "2", "--out", "b.png"), 2, "domain '2' is unknown; expected one of plain, turned"),
        ((name, "a.png", "--to", "-1", "--out", "b.png"), 2, "domain '-1' is unknown"),
        ((name, "a.png", "--to", "1.0", "--out", "b.png"), 2, "domain '1.0' is unknown"),
        ((name, "a.png", "--to", "turned", "--from", "x", "--out", "b.png"), 2, "domain 'x' is unknown"),
        ((name, "a.png", "--to", "turned", "--out", "b.png"), 2, "say --from plain or turned"),
        ((name, "none.png", *domains, "--out", "b.png"), 2, "there is no file 'none.png'"),
        ((name, "a.gif", *domains, "--out", "b.png"), 2, "cannot read samples from 'a.gif'; use .png"),
        ((name, "a.wav", *domains, "--out", "b.png"), 2, "cannot read image 1×4×6 from 'a.wav'; use .png"),
        ((name, "a.csv", *domains, "--out", "b.png"), 2, "cannot read image 1×4×6 from 'a.csv'"),
        ((name, "small.png", *domains, "--out", "b.png"), 4, "small.png: the picture is 5×4 pixels; resize it to 6×4"),
        ((name, "bad.png", *domains, "--out", "b.png"), 4, "bad.png cannot be read as .png"),
        ((name, "a.png", *domains, "--out", "b.csv"), 2, "cannot write image 1×4×6 to 'b.csv'"),
        ((name, "a.png", *domains, "--out", "b.xyz"), 2, "cannot write samples to 'b.xyz'"),
        ((name, "a.png", *domains, "--out", "no/b.png"), 2, "there is no folder"),
        ((name, "a.png", *domains, "--out", "a.png"), 2, "a.png is one of the files to translate"),
        ((name, "a.png", *domains, "--out", "."), 2, "is one of the files to translate"),
        ((name, "a.png", "other/a.png", *domains, "--out", "o/"), 2, "a.png and other/a.png would both be o/a.png"),
        ((name, *domains, "--out", "b.png"), 2, "Missing argument 'FILE...'"),
        ((name, "a.png", "--out", "b.png"), 2, "Missing option '--to'"),
        ((name, "a.png", "--to", "turned"), 2, "Missing option '--out'"),
        (("ddpm-moons", "a.png", "--to", "x", "--out", "b.png"), 2,
         "ddpm-moons is a ddpm, which cannot translate; those that can: kinds-image"),
        (("nothing", "a.png", "--to", "x", "--out", "b.png"), 3, "unknown model"),
    ]  # fmt: skip
    failures = []
    for arguments, code, words in cases:
        found, out, err = run("translate", *arguments)
        lines = 1 if "Usage:" not in err else len(err.splitlines())
        if (found, out, len(err.splitlines())) != (code, "", lines) or words not in err or "Traceback" in err:
            failures.append((arguments, found, err))
    assert not failures
    assert not [path for path in tmp_path.iterdir() if path.name[0] in "bo" and path.name not in ("bad.png", "other")]
    name = kinds("audio")
    code, _, err = run("translate", name, "a.wav", *domains, "--out", "b.wav")
    assert code == 4
    assert "a.wav: the recording has 44100 samples a second; resample it to 8000" in err


def test_what_python_refuses(kinds):
    from zoo_core.testing.toy_models import ExactMixture

    model = load(kinds("points", named=False))
    x = torch.zeros(2, 5)
    with pytest.raises(
        IncompatibleError, match="translating needs Translator, which ExactMixture is not; name a model"
    ):
        translate(ExactMixture(), x[:, :2], to="x")
    with pytest.raises(IncompatibleError, match="there are no samples to translate"):
        translate(model, x[:0], to=1, source=0)
    for to in ("plain", 2, -1, True, "²"):
        with pytest.raises(ConditionError, match=r"is unknown; expected one of 0 … 1, which have no names"):
            translate(model, x, to=to, source=0)
    model.conditions = {}
    with pytest.raises(ConditionError, match="Kinds names no domains, so there is nothing to translate to"):
        translate(model, x, to=1, source=0)


def test_translations_that_are_not_finite_are_a_failure(kinds, run, monkeypatch):
    name = kinds("points")
    load(name)
    np.save("x.npy", np.zeros((2, 5)))
    monkeypatch.setattr("zoo_kinds.model.Kinds.translate", lambda self, x, **_: x / 0)
    code, _, err = run("translate", name, "x.npy", "--to", "1", "--out", "y.npy")
    assert code == DivergenceError.exit_code
    assert "2 of 2 samples in y.npy are not finite" in err


def test_the_shell_completes_models_that_translate(kinds):
    from zoo_core.cli.translate import complete_translator

    assert complete_translator(None, None, "") == ["kinds-image"]
    assert complete_translator(None, None, "ddpm") == []
