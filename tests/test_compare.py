"""``zoo compare``: the same data, metric and seed; evaluations that are counted; a table, a page, a picture."""

from __future__ import annotations

import csv
import json
import sys

import pytest

import zoo_core
from zoo_core.errors import IncompatibleError
from zoo_core.evaluation import evaluate
from zoo_core.evaluation.comparison import compare, headlines, network_evaluations, samplers_for
from zoo_core.sampling import make_sampler

RING, MOONS = "gmm-eight-gaussians", "ddpm-moons"


@pytest.mark.parametrize(("name", "steps"), [("ddim", 7), ("ancestral", 3)])
def test_network_evaluations_are_counted(name, steps):
    model = zoo_core.load(MOONS)
    assert network_evaluations(model, make_sampler(model, name, steps=steps)) == steps
    assert "predict" not in vars(model)
    ring = zoo_core.load(RING)
    assert network_evaluations(ring, make_sampler(ring)) == 1


def test_every_sampler_that_fits_at_every_number_of_steps():
    moons, ring = zoo_core.load(MOONS), zoo_core.load(RING)
    found = [(name, getattr(s, "steps", None)) for name, s in samplers_for(moons, ["ddim", "ancestral"], [1, 5])]
    assert found == [("ddim", 1), ("ddim", 5), ("ancestral", 1), ("ancestral", 5)]
    assert [name for name, _ in samplers_for(ring, ["ddim"], [1, 5])] == ["direct"]
    with pytest.raises(zoo_core.errors.UnknownNameError, match="unknown sampler 'dimm'"):
        list(samplers_for(moons, ["dimm"], []))


def test_a_point_is_what_eval_measures():
    model = zoo_core.load(MOONS)
    (point,) = compare([model], ["sliced-wasserstein"], samplers=["ddim"], steps=[4], n=200, seed=2)
    alone = evaluate(model, "sliced-wasserstein", sampler=make_sampler(model, "ddim", steps=4), n=200, seed=2)
    assert point.result == alone
    assert (point.model, point.kind, point.nfe, point.sampler) == (MOONS, "ddim", 4, "ddim, 4 steps")
    assert point.seconds > 0


def test_more_steps_are_better():
    model = zoo_core.load(MOONS)
    points = compare([model], ["sliced-wasserstein"], samplers=["ddim"], steps=[1, 20], n=500)
    few, many = (point.result.value for point in points)
    assert many < 0.5 * few


def test_what_cannot_be_compared():
    moons, ring = zoo_core.load(MOONS), zoo_core.load(RING)
    assert headlines([moons]) == ["sliced-wasserstein"]
    with pytest.raises(IncompatibleError, match="of the same data; these are of eight-gaussians and two-moons"):
        list(compare([moons, ring], ["sliced-wasserstein"]))
    with pytest.raises(IncompatibleError, match="needs metrics of samples"):
        list(compare([moons], ["nll"]))


COUPLED = "otcfm-eight-gaussians"
ARGUMENTS = ("compare", MOONS, "--sampler", "ddim", "--steps", "1,2", "-n", "100", "--metric", "sliced-wasserstein")


def test_the_table(run, tmp_path):
    code, out, err = run(*ARGUMENTS, "--out", "x.csv")
    assert (code, err) == (0, "zoo: wrote x.csv\n")
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["MODEL", "SAMPLER", "NFE"]
    assert len(lines) == 3
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["model"], row["NFE"], row["n"]) for row in rows] == [(MOONS, "1", "100"), (MOONS, "2", "100")]
    code, out, _ = run(*ARGUMENTS, "--json")
    assert [row["NFE"] for row in json.loads(out)] == ["1", "2"]


