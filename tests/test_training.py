"""Training: resumed to the bit, the same in two processes, stopped when it diverges; and what a recipe may say."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import zoo_core
from zoo_core import datasets, registry
from zoo_core.errors import IncompatibleError, WeightsError, ZooError
from zoo_core.loading import weights_file
from zoo_core.training import Options, checkpoint, run, train
from zoo_core.training.examples import TrainingBatches
from zoo_core.training.recipe import Recipe, learning_rate
from zoo_core.training.variants import changed
from zoo_gmm.objective import ExpectationMaximisation

MOONS = ["ddpm-moons", "--set", "data.n=2000", "--set", "steps=60", "--set", "batch=32", "--set", "warmup=5"]
GMM = ["gmm-eight-gaussians", "--set", "data.n=2000", "--set", "iterations=12", "--set", "restarts=2",
       "--set", "tolerance=0.0"]  # fmt: skip
HMM = ["hmm-casino", "--set", "data.n=400", "--set", "iterations=12", "--set", "restarts=2", "--set", "tolerance=0.0"]
GAN = ["gan-eight-gaussians", "--set", "data.n=2000", "--set", "steps=60", "--set", "batch=32"]
# ActNorm starts where its gradient is exactly 0: Adam would make steps of the rounding errors
FLOW = ["realnvp-eight-gaussians", "--set", "data.n=2000", "--set", "steps=40", "--set", "batch=64",
        "--set", "clip=1.0", "--set", "optimiser=sgd", "--set", "lr=0.01"]  # fmt: skip
RUNS = {"gradient": MOONS, "gan": GAN, "em": GMM, "hmm": HMM, "flow": FLOW}
STATISTICS = ("em", "hmm")
"""Runs of statistics objectives, whose logs are written when they end."""


def start(arguments, out: Path, *, processes: int = 1, every: int = 20, **environment) -> subprocess.Popen[str]:
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    options = ["--out", str(out), "--checkpoint-every", str(every), "--samples-every", "0"]
    command = [*launch, "-m", "zoo_core.cli", "train", *arguments, *options]
    variables = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return err


def weights(out: Path) -> dict[str, torch.Tensor]:
    path = out / "model" / "model.safetensors"
    return weights_file.parse(path.read_bytes(), name=str(path))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Both kinds of run, uninterrupted."""
    folder = tmp_path_factory.mktemp("straight")
    for kind, arguments in RUNS.items():
        finish(start(arguments, folder / kind))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_killed_at_any_moment_it_resumes_to_the_bit(straight, tmp_path, kind):
    """``kill -9`` after the first checkpoint and again later: the log and the weights are those of one run."""
    out = tmp_path / "parts"
    for least in (1, 2):
        process = start(RUNS[kind], out, every=7)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            place = checkpoint.latest(out / "checkpoints")
            if place is not None and int(place.name.removeprefix("step-")) >= 7 * least:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finish(start(RUNS[kind], out, every=7))
    assert (out / "model" / "model.safetensors").read_bytes() == (
        straight / kind / "model" / "model.safetensors"
    ).read_bytes()
    if kind not in STATISTICS:
        assert (out / "log.jsonl").read_text() == (straight / kind / "log.jsonl").read_text()


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [
        ("gradient", 1e-5),
        pytest.param("gan", 1e-5, marks=pytest.mark.slow),
        pytest.param("em", 1e-6, marks=pytest.mark.slow),
        pytest.param("hmm", 1e-6, marks=pytest.mark.slow),
        pytest.param("flow", 1e-5, marks=pytest.mark.slow),
    ],
)
def test_two_processes_are_one(straight, tmp_path, kind, tolerance):
    """Real processes under torchrun: they differ by the order of sums only."""
    finish(start(RUNS[kind], tmp_path / "two", processes=2))
    one, two = weights(straight / kind), weights(tmp_path / "two")
    assert one.keys() == two.keys()
    assert max((one[k].double() - two[k].double()).abs().max().item() for k in one) < tolerance


@pytest.mark.slow
def test_two_processes_draw_what_one_draws(tmp_path):
    command = ["-m", "zoo_core.cli", "sample", "ddpm-moons", "-n", "9", "--steps", "5", "--out"]
    subprocess.run([sys.executable, *command, str(tmp_path / "one.safetensors")], check=True, capture_output=True)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *command]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, str(tmp_path / "two.safetensors")], check=True, capture_output=True, env=environment)
    one, two = (
        weights_file.parse((tmp_path / f"{n}.safetensors").read_bytes(), name=n)["samples"] for n in ("one", "two")
    )
    assert torch.allclose(one, two, atol=1e-6)


