"""A run with another value, other data or another shape is another model, and every word of its card is true of it."""

from __future__ import annotations

import json
import re

import pytest

import zoo_core
from zoo_core import registry
from zoo_core.errors import IncompatibleError, UnknownNameError, ZooError
from zoo_core.registry import schema
from zoo_core.saving import snapshot
from zoo_core.training import Options, train
from zoo_core.training.choice import for_data
from zoo_core.training.target import Target
from zoo_core.training.variants import changed

DATA = """
from zoo_core.plugins.hookspecs import hookimpl
ZOO_API = (1, 0)
IMAGES = {"grey28": (1, 28, 28), "told": (1, 28, 28), "rgb32": (3, 32, 32), "wide": (3, 17, 31)}
SHAPES = {**IMAGES, "five": (5,), "words": (6,)}

@hookimpl
def zoo_register(catalogue):
    for name in SHAPES:
        catalogue.dataset(name, f"zoo_own.data:{name}", "the reader's own")
"""
LOADERS = """
import torch
from zoo_core.interfaces import DataSet
from zoo_own.plugin import SHAPES

def loader(name):
    def load(split, n=96):
        draw = torch.Generator().manual_seed(len(name) + (split == "test"))
        shape, levels, columns = SHAPES[name], None, {}
        if len(shape) == 3:
            x, levels = torch.randint(256, (n, *shape), generator=draw, dtype=torch.uint8), 256
        elif name == "words":
            x = torch.randint(4, (n, *shape), generator=draw)
        else:
            x = torch.randn(n, *shape, generator=draw)
        if name == "told":
            columns = {"label": torch.arange(n) % 10}
        return DataSet(name, split, x, columns, levels=levels)
    return load

globals().update({name: loader(name) for name in SHAPES})
"""


@pytest.fixture
def own(zoo_install):
    """The reader's own data, as a plugin of data sets only."""
    zoo_install("zoo-own", DATA, modules={"data": LOADERS})


def entry(name):
    return registry.load().get(name)


@pytest.mark.needs_data("mnist")
def test_nothing_changed_is_the_model_itself():
    base = entry("ddpm-moons")
    for changes in (
        {},
        {"seed": 0},
        {"lr": base.recipe["lr"]},
        {"data.name": "two-moons"},
        {"start": None},
    ):
        assert changed(base, changes) is base
    assert for_data("ddpm", Target.registered("mnist"), {}) == entry("ddpm-mnist-plain")


def test_another_value_is_another_model_with_words_of_its_own():
    base = entry("ddpm-mnist")
    one, same, other = (changed(base, {"lr": lr, "config.prediction": "noise"}) for lr in (1e-3, 0.001, 1e-4))
    assert one == same
    assert len({base.id, one.id, other.id}) == 3
    assert re.fullmatch(r"ddpm-mnist-[0-9a-f]{6}", one.id)
    assert changed(base, {"config.prediction": "noise", "lr": 1e-3}).id == one.id  # in whatever order
    assert one.summary == 'ddpm on mnist, by the recipe of ddpm-mnist with lr = 0.001, config.prediction = "noise"'
    assert (one.dataset, one.tags, one.paper) == ("mnist", base.tags, base.paper)
    assert (one.license, one.parameters, one.facts, one.evaluations, one.weights) == ("", 0, (), (), None)
    assert "how" in base.recipe
    assert "how" not in one.recipe
    assert changed(base, {"objective": "flow-matching"}).paper == ""


@pytest.mark.needs_data("mnist", "fashion-mnist")
def test_the_optimiser_may_be_spelt_with_a_z(run, tmp_path):
    """Runs, checkpoints and snapshots write ``optimiser``, however it was given."""
    base = entry("ddpm-moons")
    one, other = (changed(base, {key: "adamw"}) for key in ("optimizer", "optimiser"))
    assert one == other != base
    assert one.recipe["optimiser"] == "adamw"
    assert "optimiser" in one.summary
    assert run("train", "ddpm-moons", "--set", "optimizer=adamw", "--max-steps", "2", "--out", "run")[0] == 0
    assert (tmp_path / "run" / "model" / snapshot.CONFIG).is_file()
    kept = "".join(p.read_text() for p in (tmp_path / "run").rglob("*") if p.suffix in (".json", ".jsonl", ".md"))
    assert "optimiser" in kept
    assert "optimizer" not in kept


