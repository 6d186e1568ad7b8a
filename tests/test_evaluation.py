"""The evaluator: who sees what, how often, in which order; and ``zoo eval``."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field, replace

import pytest
import torch

import zoo_core
from zoo_core import datasets, registry
from zoo_core.cli import eval as eval_verb
from zoo_core.errors import IncompatibleError
from zoo_core.evaluation import data_for, default_metrics, describe, evaluate, evaluate_all, fitting
from zoo_core.evaluation.measurements import Settings, agrees, measure
from zoo_core.interfaces import ConditionSpec, DirectSampler, Metric, Model, Result, SampleSpace
from zoo_core.interfaces.dataset import DataSet
from zoo_core.loading import build
from zoo_core.registry.entry import Evaluation
from zoo_core.sampling import make_sampler, sample
from zoo_core.saving import snapshot

RING, MOONS = "gmm-eight-gaussians", "ddpm-moons"


@dataclass
class Seen:
    """All that a metric was shown."""

    batches: list = field(default_factory=list)


class Watching(Metric[Seen]):
    """Remembers its batches."""

    def __init__(self, uses="samples", shared=None):
        self.uses, self.shared, self.updates = uses, shared, 0

    def shares(self):
        return self.shared

    def check(self, model, data):
        pass

    def init(self, model, data):
        return Seen()

    def update(self, state, model, batch, streams):
        self.updates += 1
        assert len(streams) == len(batch)
        return Seen([*state.batches, (streams.start, batch)])

    def merge(self, a, b):
        return Seen(a.batches + b.batches)

    def compute(self, state):
        self.state = state
        return Result(0.0, 0.0, sum(len(b) for _, b in state.batches), "", "lower", protocol="watched")

    def rows(self):
        return torch.cat([batch.x for _, batch in self.state.batches])


class Noise(Model, DirectSampler):
    """Uniform noise in [-1, 1]; its label, if it has one, is the first pixel."""

    def __init__(self, classes: int | None = None) -> None:
        super().__init__()
        self.space = SampleSpace("image", (1, 2, 2), -1.0, 1.0)
        self.conditions = {} if classes is None else {"label": ConditionSpec.label(classes)}
        self.register_buffer("one", torch.ones(()))

    def draw(self, streams, *, condition=None):
        x = 2 * streams.uniform(1, 2, 2) - 1
        if condition is not None:
            x[:, 0, 0, 0] = condition["label"] / 2 - 1
        return x


IMAGES = DataSet(
    "noise", "train", torch.zeros(40, 1, 2, 2, dtype=torch.uint8), {"label": torch.arange(40) % 5}, levels=5
)


def run_over(model, *metrics, data=IMAGES, **options):
    return evaluate_all(model, metrics, data=data, sampler=make_sampler(model, "direct"), **options)


def test_samples_are_those_of_the_seed_on_the_users_side_rounded_to_the_levels():
    model, metric = Noise(), Watching()
    (result,) = run_over(model, metric, n=50, seed=3, batch_size=7)
    drawn = sample(model, 50, sampler="direct", seed=3)
    assert torch.equal(metric.rows(), (drawn * 4).round() / 4)
    assert set(metric.rows().flatten().tolist()) == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert (result.n, result.protocol) == (50, "direct; watched")
    other = Watching()
    run_over(model, other, n=50, seed=3, batch_size=50)
    assert torch.equal(other.rows(), metric.rows())


def test_metrics_that_share_a_state_are_updated_once_and_samples_are_drawn_once(monkeypatch):
    model, alone = Noise(), Watching()
    pair = [Watching(shared="pair"), Watching(shared="pair")]
    draws = []
    monkeypatch.setattr(model, "draw", lambda streams, condition=None: draws.append(1) or Noise.draw(model, streams))
    run_over(model, *pair, alone, n=30, batch_size=10)
    assert sorted(metric.updates for metric in pair) == [0, 3]
    assert alone.updates == len(draws) == 3
    assert pair[0].state is pair[1].state


def test_labels_are_drawn_as_often_as_in_the_data():
    """Labels 0 … 4 in equal parts; sample i has its label whatever the batch."""
    model, metric, other = Noise(classes=5), Watching(), Watching()
    run_over(model, metric, n=2000, batch_size=100)
    run_over(model, other, n=50, batch_size=9)
    labels = torch.cat([batch.condition["label"] for _, batch in metric.state.batches])
    assert torch.equal(labels[:50], torch.cat([batch.condition["label"] for _, batch in other.state.batches]))
    assert (labels.bincount().float() / 2000 - 0.2).abs().max() < 0.05
    assert torch.equal(metric.rows()[:, 0, 0, 0], labels / 4)
    with pytest.raises(IncompatibleError, match="noise has none to draw from"):
        run_over(model, Watching(), data=replace(IMAGES, columns={}), n=10)


def test_held_out_data_goes_by_once_in_a_seeded_order():
    metric, again, other = (Watching("data") for _ in range(3))
    data = datasets.load("eight-gaussians", "test", n=60)
    for watching, seed in ((metric, 0), (again, 0), (other, 1)):
        run_over(zoo_core.load(RING), watching, data=data, seed=seed, batch_size=8)
    assert torch.equal(metric.rows(), again.rows())
    assert not torch.equal(metric.rows(), other.rows())
    assert torch.equal(metric.rows().sort(0).values, data.x.double().sort(0).values)
    (result,) = run_over(zoo_core.load(RING), Watching("data"), data=data, n=500)
    assert result.n == 60


class Half:
    """One of two processes, on its own."""

    size = 2

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def part(self, count):
        return range(count * self.rank // 2, count * (self.rank + 1) // 2)


def test_processes_share_the_batches(monkeypatch):
    """Each looks at half; after the exchange both have the same state, in the order of the ranks."""
    states = {}

    def gather(into, state):
        states[len(states)] = state
        into[:] = [states[0], states[0] if len(states) == 1 else state]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    model, alone, first, second = Noise(), Watching(), Watching(), Watching()
    run_over(model, alone, n=40, batch_size=8)
    run_over(model, first, n=40, batch_size=8, processes=Half(0))
    run_over(model, second, n=40, batch_size=8, processes=Half(1))
    assert (first.updates, second.updates) == (2, 3)
    assert torch.equal(second.rows(), alone.rows())


def test_evaluating_leaves_the_global_generator_alone():
    state = torch.random.get_rng_state()
    evaluate(zoo_core.load(RING), "sliced-wasserstein", n=200)
    evaluate(zoo_core.load(RING), "nll", n=200)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_fits_and_against_what():
    model = zoo_core.load(RING)
    names = fitting(model)
    assert {"nll", "kl", "high-quality", "sliced-wasserstein"} <= set(names)
    assert not {"bits-per-dim", "r-mnist-v1", "elbo", "inception-score"} & set(names)
    assert data_for(model, Watching("data")).split == "test"
    assert data_for(model, Watching("samples")).split == "train"


def test_a_row_has_no_more_digits_than_mean_anything():
    measured = measure(zoo_core.load(RING), ["nll"], Settings(n=5, seed=3))[0]
    row, result = measured.row, measured.result
    assert (row.value, row.stderr) == (float(f"{result.value:.6g}"), float(f"{result.stderr:.3g}"))
    assert row.anchors == {name: float(f"{value:.6g}") for name, value in result.anchors.items()} != {}
    assert (row.dataset, row.n, row.seed) == ("eight-gaussians/test", 5, 3)


def test_a_row_keeps_the_sampler_where_one_drew_and_only_there():
    settings = Settings(n=100, sampler="langevin", steps=2, options={"step_size": 0.1})
    drawn, seen = (one.row for one in measure(zoo_core.load(RING), ["sliced-wasserstein", "nll"], settings))
    assert (drawn.sampler, drawn.steps, drawn.nfe, drawn.options) == ("langevin", 2, None, {"step_size": 0.1})
    assert (seen.sampler, seen.steps, seen.nfe, seen.options) == ("", None, None, {})
    assert Settings.of(drawn) == settings
    assert Settings.of(seen) == Settings(n=100)
    keys = ["metric", "value", "stderr", "n", "dataset", "sampler", "steps", "options", "seed", "protocol", "anchors"]
    assert list(drawn.table()) == keys


ROW = Evaluation(metric="nll", value=1.0, stderr=0.1, n=5, dataset="x/test", seed=0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, ""),
        ({"sampler": "heun", "nfe": 21}, "--sampler heun --nfe 21 "),
        ({"sampler": "ddim", "steps": 2, "options": {"eta": 0.5}}, "--sampler ddim --steps 2 --set eta=0.5 "),
        ({"options": {"mask": "left", "clip": True}}, "--set mask=left --set clip=true "),
        ({"options": {"word": "3"}}, """--set 'word="3"' """),
        ({"options": {"two words": [1, 2]}}, "--set 'two words=[1, 2]' "),
    ],
)
def test_the_command_is_written_from_the_settings_and_read_as_them(settings, words):
    row = replace(ROW, **settings)
    text = row.command("./a model")
    assert text == f"zoo eval './a model' --metric nll -n 5 {words}--seed 0"
    read = eval_verb.command.make_context("zoo eval", shlex.split(text)[2:]).params
    assert (read["sampler"] or "", read["steps"], read["nfe"], read["settings"]) == (
        row.sampler, row.steps, row.nfe, row.options
    )  # fmt: skip
    assert (read["name"], read["metrics"], read["count"], read["seed"]) == ("./a model", ("nll",), 5, 0)


def test_a_sampler_is_described_by_what_is_not_usual():
    model = zoo_core.load(MOONS)
    for options, words in (
        ({}, "ddim, 50 steps"),
        ({"eta": 1.0, "steps": 20}, "ddim, 20 steps, eta = 1"),
        ({"eta": 0.25, "clip": False}, "ddim, 50 steps, eta = 0.25, clip = False"),
    ):
        assert describe(make_sampler(model, "ddim", **options)) == words
    assert describe(make_sampler(zoo_core.load(RING))) == "direct"


@pytest.mark.parametrize(("value", "n", "right"), [(1.0, 5, True), (1.09, 5, True), (1.11, 5, False), (1.0, 6, False)])
def test_agreement_is_within_the_stated_error(value, n, right):
    assert agrees(ROW, Result(value, 0.1, n, "nats", "lower")) is right


def test_eval_measures_several_metrics_in_one_go(run):
    metrics = ["high-quality", "mode-coverage", "nll"]
    code, out, _ = run("eval", RING, *[w for m in metrics for w in ("--metric", m)], "-n", "200", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [r["metric"] for r in rows] == metrics
    assert [r["dataset"] for r in rows] == ["eight-gaussians/train", "eight-gaussians/train", "eight-gaussians/test"]
    assert rows[0]["command"] == f"zoo eval {RING} --metric high-quality -n 200 --seed 0"
    assert {"value", "stderr", "n", "anchors", "protocol"} <= set(rows[0])


def test_eval_draws_with_the_sampler_that_is_named(run):
    options = ("--metric", "sliced-wasserstein", "-n", "100", "--sampler", "ddim", "--steps", "2")
    code, out, err = run("eval", MOONS, *options)
    assert (code, err) == (0, "")
    assert "ddim, 2 steps; " in out
    code, out, _ = run("eval", MOONS, *options, "--json")
    assert json.loads(out)[0]["command"].endswith("-n 100 --sampler ddim --steps 2 --seed 0")


def test_eval_sets_options_of_the_sampler_and_its_row_remembers_them(run):
    options = ("--metric", "sliced-wasserstein", "-n", "100", "--steps", "2", "--sampler", "ddim", "--set")
    code, out, _ = run("eval", MOONS, *options, "eta=0.5", "--json")
    found = json.loads(out)[0]
    assert code == 0
    assert found["protocol"].startswith("ddim, 2 steps, eta = 0.5; ")
    assert found["command"].endswith("--sampler ddim --steps 2 --set eta=0.5 --seed 0")
    assert (found["sampler"], found["steps"], found["options"]) == ("ddim", 2, {"eta": 0.5})
    code, _, err = run("eval", MOONS, *options, "beta=0.5")
    assert code == 2
    assert "sampler 'ddim' has no option 'beta'" in err


def folder_with(rows, tmp_path):
    """The ring's snapshot, with other numbers."""
    entry = replace(registry.load().get(RING), evaluations=tuple(rows))
    snapshot.save(tmp_path / "model", entry, zoo_core.load(RING).state_dict())
    return "./model"