@pytest.mark.slow
def test_two_processes_measure_what_one_measures():
    """Held-out data and samples, shared out under torchrun; one of the two prints."""
    verb = ["-m", "zoo_core.cli", "eval", "gmm-eight-gaussians", "--metric", "nll", "--metric", "sliced-wasserstein"]
    verb += ["-n", "500", "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    one, two = (
        json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
        for command in ([sys.executable, *verb], [sys.executable, *launch, *verb])
    )
    assert [row["metric"] for row in two] == ["nll", "sliced-wasserstein"]
    for a, b in zip(one, two, strict=True):
        assert b["n"] == 500
        assert b["value"] == pytest.approx(a["value"], rel=1e-6)  # the order of float64 sums
        assert b["stderr"] == pytest.approx(a["stderr"], rel=1e-4)
        assert {k: b[k] for k in ("protocol", "command", "seed")} == {k: a[k] for k in ("protocol", "command", "seed")}


def test_what_comes_out_loads_and_draws(straight):
    for kind in RUNS:
        folder = straight / kind / "model"
        model = zoo_core.load(str(folder))
        assert model.entry.evaluations == ()
        assert len(zoo_core.sample(model, 3)) == 3
    lines = [json.loads(line) for line in (straight / "gradient" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [50, 60]
    assert lines[0]["loss"] < 1.2


def small(**changes):
    entry = registry.load().get("ddpm-moons")
    return changed(entry, {"data.n": 500, "steps": 40, "batch": 50, "warmup": 5, **changes})


def few(**changes):
    entry = registry.load().get("gmm-eight-gaussians")
    return changed(entry, {"data.n": 500, "iterations": 6, "tolerance": 0.0, "restarts": 2, **changes})


@pytest.fixture(scope="module")
def cut_short(tmp_path_factory):
    """A run of each loop that was stopped on the way."""
    folder = tmp_path_factory.mktemp("short")
    train(small(), folder / "gradient", Options(samples_every=0, max_steps=20))
    train(few(), folder / "em", Options(samples_every=0, max_steps=3))
    return folder


def test_the_loss_falls_and_the_global_generator_is_left_alone(tmp_path):
    before = torch.get_rng_state()
    train(small(steps=300, ema=0.9), tmp_path, Options(samples_every=0))
    assert torch.equal(before, torch.get_rng_state())
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.7 * losses[0]


def test_a_run_starts_from_another_models_weights(tmp_path):
    """Fine-tuning: at a rate of zero what comes out is, to the bit, what the recipe starts from."""
    entry = registry.load().get("vae-moons")
    changes = {"start": "vae-moons", "data.n": 500, "steps": 2, "batch": 50, "lr": 0.0, "ema": None}
    train(changed(entry, changes), tmp_path, Options(samples_every=0))
    before = zoo_core.load("vae-moons").state_dict()
    assert weights(tmp_path).keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in weights(tmp_path).items())


def test_a_run_that_diverges_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(ZooError, match=r"diverged at step \d+: .*(last good checkpoint|no checkpoint yet).*lower lr"):
        train(small(lr=1e30, clip=1e30), tmp_path, Options(samples_every=0, checkpoint_every=2))
    place = checkpoint.latest(tmp_path / "checkpoints")
    if place is not None:
        tensors, _ = checkpoint.read(place)
        assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 1e-4}, "was made with lr = 0.002, and this run has lr = 0.0001; choose another --out, or delete it"),
        ({"clip": 0.5}, "was made with clip = 1.0, and this run has clip = 0.5"),
        ({"clip": None}, "was made with clip = 1.0, and this run has no clip"),
        ({"ema": 0.5}, "was made with ema = 0.999, and this run has ema = 0.5"),
        ({"config.prediction": "v"}, 'config.prediction = "noise", and this run has config.prediction = "v"'),
        ({"config.network.width": 64}, "config.network.width = 128, and this run has config.network.width = 64"),
        ({"data.n": 600}, "was made with data.n = 500, and this run has data.n = 600"),
        (
            {"data.name": "swiss-roll", "data.n": 500},
            'data.name = "two-moons", and this run has data.name = "swiss-roll"',
        ),
        ({"seed": 7}, "was made with seed = 0, and this run has seed = 7"),
    ],
)
def test_another_recipe_config_or_data_do_not_go_on_with_a_run(tmp_path, cut_short, changes, message):
    """The message names what differs, with both values; where several do, one of the config first."""
    shutil.copytree(cut_short / "gradient", tmp_path / "run")
    with pytest.raises(WeightsError, match=re.escape(message)):
        train(small(**changes), tmp_path / "run", Options(samples_every=0))
    train(small(), tmp_path / "run", Options(samples_every=0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tolerance": 1e-3}, "was made with tolerance = 0.0, and this run has tolerance = 0.001"),
        ({"config.components": 3}, "config.components = 8, and this run has config.components = 3"),
        ({"objective_options.reg": 0.1}, "objective_options.reg = 1e-08, and this run has objective_options.reg = 0.1"),
    ],
)
def test_nor_with_a_fit(tmp_path, cut_short, changes, message):
    shutil.copytree(cut_short / "em", tmp_path / "run")
    with pytest.raises(WeightsError, match=re.escape(message)):
        train(few(**changes), tmp_path / "run", Options(samples_every=0))
    train(few(), tmp_path / "run", Options(samples_every=0))


