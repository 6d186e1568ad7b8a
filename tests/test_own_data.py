"""Readers' own data, every family, every verb: trains a few steps, saves, loads, samples, measures, or says why not."""

from __future__ import annotations

import csv
import tomllib
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import zoo_core
from zoo_core import registry
from zoo_core.cli import cli
from zoo_core.datasets.sources import Reading
from zoo_core.errors import IncompatibleError
from zoo_core.evaluation import evaluate
from zoo_core.interfaces import Density, can
from zoo_core.interfaces.values import finite_rows
from zoo_core.sampling import quick_sampler, sample
from zoo_core.saving.samples import save_samples
from zoo_core.training import Options, budget, train
from zoo_core.training.choice import families_for, for_data
from zoo_core.training.recipe_file import read_recipe, write_recipe
from zoo_core.training.target import Target

KINDS = ("rgb", "grey", "odd", "points", "table", "text", "voices")
FAMILIES = sorted({entry.family for entry in registry.load().find() if entry.recipe})
IMAGES = {
    "ddpm", "flow-matching", "gan", "glow", "gmm", "made", "maf", "ncsn", "rbm", "realnvp", "resampled-glow",
    "score-sde", "vae",
}  # fmt: skip
POINTS = {
    "autoregressive-table", "cnf", "consistency", "ddpm", "flow-matching", "gan", "gaussian-rbm", "gmm", "mean-flow",
    "normal", "nsf", "realnvp", "score-sde", "vae",
}  # fmt: skip
FIT = {
    "rgb": IMAGES | {"noisy-classifier"}, "grey": IMAGES, "odd": IMAGES, "points": POINTS, "table": POINTS,
    "text": {"hmm"},
}  # fmt: skip
"""Families that learn each kind; every other one says why not."""