def test_check_measures_again_what_is_committed(run, tmp_path):
    """Under the row's own settings: n and seed are among them."""
    good = measure(zoo_core.load(RING), ["high-quality"], Settings(n=300, seed=4))[0].row
    name = folder_with([good], tmp_path)
    code, out, err = run("eval", name, "--check")
    assert (code, err) == (0, "")
    assert "high-quality" in out
    assert "as committed" in out
    name = folder_with([good, replace(good, value=good.value - 10 * good.stderr)], tmp_path)
    code, out, err = run("eval", name, "--check")
    assert code == 1
    assert "NOT as committed" in out
    assert "1 number is not as the registry says" in err
    code, out, _ = run("eval", name, "--check", "--json")
    assert code == 1
    assert [r["agrees"] for r in json.loads(out)] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "name a model, or use --all"),
        ((RING, "--all"), "name a model, or use --all"),
        ((RING, "--check", "-n", "10"), "--check takes its settings from the registry; leave out --metric"),
        ((RING, "--save"), "--save writes into a model's folder"),
        ((MOONS, "--steps", "10", "--set", "steps=20"), "--steps 10 and --set steps=20 are one setting"),
        ((MOONS, "--steps", "10", "--nfe", "20"), "--nfe 20 and --steps 10 both say how many steps"),
        ((MOONS, "--nfe", "20", "--set", "steps=3"), "--nfe 20 and --set steps=3 both say how many steps"),
        ((MOONS, "--set", "nfe=20"), "nfe is no option of a sampler; use --nfe 20"),
        ((MOONS, "--set", "eta=1", "--set", "eta=0"), "'eta' is given twice"),
        ((MOONS, "--set", "=1"), "'=1' is not KEY=VALUE"),
        ((MOONS, "--metric", "mmd", "-n", "9", "--sampler", "heun", "--nfe", "1", "--set", "x=1"), "no option 'x'"),
        ((RING, "--metric", "kid", "-n", "20"), "takes at least 100"),
        ((MOONS, "--metric", "nll", "--metric", "bits-per-dim"), "use nll"),
    ],
)
def test_wrong_usage_is_one_line(run, arguments, reason):
    code, out, err = run("eval", *arguments)
    assert (code, out) == (2, "")
    assert reason in err