def test_nor_do_other_contents_of_the_data(tmp_path, cut_short, monkeypatch):
    """A set of points that is drawn anew has the same name and the same size."""
    shutil.copytree(cut_short / "gradient", tmp_path / "run")
    load = datasets.load
    monkeypatch.setattr(datasets, "load", lambda *a, **k: dataclasses.replace(data := load(*a, **k), x=data.x + 1))
    with pytest.raises(WeightsError, match=r"was made with data\.sha256 = \"\w{16}\", and this run has data\.sha256"):
        train(small(), tmp_path / "run", Options(samples_every=0))


def test_the_contents_of_large_data_are_not_hashed(monkeypatch):
    data = datasets.load("two-moons", n=50)
    assert run._contents(data) == {"data.sha256": data.fingerprint[:16]}
    monkeypatch.setattr(run, "_FINGERPRINTED", 50 * 2 * 4 - 1)
    assert run._contents(data) == {}


@pytest.mark.parametrize("batch", [1, 64, 10_000])
def test_a_fit_is_the_same_whatever_it_is_given_at_once(tmp_path, cut_short, batch):
    """``batch`` of a recipe of a statistics objective bounds memory and changes nothing but the order of sums."""
    seen = []
    statistics = ExpectationMaximisation.statistics

    def watched(objective, model, batch, **known):
        if not known:  # k-means hands over all of the data with its hard assignment
            seen.append(len(batch))
        return statistics(objective, model, batch, **known)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExpectationMaximisation, "statistics", watched)
        train(few(batch=batch), tmp_path / "parts", Options(samples_every=0, max_steps=3))
    assert set(seen) == {1: {1}, 64: {64, 500 % 64}, 10_000: {500}}[batch]
    parts, whole = weights(tmp_path / "parts"), weights(cut_short / "em")
    assert max((parts[key] - whole[key]).abs().max().item() for key in whole) < 1e-9  # float64 sums of 500 numbers


def test_pictures_of_samples(tmp_path):
    train(small(), tmp_path, Options(samples_every=20, checkpoint_every=20))
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == ["step-00000020.png", "step-00000040.png"]


def test_checkpoints_are_whole_and_the_last_two(tmp_path):
    for step in (1, 2, 3):
        checkpoint.write(tmp_path, step, {"x": torch.full((2,), float(step))}, {"note": "a"})
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["step-00000002", "step-00000003"]
    place = checkpoint.latest(tmp_path)
    tensors, state = checkpoint.read(place)
    assert tensors["x"].tolist() == [3.0, 3.0]
    assert state == {"step": 3, "note": "a"}
    (place / "tensors.safetensors").write_bytes((place / "tensors.safetensors").read_bytes()[:-1])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        checkpoint.read(place)
    (tmp_path / ".step-00000004.1").mkdir()
    assert checkpoint.latest(tmp_path) == place


def test_optimisers_come_back(tmp_path):
    for name in ("adam", "adamw", "adamax", "sgd"):
        results = []
        for stop in (None, 3):
            p = torch.nn.Parameter(torch.ones(3))
            recipe = Recipe("em", {}, optimiser=name, lr=0.1)
            from zoo_core.training.recipe import optimiser

            its = optimiser(recipe, "model", [p])
            for step in range(6):
                if step == stop:
                    kept = checkpoint.optimiser_tensors(its, "o")
                    its = optimiser(recipe, "model", [p])
                    checkpoint.load_optimiser(its, "o", kept)
                its.zero_grad()
                (p**3).sum().backward()
                its.step()
            results.append(p.detach().clone())
        assert torch.equal(*results), name