def blobs(count: int, height: int, width: int, channels: int) -> np.ndarray:
    """Draws bright discs at random places."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    images = []
    for _ in range(count):
        cy, cx, colour = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0.3, 1, channels)
        disc = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (height / 3) ** 2)
        images.append((255 * disc[..., None] * colour).astype(np.uint8))
    return np.stack(images)


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    """One source of each kind, with 40 examples."""
    root = tmp_path_factory.mktemp("own")
    for i, image in enumerate(blobs(40, 32, 32, 3)):
        place = root / "rgb" / "ab"[i % 2] / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    (root / "grey").mkdir()
    for i, image in enumerate(blobs(40, 24, 40, 1)):
        Image.fromarray(image[..., 0]).save(root / "grey" / f"{i}.png")
    np.save(root / "odd.npy", blobs(40, 17, 31, 1)[..., 0])
    rng = np.random.default_rng(1)
    np.save(root / "points.npy", rng.normal(size=(40, 3)) * [1, 30, 500] + [0, 100, -7])
    with (root / "table.csv").open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["size", "count", "kind", "day"])
        for i in range(40):
            rows.writerow(
                [
                    f"{rng.normal(5, 2):.2f}",
                    rng.poisson(3),
                    ["red", "green", "blue"][i % 3],
                    f"2024-01-{1 + i % 28:02d}",
                ]
            )
    (root / "text.txt").write_text("\n".join("to be or not to be"[: 5 + i % 9] for i in range(40)))
    for i in range(6):
        place = root / "voices" / "ab"[i % 2] / f"{i}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(place), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(rng.integers(-9999, 9999, 400 + i).astype("<i2").tobytes())
    names = {"odd": "odd.npy", "points": "points.npy", "table": "table.csv", "text": "text.txt"}
    return {kind: root / names.get(kind, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def targets(sources) -> dict[str, Target]:
    return {kind: Target.own(path) for kind, path in sources.items()}


def changes_for(entry_family: str) -> dict[str, object]:
    """Values that make a few steps quick."""
    if entry_family == "gmm":
        return {"iterations": 2, "restarts": 1, "config.components": 1, "config.covariance": "diagonal"}
    if entry_family == "hmm":
        return {"iterations": 2, "restarts": 1}
    return {"batch": 8} | ({"objective_options.proposals": 8} if entry_family == "resampled-glow" else {})


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_family_on_every_kind(family, kind, targets, tmp_path):
    target = targets[kind]
    reason = dict(families_for(target))[family]
    if reason is not None or not (target.is_own and family in FIT.get(kind, ())):
        with pytest.raises(IncompatibleError) as refused:
            for_data(family, target, changes_for(family))
        assert family in str(refused.value)
        assert "\n" not in str(refused.value)
        assert family not in FIT.get(kind, ())
        return
    entry = for_data(family, target, changes_for(family))
    train(entry, tmp_path, Options(max_steps=2, samples_every=0), target.data)
    model = zoo_core.load(str(tmp_path / "model"))
    assert model.entry.recipe["data"]["sha256"] == target.table["sha256"]
    if can(model, Density) and not model.many_passes:
        assert np.isfinite(evaluate(model, "nll", n=4).value)
    if model.entry.sampler is None:
        return
    x = sample(model, 2, sampler=quick_sampler(model, 3))
    expected = target.data.sample_space.shape
    assert all(size in (None, has) for size, has in zip(expected, x.shape[1:], strict=True))
    assert finite_rows(x).all()
    suffix = "png" if target.data.sample_space.kind == "image" else "csv"
    save_samples(x, str(tmp_path / f"out.{suffix}"), model.space)
    if suffix == "csv":
        rows = list(csv.reader((tmp_path / "out.csv").read_text().splitlines()))
        assert len(rows) == (2 if kind == "text" else 3)
        if kind == "table":
            assert rows[0] == ["size", "count", "kind", "day"]
            assert rows[1][1].lstrip("-").isdigit()
            assert rows[1][2] in ("red", "green", "blue")
            assert rows[1][3].startswith("2024-01-")


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_zoo_data_says_what_a_source_is(sources):
    said = run("data", str(sources["table"]))
    assert "table 4" in said
    assert "kind: 3 categories, blue, green, red" in said
    assert "fingerprint  sha256 " in said
    assert "gmm" in said.split("families")[1]
    assert "hmm" in run("data", str(sources["text"])).split("families")[1]
    assert "none yet" in run("data", str(sources["voices"]))


@pytest.mark.long
def test_a_recipe_file_is_the_run(sources, tmp_path):
    target = Target.own(sources["table"], Reading(label="kind"))
    entry = for_data("gmm", target, {"config.components": 2, "restarts": 1, "iterations": 3})
    written = write_recipe(tmp_path, entry)
    again = read_recipe(written)
    assert (again.config, again.recipe, again.id) == (entry.config, entry.recipe, "gmm-table")
    table = tomllib.loads(written.read_text())
    assert table["models"]["gmm-table"]["recipe"]["data"]["reader"]["label"] == "kind"
    one, two = (train(e, tmp_path / name, Options(samples_every=0)) for name, e in (("a", entry), ("b", again)))
    assert all(torch.equal(one.state_dict()[k], v) for k, v in two.state_dict().items())


@pytest.mark.long
def test_fit_learns_an_array_in_the_users_units():
    """A Gaussian fitted to an array has its mean and covariance: 5 standard errors of 5,000 draws."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 2)) @ np.array([[30, 5], [0, 2]]) + 100
    model = zoo_core.fit("gmm", x, config={"components": 1}, restarts=1, iterations=3)
    drawn = zoo_core.sample(model, 5000).numpy()
    assert np.allclose(drawn.mean(0), x.mean(0), atol=5 * x.std(0).max() / np.sqrt(5000))
    assert np.allclose(np.cov(drawn.T), np.cov(x.T), rtol=0.1)
    assert drawn.min() >= x.min(), "nothing is drawn outside of the range that was seen"


def test_fit_takes_tables_and_integers_back(sources):
    import pandas

    frame = pandas.read_csv(sources["table"])
    model = zoo_core.fit("gmm", frame, config={"components": 1}, restarts=1, iterations=2)
    assert [column.name for column in model.space.user.columns] == list(frame.columns)
    drawn = zoo_core.sample(model, 50)
    assert torch.equal(drawn[:, 1], drawn[:, 1].round())
    assert drawn[:, 1].max() <= frame["count"].max()


def test_a_family_that_does_not_fit_says_why(targets):
    with pytest.raises(IncompatibleError, match="nsf-moons is not a model of image"):
        for_data("nsf", targets["rgb"], {})


def test_what_is_said_is_not_adapted(targets):
    """Grey pictures get a Gaussian likelihood, unless a part of the likelihood is said."""
    adapted = for_data("vae", targets["grey"], {"batch": 8}).config["likelihood"]
    assert adapted == {"kind": "gaussian", "sigma": 0.3, "learned": True}
    said = for_data("vae", targets["grey"], {"batch": 8, "config.likelihood.kind": "continuous-bernoulli"})
    assert said.config["likelihood"] == {"kind": "continuous-bernoulli"}


def test_labels_that_a_recipe_does_not_use_are_said(sources):
    said: list[str] = []
    for_data("nsf", Target.own(sources["table"], Reading(label="kind")), {}, said.append)
    assert said[-1].startswith("the labels are not used: nsf-")
    assert for_data("ddpm", Target.own(sources["rgb"]), {}).config["classes"] == [17, 19]


