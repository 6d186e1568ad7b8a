"""The columns of a user's table: cells become numbers inside a model, and these become the same cells again."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zoo_core.datasets.sources.arrays import from_array
from zoo_core.interfaces import Column, Encoding, SampleSpace
from zoo_core.randomness import Streams

COLUMNS = (
    Column("height", "number", low=1.5, high=2.0, mean=1.7, std=0.1, digits=2),
    Column("free", "number", low=-1.0, high=1.0, mean=0.0, std=0.5),
    Column("count", "integer", low=0, high=9, mean=4.0, std=2.0),
    Column("born", "date", low=0, high=20000, mean=9000.0, std=3000.0, unit="d"),
    Column("kind", "category", ("a", "b", "c")),
    Column("always", "constant", ("x",), low=0.0),
)
ENCODING = Encoding(COLUMNS)
CELLS = torch.tensor(
    [[1.75, 0.123456789, 3, 11000, 2, 0], [1.5, -1.0, 0, 0, 0, 0], [math.nan] * 5 + [0]], dtype=torch.float64
)


def streams(count):
    return Streams(0, "columns", 0, count)


@pytest.mark.parametrize("noise", [None, streams(3)], ids=["plain", "dequantised"])
def test_cells_come_back(noise):
    inside = ENCODING.encode(CELLS, noise)
    assert (inside.shape, inside.dtype) == ((3, 7), torch.float32)
    assert torch.allclose(ENCODING.decode(inside), CELLS, atol=1e-6, equal_nan=True)
    assert torch.equal(inside.isnan(), torch.tensor([[False], [False], [True]]).expand(3, 7))


def test_each_column_is_encoded_as_it_says():
    inside = ENCODING.encode(CELLS)
    assert torch.allclose(inside[0, :4], torch.tensor([0.5, 0.246913578, -0.5, 2 / 3]), atol=1e-6)
    assert inside[:2, 4:].tolist() == [[-1, -1, 1], [1, -1, -1]]
    moved = ENCODING.encode(CELLS, streams(3)) - inside
    assert moved[:2, :2].abs().max() == 0, "numbers are not dequantised"
    assert moved[:2, 2].abs().min() > 0
    assert moved[:2, 2].abs().max() <= 0.5 / 2 + 1e-6
    assert moved[:2, 4:].abs().max() <= 0.5


def test_what_is_decoded_lies_within_what_was_seen():
    cells = ENCODING.decode(torch.tensor([[100.0, -100.0, 0.3, 0.0, 5.0, 4.0, 3.0]]))
    assert cells.tolist() == [[2.0, -1.0, 5.0, 9000.0, 0.0, 0.0]]
    drawn = ENCODING.decode(torch.randn(200, 7))
    assert torch.equal((drawn[:, 0] * 100).round() / 100, drawn[:, 0])
    assert torch.equal(drawn[:, 2:], drawn[:, 2:].round())


def test_cells_are_written_and_read_as_text():
    texts = [column.text(value) for column, value in zip(COLUMNS, CELLS[0].tolist(), strict=True)]
    assert texts == ["1.75", "0.123456789", "3", "2000-02-13", "c", "x"]
    assert [column.number(text) for column, text in zip(COLUMNS, texts, strict=True)] == CELLS[0].tolist()
    assert COLUMNS[0].text(math.nan) == ""
    moment = Column("t", "date", unit="s")
    assert moment.number(moment.text(86401.0)) == 86401.0
    with pytest.raises(ValueError, match="could not convert"):
        COLUMNS[2].number("three")


def test_a_column_is_its_table():
    assert [Column.of(column.table()) for column in COLUMNS] == list(COLUMNS)
    assert ENCODING.log_volume == pytest.approx(math.log(0.1 * 0.5 * 2.0 * 3000.0))


def test_users_see_columns_and_models_numbers():
    space = SampleSpace("points", (7,), encoding=ENCODING)
    assert (space.user.kind, space.user.shape) == ("table", (6,))
    assert torch.allclose(space.to_user(space.from_user(CELLS)), CELLS, atol=1e-6, equal_nan=True)
    assert SampleSpace("points", (7,), encoding=Encoding(COLUMNS, table=False)).user.kind == "points"


def test_images_are_padded_inside_and_cut_outside():
    space = SampleSpace("image", (1, 4, 4), -1.0, 1.0, cropped=(3, 2))
    x = torch.rand(5, 1, 3, 2)
    inside = space.from_user(x)
    assert inside.shape == (5, 1, 4, 4)
    assert (inside[:, :, 3:] == -1).all(), "black"
    assert torch.allclose(space.to_user(inside), x, atol=1e-6)
    assert space.user.shape == (1, 3, 2)


def test_the_columns_of_an_array_are_standardised():
    x = np.random.default_rng(0).normal(size=(500, 3)) * [1, 30, 500] + [0, 100, -7]
    found = from_array(x, None, "x")
    encoding = Encoding.of(found.reader["columns"], table=False)
    inside = encoding.encode(torch.from_numpy(x))
    assert torch.allclose(inside.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(inside.std(0, correction=0), torch.ones(3), atol=1e-5)