def test_learning_rates():
    def rates(decay):
        recipe = Recipe("x", {}, steps=100, warmup=10, decay=decay)
        return [learning_rate(recipe, step) for step in (0, 9, 50, 100)]

    assert rates("none") == [0.1, 1.0, 1.0, 1.0]
    assert rates("linear") == pytest.approx([0.1, 0.91, 0.5, 0.0])
    assert rates("cosine") == pytest.approx([0.1, 0.5 * (1 + 0.9602937), 0.5, 0.0], abs=1e-6)


def test_an_epoch_visits_everything_once():
    from zoo_core.loading import build

    model = build(registry.load().get("ddpm-moons"))
    examples = TrainingBatches(model, datasets.load("two-moons", n=10), 0, 3)
    epoch = torch.cat([examples.rows(step) for step in range(3)])
    assert len(set(epoch.tolist())) == 9
    again = TrainingBatches(model, datasets.load("two-moons", n=10), 0, 3)
    assert torch.equal(again.rows(4), examples.rows(4))
    assert not torch.equal(examples.rows(0), examples.rows(3))


def test_flipping_is_seeded_and_half():
    from zoo_core.loading import build

    entry = registry.load().get("gmm-digits")
    data = datasets.load("digits")
    model = build(entry)
    model.discrete = True  # the levels themselves, so that a flip can be recognised
    plain = TrainingBatches(model, data, 0, 200)
    flipped = TrainingBatches(model, data, 0, 200, ("flip",))
    a, b = (e.batch(0, range(200), torch.device("cpu")).x for e in (plain, flipped))
    same, mirrored = (a == b).flatten(1).all(1), (a == b.flip(-1)).flatten(1).all(1)
    assert (same | mirrored).all()
    assert 60 < mirrored.sum() < 140
    assert torch.equal(b, flipped.batch(0, range(200), torch.device("cpu")).x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lrr": 1}, "unknown key 'lrr'"),
        ({"decay": "sine"}, "the recipe's decay: 'sine' is not cosine, linear or none"),
        ({"optimiser": "lion"}, "the recipe's optimiser: 'lion' is not adam, adamw, adamax or sgd"),
        ({"steps": 0}, "steps = 0; expected at least 1"),
        ({"ema": 1.0}, "ema = 1.0; expected a decay"),
        ({"precision": "float8"}, "the recipe's precision: 'float8' is not float32, tf32 or bfloat16"),
        ({"augment": ["rotate"]}, "expected 'flip'"),
        ({"objective_options": {"speed": 1}}, "objective 'ddpm-simple'"),
        ({"batch": 1000}, "fewer than batch = 1000"),
        ({"data.name": "mnist-of-mine"}, "unknown dataset"),
        ({"data.name": "two-gaussians-1d", "config.shape": [2]}, "has examples of points 1; the model's are points 2"),
        ({"config.network.depth": "deep"}, "refuses this config"),
        ({"start": "vae-moons"}, "start = 'vae-moons' fits 0% of the numbers of this model"),
        ({"players.critic.lr": 1e-3}, "players.critic: DDPM has the players model"),
        ({"start": "ddpm-mons"}, "unknown model 'ddpm-mons'; did you mean ddpm-moons"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(tmp_path, changes, message):
    with pytest.raises(ZooError, match=message):
        train(small(**changes), tmp_path / "out")
    assert not (tmp_path / "out" / "model").exists()


def test_changes_reach_recipe_and_config():
    entry = changed(registry.load().get("ddpm-moons"), {"lr": 0.5, "data.n": 7, "config.network.width": 9})
    assert (entry.recipe["lr"], entry.recipe["data"]["n"], entry.config["network"]["width"]) == (0.5, 7, 9)
    assert registry.load().get("ddpm-moons").recipe["lr"] != 0.5
    assert entry.weights is None
    with pytest.raises(IncompatibleError, match="is not a table"):
        changed(entry, {"lr.x.y": 1})


def test_every_recipe_of_the_registry_is_one():
    for entry in registry.load().find():
        recipe = Recipe.of(entry.recipe)
        from zoo_core.training.recipe import objective

        assert objective(recipe), entry.id
        assert dataclasses.is_dataclass(recipe)