def test_the_optimiser_in_both_spellings_is_an_error(run):
    both = {"optimizer": "adamw", "optimiser": "sgd"}
    message = "the recipe's optimizer and optimiser are two spellings of one key; leave one out"
    with pytest.raises(IncompatibleError, match=message):
        changed(entry("ddpm-moons"), both)
    words = (word for key, value in both.items() for word in ("--set", f"{key}={value}"))
    assert run("train", "ddpm-moons", *words) == (2, "", f"zoo: {message}\n")


@pytest.mark.needs_data("fashion-mnist")
def test_other_data_are_in_the_id_the_summary_and_the_tags(own):
    assert changed(entry("ddpm-mnist"), {"data.name": "fashion-mnist"}).id == "ddpm-fashion-mnist"
    assert changed(entry("ddpm-moons"), {"data.name": "five"}).id == "ddpm-five"
    assert (
        changed(entry("gmm-mnist0"), {"data.name": "digits"}).id
        == "gmm-digits-" + changed(entry("gmm-mnist0"), {"data.name": "digits"}).id[-6:]
    )  # gmm-digits is a model of the registry, of another recipe
    made = changed(entry("gmm-eight-gaussians"), {"data.name": "grey28", "data.n": 50})
    assert (made.dataset, made.recipe["data"]) == ("grey28", {"name": "grey28", "split": "train", "n": 50})
    assert made.config["shape"] == [1, 28, 28]
    assert "image" in made.tags
    assert "2d" not in made.tags
    assert made.summary == "gmm on grey28, by the recipe of gmm-eight-gaussians with data.n = 50"


def test_every_entry_of_the_registry_can_be_varied():
    """And what comes out is a valid table with an id that no model has."""
    known = registry.load()
    for base in known.find():
        if not base.recipe:
            continue
        made = changed(base, {"seed": 12345})
        assert made.id not in known.entries, base.id
        assert re.fullmatch(schema.ID, made.id)
        table = {k: v for k, v in made.table().items() if k not in ("schema", "id")}
        assert schema.problems({"schema": 1, "models": {made.id: table}}, "x") == []


def test_null_takes_a_value_out_and_start_may_be_empty():
    base = entry("iwae-mnist")
    assert base.recipe["start"] == "vae-mnist"
    for none in (None, ""):
        assert "start" not in changed(base, {"start": none}).recipe
    assert "clip" not in changed(entry("ddpm-mnist"), {"clip": None}).recipe


def test_a_start_is_inherited_where_it_fits_and_else_said(own):
    said: list[str] = []
    base = entry("cfm-mnist-plain")
    assert changed(base, {"lr": 1e-4}, said.append).recipe["start"] == "ddpm-mnist-plain"
    assert said == []
    assert "start" not in changed(base, {"data.name": "grey28"}, said.append).recipe
    line = "starts from fresh weights, not from ddpm-mnist-plain as cfm-mnist-plain does: that is a model of mnist"
    assert said == [f"{line} (--set start=ddpm-mnist-plain takes it all the same)"]
    said.clear()
    narrow = {"config.network.widths": [8, 16, 16]}
    assert "start" not in changed(base, narrow, said.append).recipe
    line = "starts from fresh weights, not from ddpm-mnist-plain as cfm-mnist-plain does"
    assert said[0].startswith(f"{line}: start = 'ddpm-mnist-plain'")
    assert changed(base, {"data.name": "grey28", "start": "ddpm-mnist-plain"}).recipe["start"] == "ddpm-mnist-plain"