@pytest.mark.long
def test_the_page_and_the_picture(run, tmp_path):
    pytest.importorskip("matplotlib")
    assert run(*ARGUMENTS, "--out", "x.html")[0] == 0
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert page.count("<tr>") == 3
    assert "data:image/png;base64,iVBOR" in page
    assert run(*ARGUMENTS, "--out", "x.png")[0] == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_comparison_goes_on_where_it_was(run, tmp_path):
    """Rows that are there are kept to the letter, what is missing is measured, and the whole can be drawn alone."""
    table = tmp_path / "x.csv"
    assert run(*ARGUMENTS, "--out", "x.csv")[0] == 0
    first, one, two = table.read_text(encoding="utf-8").splitlines()
    marked = one.replace(f",{one.split(',')[4]},", ",123,", 1)  # seconds that nobody measures again
    table.write_text(f"{first}\n{marked}\n", encoding="utf-8")
    code, _, err = run(*ARGUMENTS, "--from", "x.csv", "--out", "x.csv")
    assert (code, err) == (0, "zoo: wrote x.csv\n")
    lines = table.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == [first, marked]
    without_seconds = [[*row[:3], *row[4:]] for row in csv.reader([two, lines[2]])]
    assert without_seconds[0] == without_seconds[1]
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
    code, out, _ = run("compare", "--from", "x.csv", "--json")
    assert (code, [row["NFE"] for row in json.loads(out)]) == (0, ["1", "2"])


def test_another_table_or_seed_is_refused(run, tmp_path):
    assert run(*ARGUMENTS, "--out", "x.csv")[0] == 0
    assert "was measured with seed 0" in run(*ARGUMENTS, "--from", "x.csv", "--seed", "1")[2]
    (tmp_path / "y.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert "cannot be read as a CSV file of zoo compare" in run("compare", "--from", "y.csv")[2]
    assert "cannot be read as a CSV file of zoo compare" in run("compare", "--from", "z.csv")[2]
    assert "name models to compare" in run("compare")[2]


def test_a_missing_plotting_library_is_said_first(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, err = run(*ARGUMENTS, "--out", "x.png")
    assert (code, out) == (6, "")
    assert "pip install matplotlib" in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--out", "x.pdf"), "use .html, .png or .csv"),
        (("--out", "nowhere/x.csv"), "there is no folder"),
        (("--steps", "1,two"), "is not a list of numbers"),
        (("--steps", "0"), "at least 1 step"),
    ],
)
def test_wrong_usage_is_one_line(run, arguments, reason):
    code, out, err = run("compare", MOONS, *arguments)
    assert (code, out) == (2, "")
    assert reason in err


def test_cells_that_cannot_be_measured_say_why():
    """Evaluations, not steps; what does not fit or does not stay finite is left out, with the reason."""
    model = zoo_core.load(MOONS)
    told = []
    points = compare(
        [model],
        ["sliced-wasserstein"],
        samplers=["heun", "dpm-solver", "direct", "annealed-langevin"],
        nfe=[1, 13],
        n=100,
        refused=lambda *cell: told.append(cell),
    )
    assert [(p.kind, p.nfe) for p in points] == [
        *[("heun", 1), ("heun", 13), ("dpm-solver", 1), ("dpm-solver", 13), ("annealed-langevin", 13)]
    ]
    assert [cell[:2] for cell in told] == [(MOONS, "direct"), (MOONS, "annealed-langevin")]
    assert "needs DirectSampler" in told[0][2]
    assert "too few for one step" in told[1][2]

    model.network.register_forward_hook(lambda module, given, answer: answer / 0.0)
    told.clear()
    assert not list(
        compare([model], ["sliced-wasserstein"], samplers=["ddim"], nfe=[2], n=100, refused=lambda *c: told.append(c))
    )
    assert "sample 0 is not finite with ddim, 2 steps" in told[0][2]


def test_a_step_count_that_does_not_fit_is_left_out_alone():
    """One step of the consistency sampler adds no noise, two do, which a coupled path forbids: no crash, a reason."""
    model = zoo_core.load(COUPLED)
    told: list[tuple[str, object]] = []
    chosen = [
        (name, sampler.steps)
        for name, sampler in samplers_for(
            model, ["consistency", "ddim"], nfe=[1, 5], refused=lambda name, reason: told.append((name, reason))
        )
    ]
    assert chosen == [("consistency", 1), ("ddim", 1), ("ddim", 5)]
    assert [name for name, _ in told] == ["consistency, 5 steps"]
    assert "couples noise and data" in str(told[0][1])


def test_steps_and_a_budget_of_evaluations_are_one_setting(run):
    code, out, err = run("compare", "ddpm-moons", "--steps", "1,2", "--nfe", "5")
    assert (code, out) == (2, "")
    assert "--steps and --nfe both say how many steps to take; leave one out" in err