@pytest.mark.long
def test_samples_of_a_table_are_filled_and_made_again(sources, tmp_path, monkeypatch):
    """Empty cells of a CSV are completed exactly, all other cells stay as they are; and a file is made again."""
    monkeypatch.chdir(tmp_path)
    changes = {"config.components": 2, "restarts": 1, "iterations": 3}
    train(for_data("gmm", Target.own(sources["table"]), changes), tmp_path / "run", Options(samples_every=0))
    lines = sources["table"].read_text().splitlines()
    (tmp_path / "holes.csv").write_text(
        "\n".join([lines[0], ",3,red,2024-01-05", "4.50,,green,", "5.00,2,,2024-01-07"]) + "\n"
    )
    run("fill", "./run/model", "holes.csv", "--out", "filled.csv")
    rows = [line.split(",") for line in (tmp_path / "filled.csv").read_text().splitlines()]
    assert all("" not in row for row in rows)
    assert [row[1:] for row in rows[1:2]] == [["3", "red", "2024-01-05"]]
    assert rows[3][:2] == ["5.00", "2"]
    assert rows[3][2] in ("red", "green", "blue")
    run("sample", "./run/model", "-n", "5", "--out", "more.csv")
    assert "the same to the bit" in run("again", "more.csv")


def test_what_is_published_does_not_say_where_the_data_lie(targets):
    entry = for_data("gmm", targets["table"], {})
    assert entry.recipe["data"]["path"].startswith("/")
    assert entry.for_others().recipe["data"]["path"] == "table.csv"
    assert entry.for_others().recipe["data"]["sha256"] == entry.recipe["data"]["sha256"]


def test_missing_cells_are_left_out_for_families_that_take_none(tmp_path):
    rows = "".join(f"{i}.5,{'' if i == 3 else i * 2}\n" for i in range(30))
    (tmp_path / "t.csv").write_text(f"a,b\n{rows}")
    said: list[str] = []
    entry = for_data("nsf", Target.own(tmp_path / "t.csv"), {}, said.append)
    assert entry.recipe["data"]["missing"] == "drop"
    assert any("left out" in line for line in said)


def test_a_budget_sets_the_steps_and_the_size(targets, tmp_path, monkeypatch):
    """A step of a machine takes 1 ms for each 16 of the network's width: 128, then 64, then 32 in a minute."""
    monkeypatch.setattr(
        budget, "_seconds_per_step", lambda entry, data, device: entry.config["network"]["width"] / 16e3
    )
    target = targets["points"]
    said: list[str] = []

    def made(more):
        return for_data("ddpm", target, {"batch": 8, **more})

    def chosen(minutes):
        return budget.in_minutes(made({}), tmp_path, minutes, "cpu", made, said.append)

    assert (chosen(1).recipe["steps"], chosen(1).config["network"]["width"]) == (6750, 128)
    assert (chosen(0.125).recipe["steps"], chosen(0.125).config["network"]["width"]) == (1687, 64)
    assert chosen(1000).recipe["steps"] == 20000, "no more than the recipe's, of few examples"
    assert said[0] == "6,750 steps of 8 ms in about 1.0 minutes"
    assert said[2].endswith("a smaller network")


@pytest.mark.long
def test_a_refused_command_leaves_the_recipe_of_the_run(sources, tmp_path):
    out, data = str(tmp_path / "run"), str(sources["points"])
    quick = ["train", "--family", "gan", "--data", data, "--set", "batch=8", "--samples-every", "0", "--out", out]
    run(*quick, "--set", "steps=2")
    before = (tmp_path / "run" / "recipe.toml").read_text()
    refused = CliRunner().invoke(cli, [*quick, "--set", "steps=3"])
    assert refused.exit_code != 0
    assert (tmp_path / "run" / "recipe.toml").read_text() == before


def test_fit_leaves_out_what_a_family_does_not_take():
    x = np.random.default_rng(0).normal(size=(60, 2))
    x[:5, 1] = np.nan
    model = zoo_core.fit("nsf", x, batch=8, steps=2)
    assert model.entry.recipe["data"]["missing"] == "drop"
    assert finite_rows(zoo_core.sample(model, 3)).all()


def test_a_run_that_began_keeps_its_budget(targets, tmp_path):
    target = targets["points"]
    entry = for_data("gan", target, {"batch": 8, "steps": 2})
    write_recipe(tmp_path, entry)
    train(entry, tmp_path, Options(samples_every=0), target.data)
    said: list[str] = []
    again = budget.in_minutes(
        for_data("gan", target, {"batch": 8}), tmp_path, 5, "cpu", lambda more: entry, said.append
    )
    assert again.recipe["steps"] == 2
    other = for_data("gan", targets["table"], {"batch": 8})
    with pytest.raises(IncompatibleError, match="on other data"):
        budget.in_minutes(other, tmp_path, 5, "cpu", lambda more: entry, said.append)
