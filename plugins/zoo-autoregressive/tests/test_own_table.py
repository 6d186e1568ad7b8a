"""A reader's table with holes, from a CSV file to samples, completions and scores in their columns."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import zoo_core
from zoo_core.cli import cli
from zoo_core.filling import fill
from zoo_core.interfaces import Model
from zoo_core.scoring import score
from zoo_core.training.choice import for_data
from zoo_core.training.target import Target

pytest.importorskip("pandas")
HEADER = ["age", "city", "income", "since"]
CITIES = {"Basel": 1.0, "Bern": 1.0, "Genf": 1.5}


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    """400 rows of ages, cities, incomes that depend on both, and dates; a tenth of the cells is empty."""
    source, path = random.Random(0), tmp_path_factory.mktemp("own") / "people.csv"
    with path.open("w") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        for _ in range(400):
            age, city = source.randint(18, 80), source.choice(list(CITIES))
            income = 1000 * age * CITIES[city] + source.gauss(0, 4000)
            cells = [age, city, f"{income:.2f}", f"20{source.randint(10, 23)}-{source.randint(1, 12):02d}-17"]
            rows.writerow(["" if source.random() < 0.1 else cell for cell in cells])
    return path


@pytest.fixture(scope="module")
def model(people) -> Model:
    return zoo_core.fit("autoregressive-table", str(people), steps=160)


def test_a_table_says_its_columns_to_the_config(people):
    entry = for_data("autoregressive-table", Target.own(people), {})
    assert [column["kind"] for column in entry.config["columns"]] == ["whole", "category", "number", "whole"]
    assert entry.config["shape"] == [6]
    assert (entry.config["blocks"], entry.config["components"]) == (1, 4), "a small network for 360 rows"
    assert (entry.recipe["steps"], entry.recipe["batch"]) == (120 * 360 // 128, 128)
    assert "missing" not in entry.recipe["data"], "rows with holes are learned too"


@pytest.mark.long
def test_samples_are_rows_of_the_table(model):
    drawn = zoo_core.sample(model, 300, seed=1)
    columns = model.space.user.columns
    assert [column.name for column in columns] == HEADER
    for column, cells in zip(columns, drawn.unbind(1), strict=True):
        if column.low is not None and column.high is not None:
            assert cells.min() >= column.low
            assert cells.max() <= column.high
    assert torch.equal(drawn[:, 0], drawn[:, 0].round())
    texts = [column.text(value) for column, value in zip(columns, drawn[0].tolist(), strict=True)]
    assert texts[1] in CITIES
    assert len(texts[2].partition(".")[2]) == 2
    assert texts[3].startswith("20")
    assert torch.equal(drawn[7:9], zoo_core.sample(model, 300, seed=1, batch_size=50)[7:9])


@pytest.mark.long
def test_completions_follow_the_other_cells(model):
    """Incomes at 30 in Bern and at 60 in Genf are near 30,000 and 90,000: within 12,000 on average."""
    nan = float("nan")
    names = model.space.user.columns[1].categories
    rows = torch.tensor(
        [[30, names.index("Bern"), nan, 18000], [60, names.index("Genf"), nan, 18000]], dtype=torch.float64
    )
    made = torch.stack(fill(model, rows, n=40))[:, :, 2].mean(0)
    assert abs(made[0].item() - 30_000) < 12_000
    assert abs(made[1].item() - 90_000) < 12_000


@pytest.mark.long
def test_what_does_not_belong_together_is_unusual(model):
    names = model.space.user.columns[1].categories
    usual = [50, names.index("Bern"), 50_000, 18000]
    odd = [20, names.index("Bern"), 95_000, 18000]
    found = score(model, torch.tensor([usual, odd], dtype=torch.float64))
    assert found.score[1] > found.score[0] + 3
    assert found.p[1] < 0.1 < found.p[0]


@pytest.mark.long
def test_a_file_is_filled_and_keeps_its_other_characters(people, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in (
        ["train", "--family", "autoregressive-table", "--data", str(people), "--set", "steps=3", "--out", "run"],
        ["fill", "./run/model", str(people), "--out", "filled.csv"],
        ["sample", "./run/model", "-n", "5", "--out", "more.csv"],
        ["again", "more.csv"],
    ):
        done = CliRunner().invoke(cli, line, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    assert "the same to the bit" in done.output
    before, after = (list(csv.reader(path.read_text().splitlines())) for path in (people, tmp_path / "filled.csv"))
    assert len(before) == len(after) == 401
    for one, other in zip(before, after, strict=True):
        assert all(new == old if old else new for old, new in zip(one, other, strict=True))
