"""Conditions of every kind: what is accepted, what says that nothing is given, and what a user may write."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo_core.errors import ConditionError
from zoo_core.interfaces import Condition, ConditionSpec, Ragged
from zoo_core.interfaces.values import Values

NAN, INF = float("nan"), float("inf")


def specs(null: bool = False) -> dict[str, ConditionSpec]:
    """One of every kind."""
    return {
        "label": ConditionSpec.label(3, names=("cat", "dog", "owl"), null=null),
        "domain": ConditionSpec("domain", 2, names=("summer", "winter"), null=null),
        "style": ConditionSpec("vector", shape=(2,), null=null),
        "size": ConditionSpec("vector", null=null),
        "caption": ConditionSpec("tokens", 5, names=("a", "red", "blue", "cat", "dog"), null=null),
        "sketch": ConditionSpec("image", shape=(1, 2, 2), null=null),
        "seen": ConditionSpec("partial", shape=(3,), null=null),
    }


def valid() -> dict[str, Values]:
    """Two rows of each."""
    return {
        "label": torch.tensor([0, 2]),
        "domain": torch.tensor([1, 0]),
        "style": torch.tensor([[0.5, -1.0], [2.0, 3.0]]),
        "size": torch.tensor([1.5, -2.0]),
        "caption": Ragged.of([torch.tensor([0, 1, 3]), torch.tensor([4])]),
        "sketch": torch.ones(2, 1, 2, 2),
        "seen": torch.tensor([[1.0, NAN, 2.0], [NAN, NAN, 0.0]]),
    }


def equal(a: Values, b: Values) -> bool:
    if isinstance(a, Ragged) or isinstance(b, Ragged):
        return (
            isinstance(a, Ragged)
            and isinstance(b, Ragged)
            and len(a) == len(b)
            and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
        )
    return a.dtype == b.dtype and a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


def plain(value: Values) -> list[Any]:
    return [row.tolist() for row in value] if isinstance(value, Ragged) else value.tolist()


@pytest.mark.parametrize("name", specs())
def test_good_values_are_accepted_with_a_null_and_without(name: str) -> None:
    for null in (False, True):
        specs(null)[name].check(name, valid()[name])
        specs(null)[name].check(name, valid()[name][:0])
    Condition(**valid()).check(specs())


@pytest.mark.parametrize("name", specs())
def test_the_null_is_a_value_of_the_kind_and_accepted_where_the_model_has_it(name: str) -> None:
    """The class after the last, NaN, no token."""
    for kind in (torch.float32, torch.float64):
        null = specs(True)[name].absent(4, "cpu", kind)
        assert len(null) == 4
        specs(True)[name].check(name, null)
        if name == "seen":  # nothing is known of it: that is an observation too
            specs(False)[name].check(name, null)
        else:
            with pytest.raises(ConditionError, match=name):
                specs(False)[name].check(name, null)
        assert null.dtype == (kind if specs()[name].classes is None else torch.int64)
    expected: Mapping[str, Values] = {
        "label": torch.tensor([3]),
        "domain": torch.tensor([2]),
        "style": torch.full((1, 2), NAN),
        "size": torch.full((1,), NAN),
        "caption": Ragged(torch.zeros((1, 0), dtype=torch.int64), torch.zeros(1, dtype=torch.int64)),
        "sketch": torch.full((1, 1, 2, 2), NAN),
        "seen": torch.full((1, 3), NAN),
    }
    assert equal(specs()[name].absent(1), expected[name])


WRONG: list[tuple[str, Values, str]] = [
    ("label", torch.tensor([0, 3]), "'label' = 3 is out of range; expected 0 … 2"),
    ("label", torch.tensor([-1]), "'label' = -1 is out of range"),
    ("label", torch.tensor([1.0]), "'label' = 1.0 is out of range"),
    ("label", torch.tensor([NAN]), "'label' = nan is out of range"),
    ("label", torch.tensor([True]), "'label' = True is out of range"),
    ("label", torch.tensor([[1]]), r"'label' is \(1,\) for each sample; expected \(\)"),
    ("label", Ragged.of([torch.tensor([1])]), r"'label' is ragged; expected \(\) for each sample"),
    ("domain", torch.tensor([2]), "'domain' = 2 is out of range; expected 0 … 1"),
    ("style", torch.zeros(1, 3), r"'style' is \(3,\) for each sample; expected \(2,\)"),
    ("style", torch.zeros(1, 2, dtype=torch.int64), "'style' is of torch.int64; expected floating-point numbers"),
    ("style", torch.tensor([[INF, 0.0]]), "'style' has infinite numbers"),
    ("style", torch.tensor([[NAN, NAN]]), "'style' has NaN, and this model requires the condition"),
    ("size", torch.tensor([-INF]), "'size' has infinite numbers"),
    ("size", torch.tensor([NAN]), "'size' has NaN"),
    ("caption", torch.tensor([[0, 1]]), "expected tokens, a Ragged of integers"),
    ("caption", Ragged.of([torch.tensor([[0]])]), "expected tokens, a Ragged of integers"),
    ("caption", Ragged.of([torch.tensor([0, 5])]), "'caption' = 5 is out of range; expected 0 … 4"),
    ("caption", Ragged.of([torch.tensor([-1])]), "'caption' = -1 is out of range"),
    ("caption", Ragged.of([torch.tensor([0.0])]), "'caption' = 0.0 is out of range"),
    ("caption", Ragged.of([torch.tensor([1]), torch.tensor([], dtype=torch.int64)]), "'caption' is empty"),
    ("sketch", torch.zeros(1, 2, 2), r"'sketch' is \(2, 2\) for each sample; expected \(1, 2, 2\)"),
    ("sketch", torch.full((1, 1, 2, 2), NAN), "'sketch' has NaN"),
    ("seen", torch.tensor([[0.0, INF, NAN]]), "'seen' has infinite numbers; expected finite ones, or NaN for unknown"),
    ("seen", Ragged.of([torch.zeros(3)]), "'seen' is ragged"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG, ids=[f"{w[0]}-{i}" for i, w in enumerate(WRONG)])
def test_wrong_values_are_refused_in_one_line(name: str, value: Values, words: str) -> None:
    with pytest.raises(ConditionError, match=words) as caught:
        Condition(**{name: value}).check(specs())
    assert "\n" not in str(caught.value)


def test_half_a_null_is_none() -> None:
    """A vector is given or not: what a network makes of NaN in a part of it nobody knows."""
    with pytest.raises(ConditionError, match="'style' has NaN among numbers"):
        specs(True)["style"].check("style", torch.tensor([[0.0, 1.0], [NAN, 1.0]]))
    specs(True)["style"].check("style", torch.tensor([[0.0, 1.0], [NAN, NAN]]))


@pytest.mark.parametrize("padding", [-1.0, 99.0])
def test_padding_of_tokens_is_not_looked_at(padding: float) -> None:
    caption = valid()["caption"]
    assert isinstance(caption, Ragged)
    specs()["caption"].check("caption", caption.padded_with(padding))


WRITTEN: list[tuple[str, Any, list[Any]]] = [
    ("label", 2, [2, 2, 2]),
    ("label", [0, 1], [0, 1, 0]),  # a list goes round
    ("label", (2, 1, 0, 1), [2, 1, 0]),  # and what is too long is cut
    ("label", "owl", [2, 2, 2]),
    ("label", ["dog", "cat"], [1, 0, 1]),
    ("label", np.int32(1), [1, 1, 1]),
    ("label", np.array([2, 1], dtype=np.uint8), [2, 1, 2]),
    ("label", torch.tensor(1), [1, 1, 1]),
    ("label", torch.tensor([2, 0, 1], dtype=torch.int16), [2, 0, 1]),
    ("domain", "winter", [1, 1, 1]),
    ("size", 3, [3.0, 3.0, 3.0]),
    ("size", [0.5, 1], [0.5, 1.0, 0.5]),
    ("style", [1, 2], [[1.0, 2.0]] * 3),
    ("style", [[1, 2], [3, 4.5]], [[1.0, 2.0], [3.0, 4.5], [1.0, 2.0]]),
    ("style", np.array([[1.0, 2.0]]), [[1.0, 2.0]] * 3),
    ("caption", [0, 3], [[0, 3]] * 3),
    ("caption", [[0, 1, 2], [4]], [[0, 1, 2], [4], [0, 1, 2]]),
    ("caption", "dog", [[4]] * 3),
    ("caption", ["a", "red", "cat"], [[0, 1, 3]] * 3),
    ("caption", torch.tensor([1, 2]), [[1, 2]] * 3),
    ("caption", np.array([1, 2]), [[1, 2]] * 3),
    ("caption", np.array([[1, 2], [3, 4]], dtype=np.int32), [[1, 2], [3, 4], [1, 2]]),
    ("caption", [torch.tensor([1]), torch.tensor([2, 3])], [[1], [2, 3], [1]]),
    ("caption", Ragged.of([torch.tensor([1]), torch.tensor([2, 3])]), [[1], [2, 3], [1]]),
    ("sketch", np.ones((1, 2, 2)), [[[[1.0, 1.0], [1.0, 1.0]]]] * 3),
    ("sketch", [np.zeros((1, 2, 2)).tolist(), np.ones((1, 2, 2)).tolist()], []),
]


@pytest.mark.parametrize(("name", "value", "rows"), WRITTEN, ids=[f"{w[0]}-{i}" for i, w in enumerate(WRITTEN)])
def test_what_a_user_writes_becomes_a_row_for_each_sample(name: str, value: Any, rows: list[Any]) -> None:
    """Integers are int64 and numbers float32, whatever array they come in."""
    made = Condition.of({name: value}, specs(), 3)
    found = made.values[name]
    assert len(made) == 3
    assert found.dtype == (torch.float32 if specs()[name].classes is None else torch.int64)
    if rows:
        assert plain(found) == rows
    made.check(specs())


def test_nulls_can_be_written_where_there_are_any() -> None:
    made = Condition.of({"label": [3, 0], "size": NAN, "caption": [[], [1]], "style": [NAN, NAN]}, specs(True), 2)
    assert plain(made.values["label"]) == [3, 0]
    assert made["size"].isnan().all()
    assert plain(made.values["caption"]) == [[], [1]]
    assert made.values["caption"].dtype == torch.int64


UNREADABLE: list[tuple[str, Any, str]] = [
    ("label", True, "'label' = true is a truth value; expected an integer 0 … 2"),
    ("label", [0, True], r"\[0, true\] is a truth value"),
    ("label", np.bool_(True), "is a truth value"),
    ("label", torch.tensor([True]), "is a truth value"),
    ("label", [[False]], "is a truth value"),
    ("caption", [True, False], "is a truth value"),
    ("caption", [[True], [False]], "is a truth value"),
    ("size", False, "'size' = false is a truth value; expected a number"),
    ("label", NAN, "'label' = nan is out of range"),
    ("label", 1.0, "'label' = 1.0 is out of range"),
    ("label", 3, "'label' = 3 is out of range; expected 0 … 2"),
    ("label", 10**30, "cannot be read"),
    ("label", "cow", "'label' = 'cow' is unknown; expected one of cat, dog, owl"),
    ("label", ["cat", "cow"], "'label' = 'cow' is unknown"),
    ("label", ["cat", 1], "cannot be read"),
    ("label", [], "'label' is empty; expected at least one value"),
    ("label", None, "cannot be read"),
    ("label", object(), "cannot be read"),
    ("label", {"a": 1}, "cannot be read"),
    ("label", [[0], [1, 2]], "cannot be read"),
    ("label", np.array(["cat"]), "cannot be read"),
    ("size", "large", "'size' = 'large' is no number; expected a number"),
    ("style", ["a", "b"], r"is no number; expected numbers of shape \(2,\)"),
    ("style", 1.0, r"'style' = 1.0 cannot be read; expected numbers of shape \(2,\)"),
    ("style", [[1, 2]] * 500 + [[3]], r"'style' = \[\[1, 2\].*… cannot be read"),
    ("style", np.zeros((40, 40, 40), dtype=bool), "is a truth value"),
    ("style", [1, 2, 3], r"'style' is \(3,\) for each sample"),
    ("style", [INF, 0.0], "infinite"),
    ("style", [NAN, NAN], "'style' has NaN"),
    ("caption", 3, "cannot be read; expected a list of integers below 5"),
    ("caption", [], "cannot be read"),
    ("caption", [1.5], "'caption' = 1.5 is out of range"),
    ("caption", [0, 7], "'caption' = 7 is out of range; expected 0 … 4"),
    ("caption", [NAN], "'caption' = nan is out of range"),
    ("caption", [[0], []], "'caption' is empty"),
    ("caption", "cow", "'caption' = 'cow' is unknown; expected one of a, red, blue, cat, dog"),
    ("speaker", 1, "this model has no condition 'speaker'; it can be conditioned on label, domain"),
]


@pytest.mark.parametrize(("name", "value", "words"), UNREADABLE, ids=[f"{u[0]}-{i}" for i, u in enumerate(UNREADABLE)])
def test_what_cannot_be_meant_is_refused_in_one_line(name: str, value: Any, words: str) -> None:
    with pytest.raises(ConditionError, match=words) as caught:
        Condition.of({name: value}, specs(), 3)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_names_that_there_are_none_of() -> None:
    with pytest.raises(ConditionError, match=r"'label' = 'cat' is unknown; expected one of 0 … 9, which have no names"):
        Condition.of({"label": "cat"}, {"label": ConditionSpec.label(10)}, 1)
    with pytest.raises(ConditionError, match="no condition 'label'; it can be conditioned on nothing"):
        Condition.of({"label": 1}, {}, 1)
    assert specs()["label"].number("label", "dog") == 1


@pytest.mark.parametrize("name", specs())
def test_some_rows_are_hidden_and_the_others_stay(name: str) -> None:
    """A hidden row is the null to the bit, and the model takes it; the condition that was given is not changed."""
    condition, hide = Condition(**valid()), torch.tensor([True, False])
    known = specs(True)
    hidden = condition.hidden({name: hide}, known)
    assert equal(hidden.values[name][:1], known[name].absent(1))
    assert equal(hidden.values[name][1:], valid()[name][1:])
    assert hidden.values[name].dtype == valid()[name].dtype
    assert all(equal(hidden.values[other], value) for other, value in valid().items() if other != name)
    assert all(equal(condition.values[other], value) for other, value in valid().items())
    hidden.check(known)


def test_each_name_is_hidden_by_its_own_rows() -> None:
    where = {name: torch.tensor([i % 2 == 0, i % 3 == 0]) for i, name in enumerate(valid())}
    hidden = Condition(**valid()).hidden(where, specs(True))
    for name, rows in where.items():
        for i, gone in enumerate(rows.tolist()):
            row = hidden.values[name][i : i + 1]
            assert equal(row, specs(True)[name].absent(1) if gone else valid()[name][i : i + 1])


def test_rows_names_and_devices() -> None:
    condition = Condition(**valid())
    assert len(condition) == 2
    assert list(condition) == list(specs())
    last = condition.rows(torch.tensor([1, 1, 0]))
    assert last["label"].tolist() == [2, 2, 0]
    assert plain(last.ragged("caption")) == [[4], [4], [0, 1, 3]]
    assert len(condition.rows(slice(1, 2))) == 1
    kept = condition.only(["label", "speaker"])
    assert kept is not None
    assert list(kept) == ["label"]
    assert condition.only({"speaker": None}) is None
    moved = condition.to("cpu")
    assert all(equal(moved.values[name], value) for name, value in valid().items())
    with pytest.raises(ConditionError, match="'caption' has rows of open length; expected a fixed shape"):
        condition["caption"]
    with pytest.raises(ConditionError, match="'label' has rows of a fixed shape; expected open lengths"):
        condition.ragged("label")
    with pytest.raises(KeyError):
        condition["speaker"]
    assert "speaker" not in condition
    with pytest.raises(ConditionError, match=re.escape("different lengths: {'label': 2, 'size': 1}")):
        Condition(label=torch.tensor([1, 2]), size=torch.tensor([0.0]))


def test_numbers_follow_the_model_and_classes_do_not() -> None:
    """A model in float64 is given vectors in float64; labels and tokens stay integers."""
    made = Condition(**valid()).to("cpu", torch.float64)
    for name, spec in specs().items():
        assert made.values[name].dtype == (torch.float64 if spec.classes is None else torch.int64)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ConditionSpec("label"), "classes = None for a label"),
        (lambda: ConditionSpec("tokens"), "classes = None for a tokens"),
        (lambda: ConditionSpec("vector", 3), "classes = 3 for a vector"),
        (lambda: ConditionSpec.label(3, names=("a", "b")), "2 names for 3 classes"),
        (lambda: ConditionSpec.label(0), "classes = 0"),
    ],
)
def test_a_spec_of_what_does_not_belong_together(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_samples_are_conditioned_on_every_kind() -> None:
    """Through zoo_core.sample, in any batch size: each sample is told its own row, in the model's type."""
    from zoo_core.interfaces import DirectSampler, Model, SampleSpace, Streams
    from zoo_core.sampling import sample

    class Told(Model, DirectSampler):
        space, conditions = SampleSpace("points", (4,)), specs()

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("zero", torch.zeros(1, dtype=torch.float64))

        def draw(self, streams: Streams, *, condition: Condition | None = None) -> Tensor:
            assert condition is not None
            assert condition["style"].dtype == streams.dtype == torch.float64
            tokens = condition.ragged("caption").padded_with(0).data.sum(1)
            return torch.stack([condition["label"], condition["style"][:, 1], condition["size"], tokens], 1).double()

    given = {"label": ["cat", "owl"], "style": [[0, 1], [2, 3], [4, 5]], "size": 0.5, "caption": [[1, 2], [3]]}
    for size in (1, 2, 5, None):
        x = sample(Told(), 5, sampler="direct", condition=given, batch_size=size)
        assert x[:, 0].tolist() == [0, 2, 0, 2, 0]
        assert x[:, 1].tolist() == [1, 3, 5, 1, 3]
        assert x[:, 2].tolist() == [0.5] * 5
        assert x[:, 3].tolist() == [3, 3, 3, 3, 3]