SHADES = """
import torch
from zoo_core.plugins.hookspecs import hookimpl
from zoo_core.interfaces import DataSet
ZOO_API = (1, 0)

@hookimpl
def zoo_register(catalogue):
    catalogue.dataset("shades", "zoo_shades.plugin:shades", "8×8 noise")

def shades(split, n=200):
    draw = torch.Generator().manual_seed(int(split == "test"))
    return DataSet("shades", split, torch.randint(17, (n, 1, 8, 8), generator=draw, dtype=torch.uint8), levels=17)
"""


@pytest.fixture
def without_features(zoo_install, tmp_path):
    """A GAN of the reader's own images, for which there are no features to compare samples by, in a folder."""
    zoo_install("zoo-shades", SHADES)
    base = registry.load().get("wgan-gp-mnist")
    entry = replace(
        base, config={**base.config, "shape": [1, 8, 8]}, recipe={**base.recipe, "data": {"name": "shades"}}
    )
    entry = replace(entry, id="gan-shades", dataset="shades", evaluations=())
    snapshot.save(tmp_path / "gan", entry, build(entry).state_dict())
    return "./gan"


def test_no_metric_is_no_success_and_says_what_fits_if_it_is_named(run, without_features):
    code, out, err = run("eval", without_features)
    assert (code, out) == (2, ""), err
    assert err.startswith("zoo: gan has no default metric; name one that fits with --metric: ")
    assert "mmd" in err
    assert err.count("\n") == 1
    code, out, err = run("eval", without_features, "--metric", "mmd", "-n", "100")
    assert (code, err) == (0, "")
    assert out.startswith("mmd: ")


