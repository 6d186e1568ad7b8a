"""Values of open length: what is padded is never read, and rows stay what they were."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zoo_core.interfaces import Batch, Condition, Ragged, SampleSpace
from zoo_core.interfaces.values import Values, cat, finite_rows, map_values

LENGTHS = [3, 0, 5, 1]


def tokens() -> list[Tensor]:
    return [torch.arange(length) + 10 * i for i, length in enumerate(LENGTHS)]


def features() -> list[Tensor]:
    """Rows of two features, as sequences have them: the first axis is open."""
    return [torch.randn(length, 2, generator=torch.Generator().manual_seed(i)) for i, length in enumerate(LENGTHS)]


def recordings() -> list[Tensor]:
    """Rows of two channels, as recordings have them: the last axis is open."""
    return [row.T.contiguous() for row in features()]


KINDS: dict[str, tuple[Callable[[], list[Tensor]], int]] = {
    "tokens": (tokens, 1),
    "sequences": (features, 1),
    "audio": (recordings, 2),
}


def made(kind: str, padding: float | None = None) -> tuple[list[Tensor], Ragged]:
    rows, axis = KINDS[kind][0](), KINDS[kind][1]
    values = Ragged.of(rows, axis)
    return rows, values if padding is None else values.padded_with(padding)


def same(found: Ragged, rows: list[Tensor]) -> bool:
    return len(found) == len(rows) and all(torch.equal(a, b) for a, b in zip(found, rows, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_come_back_without_their_padding(kind: str) -> None:
    rows, values = made(kind)
    assert same(values, rows)
    assert values.lengths.tolist() == LENGTHS
    assert values.dtype == rows[0].dtype
    assert values.is_floating_point() == (kind != "tokens")
    assert values.shape == tuple(values.data.shape)
    assert values.shape[values.axis] == 5
    assert values.device == torch.device("cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_some_rows_are_cut_to_the_longest_of_them(kind: str) -> None:
    rows, values = made(kind)
    assert same(values[:2], rows[:2])
    assert values[:2].shape[values.axis] == 3
    chosen = values[torch.tensor([3, 1, 3])]
    assert same(chosen, [rows[3], rows[1], rows[3]])
    assert chosen.shape[values.axis] == 1
    assert same(values[values.lengths > 2], [rows[0], rows[2]])
    assert len(values[:0]) == 0
    assert values[:0].shape[values.axis] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_says_what_is_data(kind: str) -> None:
    _, values = made(kind)
    assert values.mask.shape == (4, 5)
    assert values.mask.sum(1).tolist() == LENGTHS
    assert values.mask[0].tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("padding", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", ["sequences", "audio"])
def test_padding_is_never_read(kind: str, padding: float) -> None:
    """Whatever stands there, rows, finiteness, joined batches, and what is chosen of them are the same."""
    rows, values = made(kind, padding)
    assert same(values, rows)
    assert finite_rows(values).all()
    assert same(values[torch.tensor([2, 0])], [rows[2], rows[0]])
    joined = cat([values, values[:2]])
    assert isinstance(joined, Ragged)
    assert same(joined, rows + rows[:2])
    space = SampleSpace("sequence" if kind == "sequences" else "audio", (None, 2), rate=8000)
    assert same(space.to_user(values), rows)


def test_what_is_not_finite_is_found_by_row() -> None:
    rows, values = made("audio", float("nan"))
    data = values.data.clone()
    data[2, 1, 4] = float("inf")
    data[3, 0, 0] = float("nan")
    assert finite_rows(Ragged(data, values.lengths, values.axis)).tolist() == [True, True, False, False]
    fixed = torch.tensor([[[1.0, 2.0]], [[float("nan"), 0.0]]])
    assert finite_rows(fixed).tolist() == [True, False]
    assert finite_rows(torch.tensor([1.0, float("inf")])).tolist() == [True, False]  # one number a row
    assert finite_rows(torch.arange(3)).all()
    assert same(values, rows)  # nothing was changed on the way


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_joined_whatever_their_longest_row(kind: str) -> None:
    rows, values = made(kind)
    joined = cat([values[:2], values[2:3], values[3:], values[:0]])
    assert isinstance(joined, Ragged)
    assert same(joined, rows)
    assert torch.equal(joined.data, values.data)
    assert joined.dtype == values.dtype


def test_tensors_are_joined_and_kinds_are_not_mixed() -> None:
    x = torch.arange(6.0).view(3, 2)
    joined = cat([x[:1], x[1:]])
    assert isinstance(joined, Tensor)
    assert torch.equal(joined, x)
    mixed: list[Values] = [x, Ragged.of([x])]
    with pytest.raises(ValueError, match="some batches have a fixed length and some an open one"):
        cat(mixed)


@pytest.mark.parametrize("kind", KINDS)
def test_functions_of_numbers_keep_the_lengths(kind: str) -> None:
    rows, values = made(kind)
    assert same(values.map(lambda data: 2 * data), [2 * row for row in rows])
    assert same(map_values(values, lambda data: data + 1), [row + 1 for row in rows])
    assert torch.equal(map_values(rows[0], lambda data: data + 1), rows[0] + 1)
    assert same(values, rows)


@pytest.mark.parametrize("kind", KINDS)
def test_moved_and_copied(kind: str) -> None:
    rows, values = made(kind)
    wide = values.to(torch.float64)
    assert wide.dtype == torch.float64
    assert wide.lengths.dtype == torch.int64
    assert same(wide, [row.double() for row in rows])
    assert same(values.to("cpu"), rows)
    assert same(values.cpu(), rows)
    copy = values.clone()
    copy.data.zero_()
    copy.lengths.zero_()
    assert same(values, rows)


def test_a_bounded_space_scales_numbers_and_clamps() -> None:
    space = SampleSpace("audio", (1, None), -1.0, 1.0, rate=8000)
    values = Ragged.of([torch.tensor([[-1.0, 0.0, 3.0]]), torch.tensor([[0.5]])], 2)
    user = space.to_user(values)
    assert [row.flatten().tolist() for row in user] == [[0.0, 0.5, 1.0], [0.75]]
    assert [row.flatten().tolist() for row in space.from_user(user)] == [[-1.0, 0.0, 1.0], [0.5]]


def test_batches_take_rows_and_pieces_with_what_belongs_to_them() -> None:
    rows, values = made("tokens")
    batch = Batch(values, Condition(label=torch.arange(4)), torch.tensor([0.0, 1.0, 2.0, 3.0]), step=7)
    some = batch.rows(torch.tensor([2, 0]))
    assert same(some.x, [rows[2], rows[0]])
    assert some.condition is not None
    assert some.weights is not None
    assert (some.condition["label"].tolist(), some.weights.tolist(), some.step) == ([2, 0], [2.0, 0.0], 7)
    halves = list(batch.to("cpu").chunks(2))
    assert [len(half) for half in halves] == [2, 2]
    assert same(halves[1].x, rows[2:])
    assert halves[1].condition is not None
    assert halves[1].condition["label"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Ragged(torch.zeros(2, 3), torch.tensor([1, 4])), "lengths reach 1 … 4; expected 0 … 3"),
        (lambda: Ragged(torch.zeros(2, 3), torch.tensor([-1, 3])), "lengths reach -1 … 3; expected 0 … 3"),
        (lambda: Ragged(torch.zeros(2, 3), torch.tensor([1])), "expected 2 integers, one per row"),
        (lambda: Ragged(torch.zeros(2, 3), torch.tensor([1.0, 2.0])), "expected 2 integers, one per row"),
        (lambda: Ragged(torch.zeros(2, 3), torch.tensor([1, 2]), 2), "axis = 2; expected 1 … 1"),
        (lambda: Ragged(torch.zeros(2, 3), torch.tensor([1, 2]), 0), "axis = 0; expected 1 … 1"),
        (lambda: Ragged.of([]), "there are no rows to pad"),
        (lambda: Ragged.of([torch.zeros(2, 3), torch.zeros(2, 4)]), r"row 1 has shape \(2, 4\)"),
        (lambda: Ragged.of([torch.zeros(2, 3), torch.zeros(2, 1)]), r"row 1 has shape \(2, 1\)"),
        (lambda: Ragged.of([torch.zeros(2), torch.zeros(2, 3)]), r"row 1 has shape \(2, 3\)"),
        (lambda: Ragged.of([torch.zeros(2), torch.tensor(1.0)]), r"row 1 has shape \(\)"),
        (
            lambda: Ragged.of([torch.arange(2), torch.zeros(2)]),
            "of torch.float32; expected .* of torch.int64",
        ),
        (lambda: Ragged.of([torch.zeros(2)], 2), "axis = 2; expected 1 … 1"),
        (lambda: Ragged.of([torch.tensor(1.0)]), "axis = 1; expected 1 … 0"),
    ],
)
def test_what_does_not_belong_together_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
