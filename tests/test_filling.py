"""What is missing of samples is completed: of every kind, in every format, and known values stay as they are."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import zoo_core
from zoo_core import plugins
from zoo_core.datasets.reading import read_samples
from zoo_core.errors import DataError, IncompatibleError
from zoo_core.filling import fill, way_of
from zoo_core.filling.cells import with_cells
from zoo_core.filling.masks import known_part, lengthened, mask_of
from zoo_core.interfaces import (
    Column,
    Completer,
    Condition,
    ConditionSpec,
    Denoiser,
    DirectSampler,
    Model,
    Prediction,
    Ragged,
    SampleSpace,
    Streams,
)
from zoo_core.loading import load
from zoo_core.paths import VariancePreserving
from zoo_core.registry.entry import Entry, SamplerChoice
from zoo_core.saving import snapshot
from zoo_core.saving.samples import save_samples
from zoo_core.testing.fake_plugins import install

HERE = Path(__file__).parent / "kinds_plugin"
KINDS = (
    "image", "rgb", "spectral", "points", "sequence", "frames", "tokens", "codes", "audio", "stereo", "table", "words",
)  # fmt: skip
RHO = 0.8


class Correlated(Model, Denoiser):
    """The exact denoiser of N(0, Σ) in the plane, with correlation ρ; of unit variance."""

    prediction = "data"

    def __init__(self) -> None:
        super().__init__()
        self.path, self.space = VariancePreserving(), SampleSpace("points", (2,))
        self.covariance = torch.tensor([[1.0, RHO], [RHO, 1.0]], dtype=torch.float64)

    def predict(self, x_t: Tensor, t: float | Tensor, *, condition: Condition | None = None) -> Prediction:
        assert isinstance(t, float)
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        noisy = alpha**2 * self.covariance + sigma**2 * torch.eye(2, dtype=torch.float64)
        data = (x_t.double() @ torch.linalg.solve(noisy, alpha * self.covariance)).to(x_t.dtype)
        return Prediction(data, (x_t - alpha * data) / sigma)


class Prefixes(Model, Completer):
    """Counts on from the last known token: completes prefixes only."""

    def __init__(self) -> None:
        super().__init__()
        self.space = SampleSpace("tokens", (6,), vocabulary=10)
        self.conditions = {"label": ConditionSpec.label(2, null=True)}

    def completes(self, known: Tensor) -> str | None:
        whole = (known.long().diff(dim=1) <= 0).all()
        return None if whole else "completes prefixes only"

    def complete(self, x: Tensor, known: Tensor, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        x = x.clone()
        step = 1 if condition is None else 1 + condition["label"]
        for t in range(1, x.shape[1]):
            x[:, t] = torch.where(known[:, t], x[:, t], (x[:, t - 1] + step) % 10)
        return x


class Mute(Model, DirectSampler):
    """Can be drawn from, and complete nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.space = SampleSpace("points", (2,))

    def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
        return streams.normal(2)


# In Python


@pytest.mark.long
def test_a_path_model_is_completed_by_its_conditional_distribution_with_a_mask_for_each_row():
    """Even rows lack x₂ and odd rows x₁; given 1.5 the other is N(ρ·1.5, 1 − ρ²): mean to 0.12, variance to 25 %,
    five standard errors of 800 samples."""
    model, n = Correlated(), 1600
    x = torch.full((n, 2), 1.5)
    x[::2, 1] = x[1::2, 0] = math.nan
    [made] = fill(model, x, resamplings=40)
    known = ~torch.isnan(x)
    assert torch.equal(made[known], x[known])
    for hidden in (made[::2, 1], made[1::2, 0]):
        assert abs(hidden.mean().item() - RHO * 1.5) < 0.12
        assert abs(hidden.var().item() / (1 - RHO**2) - 1) < 0.25
    assert way_of(model, known).name == "inpaint"


def test_completion_c_of_sample_i_depends_on_the_seed_c_and_i_only():
    x = torch.full((10, 2), 0.5)
    x[:, 1] = math.nan
    x[3] = 2.0  # nothing is missing here
    model = Correlated()
    three = fill(model, x, n=3, seed=4, steps=4)
    again = fill(model, x[:7], n=2, seed=4, steps=4, batch_size=3)
    for one, other in zip(three, again, strict=False):
        assert torch.allclose(one[:7], other, rtol=0, atol=1e-6)
    assert not torch.equal(three[0], three[1])
    assert not torch.equal(three[0], fill(model, x, seed=5, steps=4)[0])
    assert torch.equal(three[2][3], x[3])
    assert len(three[0][:, 1].unique()) == 10