def test_a_run_says_whose_weights_it_starts_from(tmp_path, capsys):
    quick = {"start": "vae-moons", "data.n": 200, "steps": 4, "batch": 50}
    made = changed(entry("vae-moons"), quick)
    train(made, tmp_path, Options(samples_every=0, max_steps=2))
    assert capsys.readouterr().err.count(f"zoo: {made.id} starts from the weights of vae-moons\n") == 1
    train(made, tmp_path, Options(samples_every=0))  # it goes on with its own
    assert "starts from" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("family", "dataset", "recipe", "shape"),
    [
        ("ddpm", "grey28", "ddpm-mnist-plain", [1, 28, 28]),
        ("ddpm", "rgb32", "ddpm-mnist-plain", [3, 32, 32]),
        ("ddpm", "five", "ddpm-moons", [5]),
        ("vae", "grey28", "vae-mnist", [1, 28, 28]),
        ("flow-matching", "grey28", "cfm-mnist-plain", [1, 28, 28]),
        ("score-sde", "five", "score-eight-gaussians", [5]),
        ("gan", "grey28", "dcgan-fashion-bags", [1, 28, 28]),
        ("gan", "told", "dcgan-fashion-bags", [1, 28, 28]),
        ("wgan-gp", "rgb32", "wgan-gp-mnist", [3, 32, 32]),
        ("cgan", "told", "cgan-mnist", [1, 28, 28]),
        ("glow", "rgb32", "glow-mnist-plain", [3, 32, 32]),
        ("realnvp", "five", "realnvp-eight-gaussians", [5]),
        ("gmm", "wide", "gmm-digits", [3, 17, 31]),
        pytest.param("gmm", "mnist", "gmm-mnist0", [1, 28, 28], marks=pytest.mark.needs_data("mnist")),
    ],
)
def test_a_family_has_a_recipe_for_data_of_any_shape(own, family, dataset, recipe, shape):
    said: list[str] = []
    made = for_data(family, Target.registered(dataset), {}, said.append)
    assert f"{family} on {dataset}, by the recipe of {recipe}" in said[0]
    assert made.config["shape"] == shape
    assert (made.dataset, made.recipe["data"]["name"]) == (dataset, dataset)
    assert "classes" not in made.recipe["data"]
    assert "start" not in made.recipe
    assert dataset in made.id
    assert made.license == ""


@pytest.mark.parametrize(
    ("family", "dataset", "message"),
    [
        ("ddpm-mnist", "grey28", "ddpm-mnist is a model, not a family; use zoo train ddpm-mnist --dataset grey28"),
        ("wgan-gp-mnist", "grey28", "wgan-gp-mnist is a model, not a family; use zoo train wgan-gp-mnist --dataset"),
        ("gam", "grey28", "unknown family 'gam'; families with a recipe: "),
        ("gan", "grey29", "unknown dataset 'grey29'; did you mean grey28"),
        ("cgan", "grey28", "cgan-mnist: is conditioned on 'label', and grey28 has no such column"),
        (
            "glow",
            "wide",
            r"no recipe of glow fits wide \(.*\): glow-mnist-plain: the family 'glow' refuses .*2\^levels",
        ),
        ("ddpm", "words", r"no recipe of ddpm fits words \(.*\): .*is not a model of tokens"),
        (
            "rectified-flow",
            "grey28",
            "needs teacher, a model of grey28, where it has cfm-mnist-cond; --set objective_options",
        ),
    ],
)
def test_what_no_recipe_fits_says_why(own, family, dataset, message):
    with pytest.raises((IncompatibleError, UnknownNameError), match=message):
        for_data(family, Target.registered(dataset), {})


def test_a_value_may_decide_which_recipe_it_is(own):
    made = for_data("gmm", Target.registered("five"), {"config.components": 3})
    assert (made.config["components"], made.config["shape"]) == (3, [5])
    assert re.fullmatch(r"gmm-five-[0-9a-f]{6}", made.id)


def test_the_card_of_a_run_on_other_data_is_about_those(own, run, tmp_path):
    """The command line: another shape, other data, four steps."""
    code, _, err = run("train", "ddpm-mnist", "--dataset", "rgb32", "--max-steps", "2", "--samples-every", "0",
                         "--set", "batch=4", "--set", "config.network.widths=[16,16,16]",
                         "--set", "config.network.attention=[]")  # fmt: skip
    assert code == 0, err
    assert "zoo: config.shape = [3, 32, 32], as rgb32 has it (ddpm-mnist has [1, 28, 28])" in err
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"ddpm-rgb32-[0-9a-f]{6}", folder.name)
    table = json.loads((folder / "model" / "config.json").read_text(encoding="utf-8"))
    card = (folder / "model" / "README.md").read_text(encoding="utf-8")
    model = zoo_core.load(str(folder / "model"))
    assert (table["id"], table["dataset"]) == (folder.name, "rgb32")
    assert table["parameters"] == sum(t.numel() for t in model.state_dict().values())
    assert "rgb" in table["facts"]
    assert table["recipe"]["stopped"] == 2
    for word in ("mnist\n", "MNIST", "28×28", "100 minutes", "MIT"):
        assert word not in card.replace("by the recipe of ddpm-mnist", ""), word
    assert "datasets: [rgb32]" in card
    assert "Nothing has been measured." in card
    assert zoo_core.sample(model, 1, steps=2).shape == (1, 3, 32, 32)