def test_no_metric_at_all_says_why(tmp_path):
    model = zoo_core.load(RING)
    model.entry = replace(model.entry, recipe={})
    with pytest.raises(IncompatibleError, match="has no recipe that names its data"):
        default_metrics(model)


def test_save_writes_the_numbers_into_the_card_of_a_folder(run, tmp_path):
    """In place of older ones by the same metrics; the folder is called otherwise than its model."""
    name = folder_with([], tmp_path)
    assert "Nothing has been measured" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    code, _, err = run("publish", name, "--repo", "me/ring", "--dry-run")
    assert code == 0
    assert f"the model card lacks a measured number (zoo eval {name} --save)" in err
    for seed, metrics in ((1, ("nll",)), (2, ("high-quality", "nll"))):
        words = [word for metric in metrics for word in ("--metric", metric)]
        assert run("eval", name, "-n", "100", "--seed", str(seed), "--save", *words)[0] == 0
    rows = zoo_core.load(name).entry.evaluations
    assert [(row.metric, row.seed) for row in rows] == [("nll", 2), ("high-quality", 2)]
    table = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert table["id"] == RING
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert f"`zoo eval {RING} --metric nll -n 100 --seed 2`" in card
    code, _, err = run("publish", name, "--repo", "me/ring", "--dry-run")
    assert (code, err) == (0, "")
    assert run("eval", name, "--check")[0] == 0


def test_numbers_are_saved_in_a_snapshot_of_the_zoo_only(run, tmp_path):
    name = folder_with([], tmp_path)
    table = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    del table["id"]
    (tmp_path / "model" / "config.json").write_text(json.dumps(table), encoding="utf-8")
    code, _, err = run("eval", name, "--metric", "nll", "-n", "100", "--save")
    assert code == 4
    assert "model has no config.json of the zoo with an id; its numbers cannot be kept there" in err


def test_a_budget_of_evaluations_buys_what_it_pays_for(run):
    options = ("--metric", "sliced-wasserstein", "-n", "100", "--sampler", "heun", "--json")
    code, out, _ = run("eval", MOONS, *options, "--nfe", "8")
    assert code == 0
    bought = json.loads(out)[0]
    assert bought["protocol"].startswith("heun, 4 steps; ")  # two evaluations a step, and one for the last
    assert (bought["nfe"], "steps" in bought) == (8, False)
    assert "--sampler heun --nfe 8 " in bought["command"]
    code, out, _ = run("eval", MOONS, *options, "--steps", "4")
    assert json.loads(out)[0]["value"] == bought["value"]