@pytest.mark.long
def test_an_exact_completion_is_taken_first_and_a_sampler_where_it_is_named():
    model = zoo_core.load("gmm-eight-gaussians")
    x = torch.tensor([[math.nan, 0.0], [1.4, math.nan], [math.nan, math.nan]])
    made = fill(model, x, n=200)
    found = torch.stack(made)
    assert torch.equal(found[:, ~torch.isnan(x)], x[~torch.isnan(x)].expand(200, 2))
    # Given x₂ = 0 two modes remain, at ±2; given x₁ = 1.4 two, at ±1.41; without either all eight.
    assert (found[:, 0, 0].abs() - 2).abs().max() < 0.2
    assert (found[:, 1, 1].abs() - math.sqrt(2)).abs().max() < 0.2
    assert 0.4 < (found[:, 0, 0] > 0).float().mean() < 0.6
    assert len(found[:, 2].round().unique(dim=0)) == 8
    with pytest.raises(IncompatibleError, match="completes samples exactly, without options; leave steps out"):
        fill(model, x, steps=3)
    with pytest.raises(IncompatibleError, match="'direct' completes no samples; those that do: inpaint"):
        fill(model, x, sampler="direct")


def test_who_can_do_neither_says_why():
    x = torch.tensor([[math.nan, 0.0]])
    with pytest.raises(IncompatibleError, match=r"Mute cannot complete samples: .*needs Denoiser, which Mute is not"):
        fill(Mute(), x)
    with pytest.raises(IncompatibleError, match="adds noise, and this path couples noise and data"):
        fill("otcfm-eight-gaussians", x)
    tokens = torch.tensor([[3, 0, 0, 0, 0, 0]])
    with pytest.raises(IncompatibleError, match="this model completes prefixes only; sampler 'inpaint' needs Denoiser"):
        fill(Prefixes(), tokens, [0, 1, 1, 1, 1, 1])


def test_a_prefix_is_continued_under_a_condition():
    tokens = torch.tensor([[3, 4, 0, 0, 0, 0], [8, 9, 0, 0, 0, 0]])
    assert fill(Prefixes(), tokens, "prefix=2")[0].tolist() == [[3, 4, 5, 6, 7, 8], [8, 9, 0, 1, 2, 3]]
    made = fill(Prefixes(), tokens, "prefix=2", condition={"label": [0, 1]})[0]
    assert made.tolist() == [[3, 4, 5, 6, 7, 8], [8, 9, 1, 3, 5, 7]]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (torch.ones(1, 3, dtype=torch.bool), r"known is torch.bool of shape \(1, 3\); expected bool of shape \(1, 2\)"),
        (torch.ones(1, 2), "known is torch.float32"),
        ("left", "mask = 'left' is for images"),
        ([1, 0, 1], "mask has 3 numbers; a sample of this model has 2"),
        ("nowhere", r"mask = 'nowhere' is no file; expected one of left, right, .*box=X,Y,W,H"),
        ("[1, 0", "is no list"),
        ("prefix=3", "is for sequences, tokens and audio, not for points 2"),
    ],
)
def test_masks_that_cannot_be(known, words):
    with pytest.raises(IncompatibleError, match=words):
        fill(Correlated(), torch.zeros(1, 2), known)
    with pytest.raises(IncompatibleError, match="n = 0 and batch_size = None"):
        fill(Correlated(), torch.zeros(1, 2), n=0)


