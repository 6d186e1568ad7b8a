"""``zoo again``: what the zoo wrote is made again, to the bit; and what a stranger's file may not do."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zoo_core
from zoo_core.errors import ChecksumError, DataError, IncompatibleError, UnknownNameError, ZooError
from zoo_core.files import formats, notes
from zoo_core.interfaces import SampleSpace
from zoo_core.loading import load
from zoo_core.pictures.images import cell, grid, to_picture
from zoo_core.redrawing import again, made_of
from zoo_core.redrawing.differences import between_files, between_samples
from zoo_core.registry.entry import Entry, SamplerChoice
from zoo_core.sampling import make_sampler
from zoo_core.saving import snapshot
from zoo_core.saving.provenance import KEYS, Provenance

RING, MOONS, DIGITS = "gmm-eight-gaussians", "ddpm-moons", "gmm-digits"
HERE = Path(__file__).parent / "kinds_plugin"


# Commands at random

PATH_SAMPLERS = {
    "ancestral": ["variance=small", "spacing=log-snr"],
    "ddim": ["eta=0.5", "eta=1.0", "clip=true"],
    "dpm-solver": ["order=3", "sde=true", "published=true"],
    "euler": ["coordinate=angle"],
    "euler-maruyama": [],
    "heun": ["coordinate=time"],
    "midpoint": [],
    "predictor-corrector": ["snr=0.2", "corrections=2"],
    "rk4": [],
    "unipc": ["order=3", "corrector=false"],
}
PLANE = (".png", ".jpg", ".webp", ".csv", ".json", ".npy", ".npz", ".safetensors")
IMAGES = (".png", ".jpg", ".npy", ".npz", ".safetensors", ".json", "/")


def command(chance: random.Random) -> list[str]:
    """A command line of ``zoo sample`` for a quick model, with options at random."""
    name = chance.choice([RING, "nsf-moons", "vae-moons", "gan-eight-gaussians", MOONS, MOONS, "cfm-moons",
                          "score-moons", "ct-moons", DIGITS, "maf-digits", "cgan-mnist", "cfm-mnist-cond"])  # fmt: skip
    words = [name, "-n", str(chance.randint(1, 40)), "--seed", str(chance.choice([0, 7, -3, 2**70]))]
    out, image = None, name in (DIGITS, "maf-digits", "cgan-mnist", "cfm-mnist-cond")
    if chance.random() < 0.4:
        words += ["--first", str(chance.randint(1, 10**6))]
    if name == "maf-digits":
        words[2] = str(chance.randint(1, 4))
    if name in (MOONS, "score-moons", "cfm-moons"):
        sampler = chance.choice(list(PATH_SAMPLERS))
        if name == "cfm-moons" and sampler in ("ancestral",):
            sampler = "ode"
        words += ["--sampler", sampler]
        if sampler == "ode":
            words += ["--set", "rtol=0.01"]
        else:
            words += chance.choice([["--steps", str(chance.randint(2, 6))], ["--nfe", "12"]])
            if PATH_SAMPLERS[sampler] and chance.random() < 0.6:
                words += ["--set", chance.choice(PATH_SAMPLERS[sampler])]
            if chance.random() < 0.4:
                words += ["--trajectory", chance.choice(["film.gif", "strip.png"])]
    if name in ("cgan-mnist", "cfm-mnist-cond"):
        words += chance.choice([["--label", "3"], ["--condition", "label=[0,1,2]"]])
        if name == "cfm-mnist-cond":
            words[2] = str(chance.randint(1, 4))
            words += ["--steps", "2", "--guidance", str(chance.choice([1.0, 2.5]))]
    if not image and chance.random() < 0.2:
        words += ["--dtype", "float64"]
    out = chance.choice(IMAGES if image else PLANE)
    return [*words, "--out", f"x{out}"]


def from_files(chance: random.Random) -> list[list[str]]:
    """Command lines that draw samples, and complete them or decode their codes, with options at random."""
    verb, out = chance.choice(["fill", "decode"]), chance.choice([".csv", ".json", ".npy", ".npz", ".safetensors"])
    if verb == "decode":
        name = chance.choice(["nsf-moons", "vae-moons", "vae-mnist", "glow-mnist"])
        codes, n = f"codes{chance.choice(['.npz', '.npy', '.safetensors'])}", str(chance.randint(1, 9))
        made = chance.choice(["x.png", "x.npz", "d/"] if name.endswith("mnist") else [f"x{out}", "x.png", "d/"])
        return [
            ["sample", name, "-n", n, "--seed", n, "--no-note", "--out", "in.npz"],
            ["encode", name, "in.npz", "--out", codes],
            ["decode", name, codes, "--out", made],
        ]
    name = chance.choice([RING, MOONS, DIGITS, "cfm-mnist-cond"])
    image = name in (DIGITS, "cfm-mnist-cond")
    draws = ["sample", name, "--seed", str(chance.randint(0, 99)), "--no-note"]
    words = ["fill", name, *(["in/00000.png", "in/00001.png"] if image else [f"in{out}"])]
    words += ["--mask", chance.choice(["left", "border", "box=1,2,3,4"] if image else ["[1,0]", "[0,1]"])]
    count = chance.choice(["1", "1", "3"])
    words += ["-n", count, "--seed", str(chance.choice([0, 7, -3, 2**70]))]
    if name in (MOONS, "cfm-mnist-cond"):
        words += ["--steps", str(chance.randint(1, 3)), "--set", f"resamplings={chance.randint(1, 3)}"]
    if name == "cfm-mnist-cond":
        draws += ["--steps", "1", "--label", "4"]
        words += chance.choice([["--label", "3"], ["--condition", "label=[0,7]"]])
    if name == RING and chance.random() < 0.3:
        words += ["--dtype", "float64"]
    draws += ["-n", "2", "--out", "in/"] if image else ["-n", str(chance.randint(1, 40)), "--out", f"in{out}"]
    return [draws, [*words, "--out", "d/" if image or count != "1" else f"x{out}"]]


def made_again(run, folder: Path, commands: list[list[str]]) -> str | None:
    """Runs commands and makes again what they wrote with a note; says what went wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    before = Path.cwd()
    os.chdir(folder)
    try:
        for words in commands:
            code, _, err = run(*words)
            if code != 0:
                return f"{words[0]}: {err}"
        for place in sorted(folder.iterdir()):
            if place.name.endswith(".zoo.json") or place.stem == "in":
                continue
            copy = folder / f"copy-{place.name}"
            target = f"{copy}/" if place.is_dir() else str(copy)
            code, out, err = run("again", place.name + ("/" if place.is_dir() else ""), "--out", target)
            if code != 0:
                return f"again: {err}"
            if "the same to the bit\n" not in out:
                return f"again: {out}"
            pairs = [(f, copy / f.name) for f in sorted(place.iterdir())] if place.is_dir() else [(place, copy)]
            for one, other in pairs:
                if one.name != "manifest.json" and one.read_bytes() != other.read_bytes():
                    return f"{one.name} and {other} differ"
        return None
    finally:
        os.chdir(before)


