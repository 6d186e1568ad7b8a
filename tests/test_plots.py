"""Plots: what fits is drawn, what does not says why, and nothing half-written is left."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

import zoo_core
from zoo_core.cli import main
from zoo_core.errors import IncompatibleError, UnknownNameError
from zoo_core.interfaces import Column, Model, Ragged, SampleSpace
from zoo_core.lookup.model_facts import read_facts
from zoo_core.plots.draw import draw, show_samples
from zoo_core.plots.latent import slerp

pytest.importorskip("matplotlib")


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gmm-eight-gaussians", "samples"),
        ("gmm-eight-gaussians", "density"),
        ("gmm-eight-gaussians", "em"),
        ("gmm-digits", "samples"),
        ("ddpm-moons", "score"),
        ("ddpm-moons", "noising"),
    ],
)
def test_plots_are_drawn(tmp_path, name, kind):
    from PIL import Image

    draw(zoo_core.load(name), kind, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        assert min(picture.size) >= 200
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 20  # something is there
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.long
def test_the_trajectory_of_a_path_model(tmp_path):
    draw(zoo_core.load("ddpm-moons"), "trajectory", tmp_path / "x.svg")
    assert (tmp_path / "x.svg").read_text(encoding="utf-8").count('<g id="axes_') == 16


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("gmm-digits", "density", "plot 'density' needs points in the plane"),
        ("gmm-digits", "score", "plot 'score' needs Denoiser"),
        ("gmm-digits", "em", "in the plane"),
        ("gmm-digits", "training", "plot 'training' needs the log of its training run in its folder"),
        ("ddpm-moons", "em", "plot 'em' is for gmm only"),
    ],
)
def test_what_cannot_be_shown_says_why(tmp_path, name, kind, message):
    with pytest.raises(IncompatibleError, match=message):
        draw(zoo_core.load(name), kind, tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


SPACES = (
    SampleSpace("points", (5,)),
    SampleSpace("image", (5, 4, 4), 0.0, 1.0),
    SampleSpace("sequence", (None, 2)),
    SampleSpace("tokens", (None,), vocabulary=4),
    SampleSpace("audio", (1, None), rate=100),
    SampleSpace("table", (2,), columns=(Column("age"), Column("colour", "category", ("red", "blue")))),
)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.kind)
def test_samples_of_every_kind_are_shown(space):
    """As zoo sample draws them: what axes show is that picture, pixel by pixel."""
    from matplotlib.figure import Figure

    from zoo_core.pictures import render

    model = Model()
    model.space = space
    shape = [4 if size is None else size for size in space.shape]
    data = torch.ones(9, *shape, dtype=torch.int64 if space.kind == "tokens" else torch.float32)
    x = data if space.open_axis is None else Ragged(data, torch.arange(9) % 4 + 1, space.open_axis)
    axes = Figure().subplots()
    show_samples(axes, x, model)
    assert np.array_equal(axes.images[0].get_array(), np.asarray(render(x, space)))
    assert "pictured" in read_facts(model)


def test_wrong_names_and_files(tmp_path):
    model = zoo_core.load("gmm-eight-gaussians")
    with pytest.raises(UnknownNameError, match="did you mean samples"):
        draw(model, "sample", tmp_path / "x.png")
    with pytest.raises(IncompatibleError, match=r"use a \.png, \.svg or \.pdf"):
        draw(model, "samples", tmp_path / "x.gif")


def test_training_curves_of_a_run(tmp_path):
    from zoo_core import registry
    from zoo_core.training import Options, train
    from zoo_core.training.variants import changed

    entry = changed(registry.load().get("ddpm-moons"), {"data.n": 200, "steps": 100, "batch": 20, "warmup": 5})
    train(entry, tmp_path / "run", Options(samples_every=0))
    draw(zoo_core.load(str(tmp_path / "run" / "model")), "training", tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_the_verb_says_what_fits(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["plot", "gmm-eight-gaussians", "--json"])
    assert stop.value.code == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["density", "em", "samples"]


def test_slerp_keeps_the_norm_and_meets_its_ends():
    source = torch.Generator().manual_seed(0)
    a, b = (torch.randn(5, 8, generator=source, dtype=torch.float64) for _ in range(2))
    a, b = (x / x.norm(dim=1, keepdim=True) for x in (a, b))
    assert torch.allclose(slerp(a, b, 0.0), a)
    assert torch.allclose(slerp(a, b, 1.0), b)
    assert torch.allclose(slerp(a, b, 0.3).norm(dim=1), torch.ones(5, dtype=torch.float64))
    assert torch.allclose(slerp(a, a, 0.5), a)
    x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert torch.allclose(slerp(x, y, 0.5), torch.tensor([[math.sqrt(0.5), math.sqrt(0.5)]]))
