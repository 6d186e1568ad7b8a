"""What is done to data, in one place, before a model sees them: scaled, dequantised, binarised, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from zoo_core.datasets.prepared import Prepared
from zoo_core.errors import IncompatibleError
from zoo_core.interfaces import (
    Batch,
    Condition,
    ConditionSpec,
    DataSet,
    Density,
    Examples,
    Model,
    Ragged,
    SampleSpace,
    StatisticsObjective,
    Streams,
    Values,
)
from zoo_core.training.examples import TrainingBatches
from zoo_core.training.statistics import fit


class Plain(Model):
    """A model without a density."""

    def __init__(self, space: SampleSpace, conditions: dict[str, ConditionSpec] | None = None) -> None:
        super().__init__()
        self.space, self.conditions = space, conditions or {}


class Dense(Plain, Density):
    """A density of numbers, or of levels, or of black and white."""

    def __init__(self, space: SampleSpace, *, discrete: bool = False, binarises: bool = False) -> None:
        super().__init__(space)
        self.discrete, self.binarises = discrete, binarises

    def log_prob(self, x: Tensor, *, condition: Condition | None = None, streams: Streams | None = None) -> Tensor:
        return x.new_zeros(len(x))


IMAGES = SampleSpace("image", (1, 2, 2), -1.0, 1.0)
GREY = torch.arange(400, dtype=torch.uint8).remainder(16).view(100, 1, 2, 2)
EVERY = torch.arange(100)


def grey(**changes: object) -> DataSet:
    made = DataSet("grey", "train", GREY, {"label": EVERY % 3}, levels=16)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_density_of_numbers_sees_levels_with_noise_within_each() -> None:
    """(v + u)/L: the level can be read off it, u is uniform, and it belongs to the row and the seed."""
    data, model = grey(), Dense(IMAGES)
    prepared = Prepared(model, data, seed=3)
    x = prepared.rows(EVERY).x
    assert x.dtype == torch.float64
    assert torch.equal(((x + 1) / 2 * 16).floor().to(torch.uint8), GREY)
    u = (x + 1) / 2 * 16 - GREY
    assert u.mean().item() == pytest.approx(0.5, abs=5 * (1 / 12 / 400) ** 0.5)
    assert u.var().item() == pytest.approx(1 / 12, abs=5 * (1 / 180 / 400) ** 0.5)
    assert torch.equal(x[[7, 3]], prepared.rows(torch.tensor([7, 3])).x)
    assert torch.equal(x, torch.cat([batch.x for batch in prepared.batches(33)]))
    assert torch.equal(x, next(prepared.batches()).x)
    assert torch.equal(x[:64], prepared.first().x)
    assert not torch.equal(x, Prepared(model, data, seed=4).rows(EVERY).x)
    assert not torch.equal(x, Prepared(model, replace(data, split="test"), seed=3).rows(EVERY).x)
    assert (prepared.treatment, prepared.draws) == ("dequantised", True)
    assert prepared.protocol == ", 16 levels, uniformly dequantised"


@pytest.mark.parametrize("model", [Plain(IMAGES), Dense(IMAGES, discrete=True)], ids=["no density", "of levels"])
def test_other_models_see_the_levels_themselves(model: Model) -> None:
    prepared = Prepared(model, grey())
    x = prepared.rows(EVERY).x
    assert x.dtype == torch.float32
    assert torch.allclose(x, 2 * GREY / 15 - 1)
    assert (x.min().item(), x.max().item()) == (-1.0, 1.0)
    assert (prepared.treatment, prepared.draws) == ("scaled", False)
    assert prepared.protocol == ", 16 levels"


@pytest.mark.parametrize("space", [IMAGES, replace(IMAGES, low=0.0), replace(IMAGES, low=None, high=None)])
def test_a_model_of_black_and_white_sees_only_these(space: SampleSpace) -> None:
    """White with the grey level as its probability: 20,000 pixels of 0.3, five standard errors."""
    model = Dense(space, discrete=True, binarises=True)
    low, high = (0.0, 1.0) if space.low is None or space.high is None else (space.low, space.high)
    flat = DataSet("flat", "train", torch.full((5000, 1, 2, 2), 0.3))
    prepared = Prepared(model, flat, seed=1)
    x = prepared.rows(torch.arange(5000)).x
    assert set(x.unique().tolist()) == {low, high}
    assert (x == high).float().mean().item() == pytest.approx(0.3, abs=5 * (0.21 / 20_000) ** 0.5)
    assert torch.equal(x[40:50], prepared.rows(torch.arange(40, 50)).x)
    assert (prepared.treatment, prepared.protocol) == ("binarised", ", binarised by chance (dynamic binarisation)")
    bits = replace(flat, x=(x == high).float())
    assert torch.equal(Prepared(model, bits, seed=2).rows(torch.arange(5000)).x, x)  # zeros and ones stay themselves
    with pytest.raises(
        IncompatibleError, match=r"flat has numbers from -1 to 1; a model of black and white needs grey"
    ):
        Prepared(model, replace(bits, x=2 * bits.tensor - 1)).rows(torch.arange(5))
    if space.low is not None:
        levels = Prepared(model, grey()).rows(EVERY).x
        assert torch.equal(levels[GREY == 0], torch.full_like(levels[GREY == 0], low))
        assert torch.equal(levels[GREY == 15], torch.full_like(levels[GREY == 15], high))


@pytest.mark.parametrize(
    ("x", "space"),
    [
        (torch.arange(6.0, dtype=torch.float64).view(3, 2), SampleSpace("points", (2,))),
        (torch.tensor([[0, 2], [1, 2], [1, 0]]), SampleSpace("tokens", (2,), vocabulary=3)),
        (Ragged.of([torch.tensor([0, 2]), torch.tensor([1])]), SampleSpace("tokens", (None,), vocabulary=3)),
        (Ragged.of([torch.ones(3, 2), torch.zeros(1, 2)]), SampleSpace("sequence", (None, 2))),
    ],
    ids=["points", "tokens", "open tokens", "sequences"],
)
def test_numbers_and_tokens_stay_what_they_are(x: Values, space: SampleSpace) -> None:
    """Tokens are int64 all the way to the model, numbers float32; with a density and without."""
    for model in (Plain(space), Dense(space), Dense(space, discrete=True)):
        prepared = Prepared(model, DataSet("mine", "train", x))
        seen = prepared.rows(torch.arange(len(x))).x
        assert (prepared.treatment, prepared.protocol, prepared.draws) == ("none", "", False)
        if isinstance(x, Ragged):
            assert isinstance(seen, Ragged)
            assert all(torch.equal(a, b) for a, b in zip(seen, x, strict=True))
            assert seen.dtype == x.dtype
        else:
            assert torch.equal(seen.double(), x.double())
            assert seen.dtype == (torch.int64 if space.kind == "tokens" else torch.float32)


def test_examples_of_one_length_are_examples_of_any_length() -> None:
    x = torch.arange(12.0).view(2, 3, 2)
    for model in (Plain(SampleSpace("sequence", (None, 2))), Dense(SampleSpace("sequence", (None, 2)))):
        seen = (
            Prepared(model, DataSet("mine", "train", x, space=SampleSpace("sequence", (3, 2)))).rows(torch.arange(2)).x
        )
        assert isinstance(seen, Ragged)
        assert torch.equal(seen.data, x)
        assert seen.lengths.tolist() == [3, 3]


def test_training_draws_anew_at_each_step_and_the_same_in_every_run() -> None:
    """Row i of step s depends on (seed, s, i): shares of a batch are parts of it, and two epochs have other noise."""
    model, data, cpu = Dense(IMAGES), grey(x=GREY[:32], columns={}), torch.device("cpu")
    found = TrainingBatches(model, data, 0, 32)
    first, second = (found.batch(step, range(32), cpu).x for step in (0, 1))
    assert torch.equal(first, TrainingBatches(model, data, 0, 32).batch(0, range(32), cpu).x)
    assert torch.equal(first[8:20], found.batch(0, range(8, 20), cpu).x)
    order = [found.rows(step) for step in (0, 1)]
    again = [(x - Prepared(Plain(IMAGES), data).rows(rows).x) for x, rows in zip((first, second), order, strict=True)]
    assert not torch.equal(again[0][order[0].argsort()], again[1][order[1].argsort()])
    assert found.batch(3, range(32), cpu).step == 3
    assert torch.equal(found.first().x, first)


def test_the_model_is_told_what_it_is_conditioned_on_and_no_more() -> None:
    space = SampleSpace("points", (2,))
    told = Plain(space, {"style": ConditionSpec("vector", shape=(3,)), "speaker": ConditionSpec("label", 4, null=True)})
    known = {"label": torch.tensor([0, 1]), "style": torch.arange(6.0).view(2, 3)}
    data = DataSet("captioned", "train", torch.zeros(2, 2), known)
    batch = Prepared(told, data).rows(torch.tensor([1]))
    assert batch.condition is not None
    assert list(batch.condition) == ["style"]
    assert batch.condition["style"].tolist() == [[3.0, 4.0, 5.0]]
    assert Prepared(Plain(space), data).rows(torch.tensor([1])).condition is None
    needy = Plain(space, {"speaker": ConditionSpec("label", 4)})
    with pytest.raises(IncompatibleError, match=r"'speaker', and captioned has no such column \(it has label, style\)"):
        Prepared(needy, data)


@pytest.mark.parametrize(
    ("model", "data", "words"),
    [
        (Plain(IMAGES), DataSet("p", "train", torch.zeros(3, 2)), "p has examples of points 2; the model's are image"),
        (Plain(IMAGES), grey(levels=None), r"grey has torch.uint8 and no levels; say levels = 256"),
        (Plain(replace(IMAGES, low=None, high=None)), grey(), "grey has grey levels, but Plain is not bounded"),
        (
            Plain(SampleSpace("audio", (1, None), rate=16_000)),
            DataSet("a", "train", Ragged.of([torch.zeros(1, 3)], 2), space=SampleSpace("audio", (1, None), rate=8000)),
            "a has examples of audio 1×any length at 8000 Hz; the model's are audio 1×any length at 16000 Hz",
        ),
        (
            Plain(SampleSpace("tokens", (None,), vocabulary=3)),
            DataSet("t", "train", Ragged.of([torch.tensor([3])])),
            "t has examples of tokens any length, 4 different; the model's are tokens any length, 3 different",
        ),
    ],
)
def test_data_that_cannot_be_the_models_are_refused(model: Model, data: DataSet, words: str) -> None:
    with pytest.raises(IncompatibleError, match=words):
        Prepared(model, data)


def test_numbers_that_are_not_finite_are_refused() -> None:
    x = torch.zeros(6, 2)
    x[[1, 4], [0, 1]] = torch.tensor([torch.nan, torch.inf])
    prepared = Prepared(Plain(SampleSpace("points", (2,))), DataSet("holes", "train", x))
    with pytest.raises(IncompatibleError, match="holes has values that are not finite in 2 of 6 examples"):
        next(prepared.batches())
    assert prepared.rows(torch.tensor([0, 2])).x.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    with pytest.raises(IncompatibleError, match="has 6 examples, fewer than batch = 7; lower batch"):
        TrainingBatches(prepared.model, prepared.data, 0, 7)


def test_nan_is_a_missing_value_to_those_who_say_so_and_infinity_to_nobody() -> None:
    space, x = SampleSpace("points", (2,)), torch.tensor([[1.0, torch.nan], [2.0, 3.0], [torch.nan, torch.nan]])
    data, model = DataSet("holes", "train", x), Dense(space)
    with pytest.raises(IncompatibleError, match="in 2 of 3 examples; leave them out, or where they are missing take a"):
        Prepared(model, data).rows(torch.arange(3))
    model.takes_missing = True
    seen = Prepared(model, data).rows(torch.arange(3)).x
    assert torch.equal(seen.isnan(), x.isnan())
    endless = DataSet("endless", "train", torch.tensor([[1.0, torch.inf]]))
    with pytest.raises(IncompatibleError, match=r"not finite in 1 of 1 examples; leave them out$"):
        Prepared(model, endless).rows(torch.arange(1))


def test_the_column_weight_is_the_weights_of_the_examples() -> None:
    """Unless the model is conditioned on a thing of that name; negative and infinite weights are refused."""
    space = SampleSpace("points", (2,))
    data = DataSet("heavy", "train", torch.zeros(4, 2), {"weight": torch.tensor([0, 1, 2, 5])})
    batch = Prepared(Dense(space), data).rows(torch.tensor([3, 1]))
    assert batch.weights is not None
    assert (batch.weights.tolist(), batch.weights.dtype, batch.condition) == ([5.0, 1.0], torch.float64, None)
    conditioned = Plain(space, {"weight": ConditionSpec("vector")})
    floats = replace(data, columns={"weight": torch.ones(4)})
    assert Prepared(conditioned, floats).rows(torch.arange(2)).weights is None
    for wrong in (-1.0, torch.inf, torch.nan):
        with pytest.raises(IncompatibleError, match=r"heavy has weight = .*; expected numbers of at least 0"):
            Prepared(Dense(space), replace(data, columns={"weight": torch.tensor([1.0, 1.0, wrong, 1.0])}))


def test_a_step_draws_rows_in_proportion_to_their_weights() -> None:
    """4,000 rows of weights 0, 1, 2 and 5, within five standard errors; the same rows at every call."""
    data = DataSet("heavy", "train", torch.arange(4.0)[:, None].expand(4, 2), {"weight": torch.tensor([0, 1, 2, 5])})
    batches = TrainingBatches(Dense(SampleSpace("points", (2,))), data, seed=0, batch=4)
    rows = torch.cat([batches.rows(step) for step in range(1000)])
    share = torch.bincount(rows, minlength=4) / 4000
    for seen, expected in zip(share.tolist(), (0, 1 / 8, 2 / 8, 5 / 8), strict=True):
        assert abs(seen - expected) <= 5 * (expected * (1 - expected) / 4000) ** 0.5
    assert torch.equal(batches.rows(3), batches.rows(3))
    assert batches.batch(0, range(4), torch.device("cpu")).weights is None  # they are in the frequencies


def test_a_fit_refuses_weights_that_its_objective_would_ignore() -> None:
    class Ignores(StatisticsObjective):
        def initialise(self, model: Model, data: Examples, seed: int) -> None: ...
        def statistics(self, model: Model, batch: Batch) -> dict[str, Tensor]:
            return {"log_likelihood": torch.zeros(()), "count": torch.ones(())}

        def maximise(self, model: Model, statistics: Mapping[str, Tensor]) -> None: ...

    model = Dense(SampleSpace("points", (2,)))
    model.register_buffer("something", torch.zeros(1))
    data = DataSet("heavy", "train", torch.zeros(4, 2), {"weight": torch.ones(4)})
    with pytest.raises(IncompatibleError, match="heavy has a column 'weight', and Ignores uses no weights"):
        fit(model, Prepared(model, data), Ignores())
    fit(model, Prepared(model, replace(data, columns={})), Ignores())