@pytest.mark.parametrize("count", [pytest.param(12, marks=pytest.mark.long), pytest.param(100, marks=pytest.mark.slow)])
def test_commands_at_random_are_made_again_to_the_bit(run, tmp_path, count):
    """Models, samplers, options, conditions, formats, films and files; every file that is written has equal bytes."""
    chance = random.Random(count)
    commands = [[["sample", *command(chance)]] for _ in range(count)]
    assert len({words[1] for [words] in commands}) >= 8
    commands += [from_files(chance) for _ in range(count // 4)]
    wrong = [
        ("; ".join(map(" ".join, each)), reason)
        for each in commands
        if (reason := made_again(run, tmp_path / "work", each))
    ]
    assert wrong == []


# Every kind and every format


@pytest.mark.long
@pytest.mark.parametrize("kind", ["image", "rgb", "points", "sequence", "tokens", "audio", "stereo", "table"])
def test_every_format_says_how_it_was_made(kinds, run, kind, tmp_path):
    """One that holds several samples and one that holds one; the bytes are those of every run of the command."""
    name = kinds(kind)
    space = load(name).space
    for suffix in formats.writable(space):
        count, target = "1" if suffix == ".wav" else "3", f"x{suffix}"
        assert run("sample", name, "-n", count, "--seed", "5", "--out", target)[0] == 0
        first = Path(target).read_bytes()
        assert run("sample", name, "-n", count, "--seed", "5", "--out", target)[0] == 0
        assert Path(target).read_bytes() == first
        made = made_of(target)
        assert (made.model, made.seed, made.n, made.format, made.sampler) == (name, 5, int(count), suffix, "direct")
        assert made.versions.keys() >= {"zoo-core", "zoo-kinds", "torch"}
        assert made.weights == tuple(one.sha256 for one in load(name).entry.weights.files)
        code, out, err = run("again", target, "--out", f"copy{suffix}")
        assert (code, out, err) == (0, f"{target}: the same to the bit\n", "")
        assert Path(f"copy{suffix}").read_bytes() == first
    assert run("sample", name, "-n", "3", "--out", "d/")[0] == 0
    for place in ("d/", *(str(p) for p in Path("d").iterdir() if p.name != "manifest.json" and ".zoo." not in p.name)):
        code, out, err = run("again", place)
        assert (code, err) == (0, "")
        assert out.endswith("the same to the bit\n")


@pytest.mark.parametrize(("kind", "file"), [("image", "a.png"), ("audio", "a.wav"), ("tokens", "a.txt")])
def test_translations_say_what_they_were_made_from(kinds, run, kind, file, tmp_path):
    """A file and a folder; another input, or none, is refused."""
    name, domains = kinds(kind, noise=0.0), ("--from", "plain", "--to", "turned")
    for each in (file, f"b{file[1:]}"):
        assert run("sample", name, "-n", "1", "--seed", str(len(each)), "--out", each)[0] == 0
        if file.endswith("png"):
            Image.fromarray(np.full((4, 6), 30 * len(each), np.uint8)).save(each)
    assert run("translate", name, file, *domains, "--out", f"to{file[1:]}")[0] == 0
    assert run("translate", name, file, f"b{file[1:]}", *domains, "--out", "d/")[0] == 0
    made = made_of(f"to{file[1:]}")
    assert (made.verb, made.to, made.source, made.inputs[0].file) == ("translate", "turned", "plain", file)
    assert [one.file for one in made_of("d").inputs] == [file, f"b{file[1:]}"]
    assert [one.file for one in made_of(f"d/b{file[1:]}").inputs] == [f"b{file[1:]}"]
    for place in (f"to{file[1:]}", f"d/{file}", f"d/b{file[1:]}", "d"):
        assert run("again", place)[:2] == (0, again(place).words() + "\n")
        assert again(place).same
    whole = Path(file).read_bytes()
    Path(file).write_bytes(whole[:-1] + b"\1")
    code, out, err = run("again", f"to{file[1:]}")
    assert (code, out) == (ChecksumError.exit_code, "")
    assert f"was made from '{file}' with SHA-256" in err
    Path(file).unlink()
    with pytest.raises(DataError, match="which is not here"):
        again(f"to{file[1:]}")


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_plots_are_made_again(run, suffix):
    pytest.importorskip("matplotlib")
    assert run("plot", RING, "samples", "--seed", "4", "--out", f"p{suffix}")[0] == 0
    first = Path(f"p{suffix}").read_bytes()
    assert made_of(f"p{suffix}").command() == f"zoo plot {RING} samples --seed 4 --out x{suffix}"
    assert run("again", f"p{suffix}", "--out", f"q{suffix}")[:2] == (0, f"p{suffix}: the same to the bit\n")
    assert Path(f"q{suffix}").read_bytes() == first


def test_what_options_name_is_part_of_it(run, tmp_path):
    """The picture that sampling starts from: changed, it is refused; the classifier that is followed has its hash."""
    name, values = MOONS, torch.zeros(1, 2)
    np.save("start.npy", values.numpy())
    options = ["--sampler", "sdedit", "--set", "image=start.npy", "--steps", "4"]
    assert run("sample", name, "-n", "3", *options, "--out", "x.npz")[0] == 0
    made = made_of("x.npz")
    assert made.uses == {"start.npy": notes.file_sha256(Path("start.npy"))}
    assert "zoo-guidance" in made.versions
    assert run("again", "x.npz")[:2] == (0, "x.npz: the same to the bit\n")
    np.save("start.npy", values.numpy() + 1)
    code, out, err = run("again", "x.npz")
    assert (code, out) == (4, "")
    assert "x.npz was made from 'start.npy' with SHA-256" in err
    Path("start.npy").unlink()
    assert "which is not here" in run("again", "x.npz")[2]
    assert run("sample", "ddpm-mnist", "-n", "1", "--sampler", "classifier-guidance", "--steps", "1", "--label", "3",
               "--set", "classifier=noisy-classifier-mnist", "--out", "x.png")[0] == 0  # fmt: skip
    assert list(made_of("x.png").uses) == ["noisy-classifier-mnist"]


def test_a_result_may_not_take_the_place_of_the_list(kinds, run):
    name = kinds("points")
    Path("manifest.json").write_text("[[1, 2, 3, 4, 5]]")
    code, _, err = run("translate", name, "manifest.json", "--to", "1", "--from", "0", "--out", "d/")
    assert code == 2
    assert "is where the list of results is written; rename manifest.json" in err


def test_a_sampler_says_what_it_was_made_with():
    """Defaults are written down, so that a later version with others draws the same; --nfe is steps by then."""
    made = make_sampler(load(MOONS), "ddim", nfe=7, eta=0.5).made_with
    assert made == {"steps": 7, "eta": 0.5, "spacing": "trailing", "clip": None}
    assert make_sampler(load("cfm-moons")).made_with["steps"] == 20


# What is said


def test_what_the_verb_says(run):
    assert run("sample", MOONS, "-n", "5", "--nfe", "3", "--seed", "2", "--first", "9", "--out", "x.png")[0] == 0
    code, out, err = run("again", "x.png", "--show")
    assert (code, err) == (0, "")
    shown = "zoo sample ddpm-moons -n 5 --first 9 --sampler ancestral --set steps=3 --set variance=model --set"
    assert out.startswith(shown)
    assert out.endswith("--seed 2 --out x.png\n")
    facts = json.loads(run("again", "x.png", "--show", "--json")[1])
    assert facts["versions"]["zoo-core"] == zoo_core.__version__
    assert facts.keys() <= KEYS.keys()
    facts = json.loads(run("again", "x.png", "--json")[1])
    assert (facts["same"], facts["same_bytes"], facts["differing"], facts["out"]) == (True, True, {}, None)
    assert facts["made"]["first"] == 9
    assert sorted(p.name for p in Path.cwd().iterdir()) == ["x.png"]


def test_the_command_that_is_shown_makes_the_file(run):
    assert (
        run("sample", "cgan-mnist", "-n", "3", "--condition", "label=[1,2]", "--first", "1", "--out", "x.npz")[0] == 0
    )
    words = shlex.split(run("again", "x.npz", "--show")[1])
    code, _, err = run(*words[1:-1], "y.npz")
    assert code == 0, err
    assert Path("y.npz").read_bytes() == Path("x.npz").read_bytes()


def test_in_python_and_in_another_format(run):
    """A picture of points gives the points; the result has a note of its own."""
    assert run("sample", RING, "-n", "50", "--seed", "1", "--out", "x.png")[0] == 0
    done = zoo_core.again("x.png", out="x.npz")
    assert done.same
    assert (done.out, done.because, done.index) == ("x.npz", (), None)
    assert torch.equal(done.samples, zoo_core.sample(RING, 50, seed=1))
    assert np.array_equal(np.load("x.npz")["samples"], done.samples.numpy())
    assert zoo_core.again("x.npz").same
    assert zoo_core.again("x.npz", model=RING, device="auto").same


@pytest.mark.parametrize("target", ["x.png", "x.npz", "x.npy", "x.safetensors", "x.json", "d/", "d/00009.png"])
def test_one_sample_is_drawn_by_itself(run, target):
    """From a grid, arrays, a list and a folder; in the file that is written it is alone, and is made again."""
    assert run("sample", DIGITS, "-n", "10", "--first", "5", "--out", target if "/" not in target else "d/")[0] == 0
    code, out, err = run("again", target, "--index", "9", "--out", "nine.png")
    assert (code, err) == (0, "")
    alone = zoo_core.sample(DIGITS, 1, first=9)
    with Image.open("nine.png") as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(to_picture(alone[0])))
    if target == "d/":
        assert out == "d/: sample 9 is not shown by itself, and so not compared\n"
    else:
        assert out == f"{target}: sample 9 drawn by itself is the same to the bit\n"
    assert run("again", "nine.png")[:2] == (0, "nine.png: the same to the bit\n")
    assert made_of("nine.png").samples == range(9, 10)
    if target != "d/00009.png":
        for index in ("4", "15"):
            code, out, err = run("again", target, "--index", index)
            assert (code, out) == (2, "")
            assert f"index = {index}; {target} has samples 5 … 14" in err


def test_a_cell_of_a_grid_is_its_image():
    images = torch.rand(7, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    whole = grid(images)
    for i in range(7):
        assert np.array_equal(np.asarray(cell(whole, (4, 5), 7, i)), np.asarray(to_picture(images[i])))
    assert cell(whole, (5, 5), 7, 0) is None
    assert cell(whole.resize((3, 3)), (4, 5), 7, 0) is None


def test_a_difference_is_described(run):
    """An array with one number changed, a picture with one pixel, a table, another shape; the exit code is 1."""
    for suffix in (".npz", ".png", ".csv", ".safetensors"):
        assert run("sample", RING, "-n", "4", "--out", f"x{suffix}")[0] == 0
    note, values = notes.read_note(Path("x.npz")), zoo_core.sample(RING, 4).numpy()
    for by, words in (
        (3.0, "1 of 8 numbers differ, by up to 3"),
        (1e-5, "1 of 8 numbers differ, by up to 1e-05, which is rounding"),
    ):
        changed = values.copy()
        changed[2, 1] += by
        np.savez("x.npz", samples=changed)
        notes.write_noted(Path("x.npz"), Path("x.npz").read_bytes(), note)
        code, out, err = run("again", "x.npz")
        assert (code, out) == (1, "")
        assert err == f"zoo: x.npz is not the same: {words}\n"
    np.savez("x.npz", samples=values[:3])
    notes.write_noted(Path("x.npz"), Path("x.npz").read_bytes(), note)
    assert "of another shape" in run("again", "x.npz")[2]
    note = notes.read_note(Path("x.png"))
    with Image.open("x.png") as picture:
        copy = picture.copy()
    copy.save("x.png", compress_level=1)
    notes.write_noted(Path("x.png"), Path("x.png").read_bytes(), note)
    assert run("again", "x.png")[:2] == (0, "x.png: the same to the bit, encoded in other bytes\n")
    copy.putpixel((0, 0), (250, 255, 255))
    copy.save("x.png")
    notes.write_noted(Path("x.png"), Path("x.png").read_bytes(), note)
    assert "pixel values differ, by up to 5 of 255 levels" in run("again", "x.png")[2]
    Path("x.csv").write_text(Path("x.csv").read_text().replace("x0", "x0 "))
    assert run("again", "x.csv")[:2] == (
        0, "x.csv: the same to the bit, encoded in other bytes; the file was changed after it was written\n"
    )  # fmt: skip
    facts = json.loads(run("again", "x.npz", "--json")[1])
    assert facts["same"] is False
    assert facts["differing"]["x.npz"]["greatest"] is None


def test_other_versions_and_another_device_are_named(run):
    assert run("sample", RING, "-n", "4", "--out", "x.csv")[0] == 0
    made = made_of("x.csv")
    old = replace(made, device="tpu", config="0" * 64, versions={**made.versions, "torch": "1.0", "zoo-gmm": "0.0"})
    notes.write_noted(Path("x.csv"), Path("x.csv").read_bytes(), old.text())
    here = made.versions["torch"]
    assert again("x.csv").because == (
        "zoo-gmm 0.0 there, 0.1.0 here", f"torch 1.0 there, {here} here", "device tpu there, cpu here",
        f"the config of {RING} is another",
    )  # fmt: skip
    assert again("x.csv").same


def test_samples_that_are_not_finite_are_compared(kinds, run, monkeypatch):
    name = kinds("points")
    load(name)
    drawn = sys.modules["zoo_kinds.model"].Kinds.draw
    monkeypatch.setattr(
        "zoo_kinds.model.Kinds.draw", lambda *a, **k: drawn(*a, **k).index_fill(0, torch.tensor([1]), torch.nan)
    )
    assert run("sample", name, "-n", "3", "--out", "x.npz")[0] == 1
    assert run("again", "x.npz")[0] == 0
    x = torch.tensor([[1.0, torch.nan], [torch.inf, 2.0]])
    assert between_samples(x, x.clone()).same
    found = between_samples(x, torch.tensor([[1.0, 0.0], [torch.inf, 2.5]]))
    assert (found.greatest, found.differing) == (float("inf"), 2)


# Batches


@pytest.mark.parametrize("name", ["cfm-moons", DIGITS, "maf-digits"])
def test_another_batch_size_is_rounding_at_most(run, name):
    """The stated tolerance: 1e-4 of the largest value, as the conformance kit holds every family to."""
    assert run("sample", name, "-n", "9", "--batch-size", "2", "--out", "x.safetensors")[0] == 0
    done = again("x.safetensors")
    (difference,) = done.differences.values()
    assert difference.same or difference.is_rounding
    assert run("sample", name, "-n", "9", "--out", "y.safetensors")[0] == 0
    assert again("y.safetensors").same


def test_sample_i_has_item_i_of_a_condition_that_is_a_list(run):
    """Wherever drawing begins, in one process and in several."""
    whole = zoo_core.sample("cgan-mnist", 6, condition={"label": [3, 1, 4]})
    later = zoo_core.sample("cgan-mnist", 2, condition={"label": [3, 1, 4]}, first=4)
    assert torch.allclose(whole[4:], later, atol=1e-5)
    assert not torch.allclose(whole[4:], zoo_core.sample("cgan-mnist", 2, condition={"label": 3}, first=4), atol=1e-2)


# What a file may not do


@pytest.fixture
def folder_model(kinds, run):
    """A model in a folder, and a file that it made."""
    name = kinds("points")
    assert run("sample", name, "-n", "3", "--out", "x.csv")[0] == 0
    return Path(name)


def test_tampered_weights_are_refused(folder_model, run):
    """Bytes changed under the same hash, and another hash in the config; a registry's model with other weights."""
    weights = folder_model / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"\1")
    code, out, err = run("again", "x.csv")
    assert (code, out) == (ChecksumError.exit_code, "") == (4, "")
    assert len(err.splitlines()) == 1
    assert "has sha256" in err
    other = Entry("points", "kinds", "zoo-kinds", {"kind": "points"}, "x", sampler=SamplerChoice("direct"))
    snapshot.save(folder_model, other, {"nothing": torch.ones(1)})
    code, out, err = run("again", "x.csv")
    assert (code, out) == (4, "")
    assert "x.csv was made with weights" in err
    assert len(err.splitlines()) == 1
    text = made_of("x.csv").text().replace('"./points"', f'"{RING}"')
    notes.write_noted(Path("x.csv"), b"x0\n1\n", text)
    assert f"those of {RING} are" in run("again", "x.csv")[2]


def test_a_folder_that_has_moved_is_named_with_model(folder_model, run):
    folder_model.rename("elsewhere")
    code, _, err = run("again", "x.csv")
    assert code == 4
    assert "--model says where it is now" in err
    assert run("again", "x.csv", "--model", "./elsewhere")[:2] == (0, "x.csv: the same to the bit\n")
    assert run("again", "x.csv", "--model", RING)[0] == 4


def test_a_model_on_the_hub_has_its_commit(kinds, run, zoo_hub):
    """A branch in the command is the commit in the file; a file that names a branch is refused."""
    folder = Path(kinds("points"))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    commit = zoo_hub.add_repo("org/points", files)
    assert run("sample", "hf:org/points", "-n", "3", "--out", "x.npz")[0] == 0
    made = made_of("x.npz")
    assert made.model == f"hf:org/points@{commit}"
    zoo_hub.add_repo("org/points", {**files, "README.md": b"another commit"})
    assert again("x.npz").same
    assert again("x.npz", model="./points").same
    branch = replace(made, model="hf:org/points")
    np.savez("y.npz", samples=np.zeros((3, 5)))
    notes.write_noted(Path("y.npz"), Path("y.npz").read_bytes(), branch.text())
    zoo_hub.requests.clear()
    with pytest.raises(ChecksumError, match="names hf:org/points, without the commit; refused"):
        again("y.npz")
    assert zoo_hub.requests == []


def strange(**changes: object) -> str:
    """The note of a file of the ring with other values."""
    weights = load(RING).entry.weights.sha256
    table = {"zoo": 1, "verb": "sample", "model": RING, "id": RING, "family": "gmm", "weights": [weights],
             "sampler": "direct", "seed": "0", "first": 0, "n": 3, "format": ".csv",
             "versions": {"zoo-core": "0.1.0"}}  # fmt: skip
    return json.dumps({**table, **changes})


STRANGE = {
    "n": [10**12, 2**62, 0, -1, True, 1.5, "3", None, 10**300],
    "first": [-1, 2**62, 10**400, "0"],
    "index": [9, -1, "x"],
    "seed": [3, "x", "9" * 500, "1e3"],
    "verb": ["rm", "", 1, "plot", "translate", "fill", "encode", "decode", "score"],
    "model": ["../" * 50, "/dev/zero", "/proc/self/mem", "hf:org/x", "hf:org/x@main", "~nobody", "\x1b[2J", "a\nb", "",
              "x" * 10_000, "local-dir:/dev", "./x\0", 3, "file:///etc/passwd"],
    "weights": [[], ["x"], ["0" * 64], "0" * 64, [1], [["a"]]],
    "sampler": ["ddim", "os.system", "../x", "", 3, "none-such"],
    "options": [{"steps": 10**9}, {"nfe": 3}, {"name": "x"}, [], {"self": 1}, {"a": {"b": [{"c": 10**9}]}}],
    "condition": [{"label": 3}, {"x": "../../etc/passwd"}, []],
    "guidance": [1e400, "x", 3.0],
    "dtype": ["int4", 3, "object"],
    "device": ["cuda", "meta", "../x", 3],
    "uses": [{"x": "y"}, []],
    "versions": [{"torch": "\x1b[31m"}, {"a": 1}, []],
    "zoo": [2, 0, "1", 1.5],
    "family": ["../x", 3],
    "format": [".csv/../../x", "csv"],
    "shows": ["film", "plot", "x"],
    "plot": ["score", "../x"],
    "to": ["x"],
    "mask": ["../../../etc/passwd", 3, "\x1b[2J"],
    "length": ["x", -1, 10**12],
    "completion": [0, -1, "x"],
    "completions": [0, -1, 10**12],
    "inputs": [[{"file": "/etc/passwd", "sha256": "0" * 64}], [{"file": "/dev/zero", "sha256": "0" * 64}], ["x"], [{}]],
}  # fmt: skip


@pytest.mark.parametrize("key", STRANGE)
def test_a_strangers_note_does_no_harm(key, tmp_path, monkeypatch, judged):
    """One line and an exit code, or the samples of the model that it names; nothing is run, and nothing written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    path = tmp_path / "x.csv"
    for value in STRANGE[key]:
        more = {"verb": "translate", "to": "x"} if key == "inputs" else {}
        content = f'{{"sha256": "{"0" * 64}", "made": {strange(**{key: value}, **more)}}}'
        path.write_text("x0,x1\n1,2\n")
        notes.beside(path).write_text(content)
        done = judged(f"{key} = {str(value)[:60]}", lambda: again(path), codes={1, 2, 3, 4, 5, 6})
        assert done is None or (done.same is False and len(done.samples) == 3) or key in ("shows", "plot", "to")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["x.csv", "x.csv.zoo.json"]


def test_a_file_that_an_option_names_is_read_only_if_its_hash_is_there(tmp_path, monkeypatch):
    """A stranger who names a picture of yours learns nothing, and a model of yours is not loaded for them."""
    monkeypatch.chdir(tmp_path)
    np.save("secret.npy", np.zeros((1, 2)))
    made = Provenance.of(strange(model=MOONS, id=MOONS, weights=[load(MOONS).entry.weights.sha256]), "x")
    path = tmp_path / "x.csv"
    monkeypatch.setattr("zoo_core.redrawing.drawing.load", lambda *_, **__: pytest.fail("loaded"))
    for options, words in (
        ({"image": "secret.npy"}, "does not say with which SHA-256"),
        ({"image": "./secret.npy"}, "does not say with which SHA-256"),
        ({"options": {"deep": ["secret.npy"]}}, "does not say with which SHA-256"),
        ({"classifier": "./folder"}, "does not say with which SHA-256"),
        ({"classifier": "hf:org/x"}, "does not say with which SHA-256"),
        ({"classifier": RING}, "does not say with which SHA-256"),
    ):
        notes.write_noted(path, b"x0,x1\n1,2\n", replace(made, sampler="sdedit", options=options).text())
        with pytest.raises(ChecksumError, match=words):
            again(path)
    uses = {"hf:org/x": "0" * 64}
    notes.write_noted(path, b"x", replace(made, options={"classifier": "hf:org/x"}, uses=uses).text())
    with pytest.raises(ChecksumError, match="without the commit"):
        again(path)


def test_what_is_no_file_of_the_zoo(run, tmp_path):
    Image.new("L", (3, 3)).save("plain.png")
    Path("d").mkdir()
    Path("x.csv").write_text("1,2\n")
    for place, words in (
        ("plain.png", "plain.png does not say how it was made"),
        ("x.csv", "x.csv does not say how it was made"),
        ("d", "d does not say how its files were made: it has no manifest.json"),
        ("nothing.png", "there is no file 'nothing.png'"),
    ):
        code, out, err = run("again", place)
        assert (code, out) == (DataError.exit_code, "")
        assert words in err
        assert len(err.splitlines()) == 1
    notes.write_noted(Path("y.csv"), b"1\n", strange(zoo=2))
    with pytest.raises(ZooError, match="was made by a newer zoo"):
        again("y.csv")
    notes.write_noted(Path("y.csv"), b"1\n", strange(sampler="none-such"))
    with pytest.raises(UnknownNameError, match="none-such"):
        again("y.csv")


def test_where_the_result_cannot_go_is_refused_before_anything_is_drawn(run, monkeypatch):
    assert run("sample", MOONS, "-n", "3", "--steps", "2", "--out", "x.csv", "--trajectory", "f.gif")[0] == 0
    monkeypatch.setattr("zoo_core.redrawing.drawing.sample", lambda *_, **__: pytest.fail("drawn in vain"))
    for place, out in (("x.csv", "x.wav"), ("x.csv", "nowhere/x.csv"), ("f.gif", "f.png"), ("f.gif", "nowhere/f.gif")):
        with pytest.raises(IncompatibleError):
            again(place, out=out)


def test_without_a_note(run):
    """``--no-note`` leaves it out of every file, and a folder has no manifest."""
    assert (
        run("sample", MOONS, "-n", "3", "--steps", "2", "--no-note", "--out", "x.csv", "--trajectory", "f.gif")[0] == 0
    )
    assert run("sample", DIGITS, "-n", "2", "--no-note", "--out", "d/")[0] == 0
    assert sorted(p.name for p in Path.cwd().iterdir()) == ["d", "f.gif", "x.csv"]
    assert sorted(p.name for p in Path("d").iterdir()) == ["00000.png", "00001.png"]
    assert notes.read_note(Path("f.gif")) is None


def test_a_large_file_is_not_read_where_a_small_one_should_be(tmp_path):
    (tmp_path / "small.csv").write_text("x0\n1\n")
    with open(tmp_path / "large.csv", "wb") as file:
        file.truncate(1 << 40)
    assert between_files(tmp_path / "large.csv", tmp_path / "small.csv", SampleSpace("points", (1,))).greatest is None
