"""Data sets with columns, read by row: in memory, on disk, or when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo_core import datasets
from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import IncompatibleError
from zoo_core.evaluation import evaluate
from zoo_core.interfaces import DataSet, Model, Ragged, SampleSpace, Values
from zoo_core.registry.entry import Entry
from zoo_core.training import Options, train
from zoo_core.training.examples import TrainingBatches
from zoo_core.training.statistics import fit
from zoo_gmm.model import GaussianMixture
from zoo_gmm.objective import ExpectationMaximisation


class Lazy:
    """Rows that are read when they are asked for, and counted."""

    def __init__(self, x: Values) -> None:
        self.x, self.reads = x, list[list[int]]()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Tensor) -> Values:
        self.reads.append(rows.tolist())
        return self.x[rows]

    @property
    def most(self) -> int:
        """The most rows that were read at once."""
        return max(len(rows) for rows in self.reads)


def captioned() -> DataSet:
    """Points with all kinds of columns."""
    return DataSet(
        "captioned",
        "train",
        torch.arange(10.0).view(5, 2),
        {
            "label": torch.tensor([0, 1, 2, 1, 0]),
            "style": torch.arange(15.0).view(5, 3),
            "caption": Ragged.of([torch.arange(length) for length in (2, 0, 3, 1, 4)]),
        },
        names={"label": ("cat", "dog", "owl")},
    )


def test_a_row_is_read_with_all_that_is_known_of_it() -> None:
    data = captioned()
    batch = data.rows(torch.tensor([4, 0]))
    assert batch.x.tolist() == [[8.0, 9.0], [0.0, 1.0]]
    assert batch.condition is not None
    assert batch.condition["label"].tolist() == [0, 0]
    assert batch.condition["style"][0].tolist() == [12.0, 13.0, 14.0]
    assert [row.tolist() for row in batch.condition.ragged("caption")] == [[0, 1, 2, 3], [0, 1]]
    assert data.y is not None
    assert data.y.tolist() == [0, 1, 2, 1, 0]
    assert data.names["label"][2] == "owl"
    bare = DataSet("bare", "train", torch.zeros(3, 2))
    assert bare.rows(torch.arange(3)).condition is None
    assert bare.y is None


def test_some_rows_are_a_data_set() -> None:
    data, which = captioned(), torch.tensor([3, 1])
    some = data.take(which)
    assert len(some) == 2
    assert some.tensor.tolist() == [[6.0, 7.0], [2.0, 3.0]]
    assert [row.tolist() for row in some.rows(torch.arange(2)).condition.ragged("caption")] == [[0], []]  # type: ignore[union-attr]
    assert (some.name, some.names) == (data.name, data.names)
    dogs = data.only([1])
    assert dogs.tensor.tolist() == [[2.0, 3.0], [6.0, 7.0]]
    assert len(data.only([2, 0])) == 3
    with pytest.raises(IncompatibleError, match=r"no class of \[7\]; its classes are 0 … 2"):
        data.only([7])
    with pytest.raises(IncompatibleError, match="has 5 examples and 4 rows of 'label'; expected one row each"):
        replace(data, columns={"label": torch.zeros(4)})


def test_a_fingerprint_is_of_examples_and_columns() -> None:
    """Equal contents, equal fingerprint, however they are stored; any change of a value, a length or a name is seen."""
    data = captioned()
    ragged = data.columns["caption"]
    assert isinstance(ragged, Ragged)
    assert data.fingerprint == captioned().fingerprint
    for same in (
        replace(data, x=Lazy(data.tensor)),
        replace(data, name="other", names={}),
        replace(data, columns={**data.columns, "caption": ragged.padded_with(99)}),
        data.take(torch.arange(5)),
        replace(data, x=data.tensor.T.contiguous().T),
    ):
        assert same.fingerprint == data.fingerprint
    changed = data.tensor.clone()
    changed[4, 1] += 1e-6
    shorter = Ragged(ragged.data, torch.tensor([2, 0, 3, 1, 3]), 1)
    for other in (
        replace(data, x=changed),
        replace(data, x=data.tensor.double()),
        replace(data, x=data.tensor.view(5, 1, 2)),
        replace(data, columns={**data.columns, "caption": shorter}),
        replace(data, columns={**data.columns, "label": torch.tensor([0, 1, 2, 1, 1])}),
        replace(data, columns={("class" if name == "label" else name): v for name, v in data.columns.items()}),
        replace(data, columns={}),
        data.take(torch.arange(4)),
        data.take(torch.tensor([1, 0, 2, 3, 4])),
    ):
        assert other.fingerprint != data.fingerprint
    large = DataSet("large", "train", torch.arange(10_000.0).view(-1, 1))
    assert large.fingerprint == replace(large, x=Lazy(large.tensor)).fingerprint


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.zeros(3, 1, 8, 8, dtype=torch.uint8), "image 1×8×8"),
        (torch.zeros(3, 2), "points 2"),
        (torch.zeros(3, 7, 2), "sequence 7×2"),
        (torch.tensor([[0, 4], [2, 1]]), "tokens 2, 5 different"),
        (Ragged.of([torch.tensor([0, 6]), torch.tensor([3])]).padded_with(50), "tokens any length, 7 different"),
        (Ragged.of([torch.zeros(3, 2), torch.zeros(1, 2)]), "sequence any length×2"),
        (Ragged.of([torch.zeros(2, 3), torch.zeros(2, 1)], 2), "sequence 2×any length"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_examples_are_is_read_off_them(x: Values, words: str) -> None:
    assert DataSet("mine", "train", x).sample_space.words() == words


def test_what_examples_are_is_said_where_it_cannot_be_read_off() -> None:
    space = SampleSpace("audio", (1, None), -1.0, 1.0, rate=8000)
    data = DataSet("waves", "train", Ragged.of([torch.zeros(1, 3)], 2), space=space)
    assert data.sample_space is space
    assert space.holds(data.sample_space)
    assert not replace(space, rate=16_000).holds(data.sample_space)
    lazy = DataSet("codes", "train", Lazy(torch.tensor([[0, 4]])))
    with pytest.raises(IncompatibleError, match="codes reads tokens on demand, so their number is unknown; give space"):
        lazy.sample_space  # noqa: B018
    assert replace(lazy, space=SampleSpace("tokens", (2,), vocabulary=5)).sample_space.vocabulary == 5
    assert torch.equal(DataSet("lazy", "train", Lazy(torch.ones(2, 2))).tensor, torch.ones(2, 2))
    with pytest.raises(IncompatibleError, match="are no single tensor; use"):
        DataSet("ragged", "train", Ragged.of([torch.zeros(2)])).tensor  # noqa: B018


# Data that are larger than memory.


@pytest.fixture
def moons() -> DataSet:
    return DataSet("moons", "train", datasets.load("two-moons", n=1000).tensor)


def test_rows_that_are_read_when_asked_for() -> None:
    data = replace(captioned(), x=Lazy(captioned().tensor))
    lazy = data.x
    assert isinstance(lazy, Lazy)
    some = data.take(torch.tensor([4, 2, 0])).take(torch.tensor([2, 1]))
    assert lazy.reads == []  # choosing reads nothing
    assert some.rows(torch.tensor([1, 0])).x.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert lazy.reads == [[2, 0]]
    assert [len(one) for one in (data, some, data.only([1]))] == [5, 2, 2]
    assert data.only([1]).rows(torch.arange(2)).x.tolist() == [[2.0, 3.0], [6.0, 7.0]]


FLOW = Entry(
    "small-flow",
    "nsf",
    "zoo-flows",
    {"shape": [2], "layers": 1, "hidden": [8]},
    "a small flow",
    recipe={
        "objective": "nll",
        "data": {"name": "two-moons"},
        "batch": 32,
        "steps": 5,
        "lr": 1e-3,
        "optimiser": "adam",
    },
)


def test_training_reads_a_batch_at_a_time(moons: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batch for the start, then five of 32, of which the second epoch sees none; and the weights are those of
    the same data in memory, to the bit."""
    lazy = Lazy(moons.tensor)
    states = []
    for name, data in (("lazy", replace(moons, x=lazy)), ("memory", moons)):
        monkeypatch.setattr(datasets, "load", lambda data=data, **_: data)
        trained = train(FLOW, tmp_path / name, Options(samples_every=0))
        states.append({key: value.clone() for key, value in trained.state_dict().items()})
    assert lazy.most == 32
    assert sum(map(len, lazy.reads)) <= 6 * 32 + 4  # and looks at the first example
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[1])


