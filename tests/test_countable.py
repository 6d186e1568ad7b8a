"""Samples that are countable: which spaces have them, and how the kit enumerates rows of tables."""

from __future__ import annotations

import pytest
import torch

from zoo_core.interfaces import Model, SampleSpace
from zoo_core.interfaces.columns import Column
from zoo_core.testing.states import all_states, index_of

FACE = Column("face", "category", categories=("a", "b", "c"))
HEADS = Column("heads", "integer", low=2.0, high=3.0)
EVENTS = Column("events", "integer", low=0.0)
HEIGHT = Column("height")


def table(*columns: Column) -> SampleSpace:
    return SampleSpace("table", (len(columns),), columns=columns)


@pytest.mark.parametrize(
    ("space", "countable"),
    [
        (SampleSpace("tokens", (3,), vocabulary=2), True),
        (table(FACE, HEADS, EVENTS), True),
        (table(FACE, HEIGHT), False),
        (SampleSpace("points", (2,)), False),
        (SampleSpace("image", (1, 8, 8)), False),
    ],
)
def test_countable_spaces(space, countable):
    assert space.is_countable is countable


def test_rows_of_a_table_are_enumerated():
    model = Model()
    model.space = table(FACE, HEADS)
    states = all_states(model)
    assert states.tolist() == [[0, 2], [0, 3], [1, 2], [1, 3], [2, 2], [2, 3]]
    assert index_of(states, torch.tensor([[1.0, 3.0], [1.0, 4.0]])).tolist() == [3, 6]


@pytest.mark.parametrize("columns", [(EVENTS,), (FACE, HEIGHT), (Column("n", "integer", low=0.0, high=5000.0),)])
def test_rows_that_are_too_many_are_not(columns):
    model = Model()
    model.space = table(*columns)
    assert all_states(model) is None