def test_masks_in_words(tmp_path):
    space = SampleSpace("image", (1, 6, 8), 0.0, 1.0)

    def count(mask: str) -> list[int]:
        return mask_of(mask, space, (1, 6, 8))[0].long().tolist()

    assert np.array_equal(count("left"), [[1] * 4 + [0] * 4] * 6)
    assert np.array_equal(count("bottom"), [[0] * 8] * 3 + [[1] * 8] * 3)
    box = np.array(count("box=2,1,3,2"))
    assert box.sum() == 6
    assert box[1:3, 2:5].all()
    assert np.array_equal(1 - box, count("around=2,1,3,2"))
    for wrong in ("box=2,1,3", "box=a,b,c,d", "box=7,0,2,2", "around=0,5,1,2", "box=0,0,0,1"):
        with pytest.raises(IncompatibleError, match=r"box|around"):
            count(wrong)
    Image.fromarray(box.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    assert np.array_equal(box, count(str(tmp_path / "mask.png")))
    Image.new("L", (3, 3)).save(tmp_path / "small.png")
    with pytest.raises(IncompatibleError, match="the picture is 3×3 pixels; resize it to 8×6"):
        count(str(tmp_path / "small.png"))
    audio = SampleSpace("audio", (2, 5), rate=8000)
    assert mask_of("prefix=3", audio, (2, 5)).long().tolist() == [[1, 1, 1, 0, 0]] * 2


def test_samples_of_any_length_are_continued():
    x = Ragged.of([torch.tensor([1, 2, 3]), torch.tensor([4])])
    longer, known = lengthened(x, 5)
    assert longer.lengths.tolist() == [5, 5]
    assert known.tolist() == [[True, True, True, False, False], [True, False, False, False, False]]
    with pytest.raises(IncompatibleError, match="length = 2, but a sample has 3 steps"):
        lengthened(x, 2)
    with pytest.raises(IncompatibleError, match="samples of this model have a fixed length"):
        lengthened(torch.zeros(1, 2), 5)
    assert known_part(x, "prefix=1", SampleSpace("tokens", (None,), vocabulary=5)).tolist() == [
        [True, False, False],
        [True, True, True],  # a row's padding is not missing
    ]


# Cells of a CSV file


def test_only_cells_that_are_missing_change():
    """Line ends, quotation marks, spaces, digits, other columns and what stands before the header stay."""
    space = SampleSpace("table", (2,), columns=(Column("a"), Column("b, c")))
    original = '\ufeffname,"b, c",a\r\n"Ann ""A""",1.50, 2\r\nBob,,NA\r\n"x\ny",?,3'
    completed = 'a,"b, c"\n2,1.5\n7.5,8.5\n3,"9.5"\n'
    known = torch.tensor([[True, True], [False, False], [True, False]])
    expected = '\ufeffname,"b, c",a\r\n"Ann ""A""",1.50, 2\r\nBob,8.5,7.5\r\n"x\ny","9.5",3'
    assert with_cells(original, completed, known, space) == expected
    assert with_cells("1,\n", "x0,x1\n1,5\n", torch.tensor([[True, False]]), SampleSpace("points", (2,))) == "1,5\n"
    assert with_cells(",", "x0,x1\n4,5\n", torch.tensor([[False, False]]), SampleSpace("points", (2,))) == "4,5"
    with pytest.raises(DataError, match="the file has 1 rows of samples; expected 2"):
        with_cells("1,\n", "x0,x1\n1,5\n", torch.ones(2, 2, dtype=torch.bool), SampleSpace("points", (2,)))
    with pytest.raises(DataError, match="has a quotation mark within it"):
        with_cells('a,b\n"x"y,1\n', "x0,x1\n1,5\n", torch.ones(1, 2, dtype=torch.bool), SampleSpace("points", (2,)))


# At the terminal


@pytest.fixture
def kinds(zoo_site, tmp_path, monkeypatch):
    """Installs the plugin and gives a function that makes a folder with a model of some kind."""
    modules = {"model": (HERE / "model.py").read_text(encoding="utf-8")}
    source, registry = ((HERE / name).read_text(encoding="utf-8") for name in ("plugin.py", "registry.toml"))
    install(zoo_site, "zoo-kinds", source, registry=registry, modules=modules)
    importlib.invalidate_caches()
    plugins.reset()
    monkeypatch.chdir(tmp_path)

    def make(kind):
        from zoo_kinds.model import Kinds

        entry = Entry(kind, "kinds", "zoo-kinds", {"kind": kind}, kind, sampler=SamplerChoice("direct"))
        snapshot.save(tmp_path / kind, entry, Kinds(kind).state_dict())
        return f"./{kind}"

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_its_formats(kinds, kind, run):
    """Half of every sample is kept to the bit and the rest completed, in the format that it came in."""
    name = kinds(kind)
    model = load(name)
    space, wanted = model.space, zoo_core.sample(model, 3, seed=5)
    mask = {"image": "left", "rgb": "top", "spectral": "border"}.get(kind, "prefix=2")
    if space.kind in ("points", "table"):
        mask = json.dumps([1] * ((space.shape[0] or 0) // 2) + [0] * -(-(space.shape[0] or 0) // 2))
    for suffix in {".json", ".npz", ".csv", ".png"} & set(zoo_core.files.formats.readable(space)):
        count = 1 if suffix == ".png" else 3
        save_samples(wanted[:count], f"in{suffix}", space)
        if suffix == ".png":
            from zoo_core.saving.samples import save_one

            save_one(wanted[0], Path("in.png"), space)
        code, _, err = run("fill", name, f"in{suffix}", "--mask", mask, "--out", f"out{suffix}")
        assert code == 0, err
        assert f"{count} sample" in err
        assert "exactly" in err
        before, after = read_samples(f"in{suffix}", space), read_samples(f"out{suffix}", space)
        keep = known_part(before, mask, space)
        changed = False
        for one, other, part in zip(before, after, keep, strict=True):
            part = part[tuple(slice(0, size) for size in one.shape)]
            assert torch.equal(one[part], other[part])
            changed |= not torch.equal(one, other)
        assert changed


def test_an_open_length_is_continued_at_the_terminal(kinds, run):
    name = kinds("tokens")
    Path("in.txt").write_text("1 2 3\n4\n", encoding="utf-8")
    code, _, err = run("fill", name, "in.txt", "--length", "6", "--out", "out.txt")
    assert code == 0, err
    rows = [line.split() for line in Path("out.txt").read_text(encoding="utf-8").splitlines()]
    assert [len(row) for row in rows] == [6, 6]
    assert (rows[0][:3], rows[1][:1]) == (["1", "2", "3"], ["4"])
    code, _, err = run("fill", name, "in.txt", "--length", "6", "--mask", "prefix=1", "--out", "out.txt")
    assert code == 0, err
    assert [line[0] for line in Path("out.txt").read_text(encoding="utf-8").splitlines()] == ["1", "4"]


def test_a_table_keeps_its_header_its_rows_and_its_types(kinds, run):
    name = kinds("table")
    text = 'id,height,colour,age\nA7,,"light, blue",30\nA8,171.20,,\nA9,170,red,41\n'
    Path("in.csv").write_text(text, encoding="utf-8")
    code, _, err = run("fill", name, "in.csv", "-n", "5", "--out", "many/")
    assert code == 0, err
    assert "3 samples completed, 5 times, exactly by ./table" in err
    found = [Path(f"many/in-{c}.csv").read_text(encoding="utf-8").splitlines() for c in range(5)]
    for lines in found:
        assert lines[0] == "id,height,colour,age"
        assert lines[3] == "A9,170,red,41"
        assert lines[1].startswith("A7,1")
        assert lines[1].endswith(',"light, blue",30')
        assert lines[2].startswith("A8,171.20,")
        colour, age = lines[2].removeprefix("A8,171.20,").rsplit(",", 1)
        assert colour in ("red", '"light, blue"')
        assert 20 <= int(age) < 80
    assert len({lines[2] for lines in found}) > 1


def test_what_cannot_be_filled_at_the_terminal_is_said_in_a_line(kinds, run, tmp_path):
    name = kinds("points")
    Path("whole.csv").write_text("1,2,3,4,5\n", encoding="utf-8")
    Path("holes.csv").write_text("1,2,,4,5\n", encoding="utf-8")
    cases = {
        ("whole.csv", "--out", "out.csv"): "nothing is missing in whole.csv; leave cells empty, or give --mask",
        ("holes.csv", "-n", "2", "--out", "out.csv"): "2 completions cannot be written to one file 'out.csv'",
        ("holes.csv", "whole.csv", "--out", "out.csv"): "2 files cannot be written to one file 'out.csv'",
        ("holes.csv", "--out", "holes.csv"): "is one of the files to complete",
        ("holes.csv", "--out", "out.csv", "--length", "9"): "samples of this model have a fixed length",
        ("holes.csv", "--out", "out.csv", "--steps", "9"): "without options; leave steps out",
        ("none.csv", "--out", "out.csv"): "there is no file 'none.csv'",
        ("holes.csv", "--out", "out.csv", "--mask", "box=1"): "is for images",
    }
    for arguments, words in cases.items():
        code, out, err = run("fill", name, *arguments)
        assert (code, out) == (2, "")
        assert words in err
        assert len(err.splitlines()) == 1
    assert not list(tmp_path.glob("out*"))
    assert Path("holes.csv").read_text(encoding="utf-8") == "1,2,,4,5\n"
    code, out, _ = run("fill", name, "holes.csv", "--out", "out.csv", "--json")
    assert code == 0
    assert json.loads(out)["missing"] == 1


@pytest.mark.long
def test_a_picture_keeps_its_known_pixels(run, tmp_path):
    """A digit of ddpm-mnist whose right half is drawn anew, twice; what is left is the same to the pixel."""
    rows = np.zeros((28, 28), np.uint8)
    rows[4:24, 12:16] = 250
    rows[5, 3] = 77
    Image.fromarray(rows).save(tmp_path / "one.png")
    arguments = ("fill", "ddpm-mnist", "one.png", "--steps", "4", "--set", "resamplings=1")
    code, _, err = run(*arguments, "--mask", "left", "-n", "2", "--out", "two/")
    assert code == 0, err
    assert "completed, 2 times, by inpaint by ddpm-mnist" in err
    found = [np.array(Image.open(tmp_path / "two" / f"one-{c}.png")) for c in (0, 1)]
    for made in found:
        assert np.array_equal(made[:, :14], rows[:, :14])
    assert not np.array_equal(found[0], found[1])