def test_statistics_and_measurements_read_a_batch_at_a_time(moons: DataSet) -> None:
    lazy = Lazy(moons.tensor)
    data = replace(moons, x=lazy)
    model, other = GaussianMixture([2], 2), GaussianMixture([2], 2)
    options = {"iterations": 3, "tolerance": 0.0}

    class Known(ExpectationMaximisation):
        """Begins without looking at all examples, as k-means++ does."""

        def initialise(self, model: GaussianMixture, data: object, seed: int) -> None:
            model.means.copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.5]]))

    found = fit(model, Prepared(model, data), Known(), batch=100, **options)  # type: ignore[arg-type]
    assert lazy.most == 100
    assert found == pytest.approx(fit(other, Prepared(other, moons), Known(), **options), abs=1e-9)  # type: ignore[arg-type]
    lazy.reads.clear()
    result = evaluate(model, "nll", data=data, batch_size=64)
    assert lazy.most == 64
    assert sorted(row for rows in lazy.reads if len(rows) > 1 for row in rows) == list(range(1000))  # once each
    assert result.value == pytest.approx(evaluate(model, "nll", data=moons).value, abs=1e-9)


def test_a_memory_mapped_array_is_a_tensor_that_stays_where_it_is(moons: DataSet, tmp_path: Path) -> None:
    np.save(tmp_path / "moons.npy", moons.tensor.numpy())
    mapped = np.load(tmp_path / "moons.npy", mmap_mode="c")
    data = replace(moons, x=torch.from_numpy(mapped))
    assert data.tensor.data_ptr() == mapped.ctypes.data  # a view of the file: nothing was read
    assert data.fingerprint == moons.fingerprint
    model = GaussianMixture([2], 2)
    for one, other in zip(batches(model, data), batches(model, moons), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(IncompatibleError, match="has no labels"):
        data.only([0])


def batches(model: Model, data: DataSet) -> Iterator[Tensor]:
    found = TrainingBatches(model, data, 0, 64)
    for step in range(20):
        yield found.batch(step, range(64), torch.device("cpu")).x