def test_one_thing_said_twice_is_a_wrong_command(run):
    for arguments, message in (
        (("ddpm-moons", "--seed", "1", "--set", "seed=2"), "--seed 1 and --set seed=2 are one setting"),
        (("ddpm-moons", "--dataset", "digits", "--set", "data.name=mnist"), "--dataset digits and --set data.name"),
        (("ddpm-moons", "--set", "lr=1", "--set", "lr=2"), "'lr' is given twice"),
        (("--family", "ddpm"), "--family needs --data or --dataset"),
        (("--family", "ddpm-mnist", "--dataset", "digits"), "use zoo train ddpm-mnist --dataset digits"),
    ):
        code, out, err = run("train", *arguments)
        assert (code, out) == (2, "")
        assert message in err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "mnist"}, "the recipe's data: expected object, found 'mnist'"),
        (
            {"data.size": 3},
            "unknown key 'data.size'; its keys are classes, held_out, missing, n, name",
        ),
        ({"data.name": 3}, "unknown dataset '3'"),
        ({"data.classes": "3"}, "the recipe's data.classes: expected array"),
        ({"batch": "many"}, "the recipe's batch: expected integer, found 'many'"),
        ({"lr": float("nan")}, "the recipe's lr: nan is not a finite number below 1e.300"),
        ({"betas": [0.9]}, r"betas = \[0.9\]; expected two numbers"),
        ({"players.model.lr": "a"}, "the recipe's players.model.lr: expected number, found 'a'"),
        ({"players.model": 3}, "the recipe's players.model: expected a table with lr or betas"),
        ({"players.model.speed": 3}, "unknown key 'players.model.speed'; its keys are betas, lr"),
        ({"lr.x": 1}, "'lr' is not a table"),
        ({"learning_rate": None}, "--set learning_rate=null: there is no learning_rate to take out of ddpm-moons"),
        ({"config.depth": None}, "there is no config.depth to take out"),
        ({"objective": None}, "the recipe has no 'objective'; give it with --set objective="),
    ],
)
def test_a_value_of_another_kind_is_named(changes, message):
    with pytest.raises(ZooError, match=message):
        changed(entry("ddpm-moons"), changes)


def test_a_snapshot_says_where_its_run_was_stopped(tmp_path):
    """For both loops; the run that goes on to its end no longer says so."""
    for name, quick in (
        ("ddpm-moons", {"data.n": 500, "steps": 8, "batch": 50}),
        ("gmm-eight-gaussians", {"data.n": 500, "iterations": 5, "tolerance": 0.0, "restarts": 2}),
    ):
        made = changed(entry(name), quick)
        straight, stopped = tmp_path / name / "straight", tmp_path / name / "stopped"
        train(made, straight, Options(samples_every=0))
        train(made, stopped, Options(samples_every=0, max_steps=3))
        table = json.loads((stopped / "model" / snapshot.CONFIG).read_text(encoding="utf-8"))
        assert table["recipe"]["stopped"] == 3
        train(made, stopped, Options(samples_every=0))
        for file in (snapshot.CONFIG, snapshot.FILE, snapshot.README):
            assert (stopped / "model" / file).read_bytes() == (straight / "model" / file).read_bytes(), (name, file)
        again = changed(made, {"stopped": 3})
        train(again, tmp_path / name / "again", Options(samples_every=0))
        table = json.loads((tmp_path / name / "again" / "model" / snapshot.CONFIG).read_text(encoding="utf-8"))
        assert table["recipe"]["stopped"] == 3
