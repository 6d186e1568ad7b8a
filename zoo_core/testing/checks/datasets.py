"""Checks data sets: equal at every call, of the requested size, with valid values."""

from __future__ import annotations

import torch

from zoo_core import datasets
from zoo_core.datasets.validation import value_problems
from zoo_core.errors import NetworkError, PluginError, ZooError
from zoo_core.interfaces import DataSet
from zoo_core.testing.check import ConformanceError, check, require, skip
from zoo_core.testing.component_subjects import DataSetSubject

ROWS = 64


@check("dataset", long=True)
def check_data_set_is_the_same_at_every_call(subject: DataSetSubject) -> None:
    """Two calls give the same examples and columns to the bit, and with ``n`` the first n of them.

    A resumed run reads the data again; with other data it would not continue the same run.
    """
    one, two = load(subject, "train", ROWS), load(subject, "train", ROWS)
    require(
        one.fingerprint == two.fingerprint,
        f"data set {subject.name!r} has other examples at every call; draw them from Streams with a fixed seed",
    )
    fewer = load(subject, "train", ROWS // 2)
    require(
        fewer.fingerprint == one.take(torch.arange(min(ROWS // 2, len(one)))).fingerprint,
        f"data set {subject.name!r}: n = {ROWS // 2} gives other examples than the first of n = {ROWS}",
    )


@check("dataset")
def check_data_set_has_the_size_asked_for(subject: DataSetSubject) -> None:
    """Loading with ``n`` gives n examples, or all if there are fewer, with the right name and split."""
    for split in ("train", "test"):
        data = load(subject, split, ROWS)
        require(0 < len(data) <= ROWS, f"data set {subject.name!r}: n = {ROWS} gives {len(data)} examples of {split}")
        require(
            (data.name, data.split) == (subject.component.name, split),
            f"data set {subject.name!r} says that it is {data.name!r}, {data.split!r}; expected {split!r}",
        )


@check("dataset")
def check_splits_differ(subject: DataSetSubject) -> None:
    """The test split is not the training split, on which measurements would show memorisation."""
    train, test = load(subject, "train", ROWS), load(subject, "test", ROWS)
    require(
        train.fingerprint != test.fingerprint,
        f"data set {subject.name!r}: train and test are the same examples; use others for test",
    )


@check("dataset")
def check_values_are_what_they_claim(subject: DataSetSubject) -> None:
    """Values are finite; levels are integers 0 … levels − 1; images say their levels; labels are integers from 0.

    8-bit images without ``levels`` would be taken for real numbers, and likelihoods computed as densities.
    """
    for split in ("train", "test"):
        for problem in value_problems(load(subject, split, ROWS), ROWS):
            raise ConformanceError(f"data set {subject.name!r}, {split}: {problem}")


def load(subject: DataSetSubject, split: str, n: int) -> DataSet:
    """Loads a few examples; skips the check if they would have to be downloaded."""
    try:
        data = datasets.load(subject.component.name, split, n=n)
    except (NetworkError, PluginError) as err:
        skip(str(err))
    except ZooError as err:
        raise ConformanceError(f"data set {subject.name!r}: {err}") from err
    return data
