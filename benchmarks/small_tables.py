"""Small tables of scikit-learn: families of the zoo against ctgan, by four measures of the samples and in CPU time."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas
from comparison import Row
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict, train_test_split

import zoo_core

SETS: dict[str, Callable[..., object]] = {
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
}
TARGET = "target"
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "mixture": ("gmm", {"restarts": 3}),
    "autoregressive": ("autoregressive-table", {}),
}
"""Families of the zoo, and what is said of their recipes."""


@dataclass(frozen=True)
class Scores:
    """Distances between samples and real rows; less is better for all of them."""

    marginals: float
    pairs: float
    detection: float
    use: float


def table_of(name: str) -> pandas.DataFrame:
    """Returns a set with its target as the last column: a text for a class, a number otherwise."""
    bunch = SETS[name](as_frame=True)
    frame = bunch.frame.copy()
    if name != "diabetes":
        frame[TARGET] = "class " + frame[TARGET].astype(str)
    return frame


def scores(made: pandas.DataFrame, train: pandas.DataFrame, test: pandas.DataFrame) -> Scores:
    """Measures samples against the rows that they were learned from, and against held-out ones.

    Marginals: mean Kolmogorov–Smirnov distance of numbers, and total variation of categories.  Pairs: mean absolute
    difference of correlations.  Detection: how far the AUC of a forest that tells samples from rows is from ½.  Use:
    the error on held-out rows of a forest that learned from samples (1 − accuracy, or 1 − R²).
    """
    numbers = [column for column in train if train[column].dtype.kind in "if"]
    distances = [_ks(made[column].to_numpy(), train[column].to_numpy()) for column in numbers]
    for column in train.columns.difference(numbers):
        shares = [frame[column].value_counts(normalize=True) for frame in (made, train)]
        distances.append(float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2))
    correlations = [pandas.get_dummies(frame, dtype=float).corr().fillna(0) for frame in (train, made)]
    pairs = correlations[0].sub(correlations[1], fill_value=0).abs().to_numpy().mean()
    both = pandas.get_dummies(pandas.concat([made[: len(train)], train]), dtype=float)
    real = np.r_[np.zeros(len(made[: len(train)])), np.ones(len(train))]
    told = cross_val_predict(RandomForestClassifier(random_state=0), both, real, cv=5, method="predict_proba")[:, 1]
    forest = RandomForestRegressor if TARGET in numbers else RandomForestClassifier
    inputs = [column for column in train if column != TARGET]
    learned = forest(random_state=0).fit(made[inputs], made[TARGET])
    use = 1 - learned.score(test[inputs], test[TARGET])
    return Scores(float(np.mean(distances)), float(pairs), abs(roc_auc_score(real, told) - 0.5), float(use))


def by_zoo(name: str, train: pandas.DataFrame) -> pandas.DataFrame:
    """Learns a table with ``zoo_core.fit``, and draws as many rows as ctgan is asked for."""
    family, recipe = FAMILIES[name]
    model = zoo_core.fit(family, train, held_out=0.0, **recipe)
    drawn = zoo_core.sample(model, 1000).numpy()
    columns = model.space.user.columns
    cells = [[column.text(value) for column, value in zip(columns, row, strict=True)] for row in drawn]
    made = pandas.DataFrame(cells, columns=[column.name for column in columns])
    return made.astype({column: train[column].dtype for column in train})


def by_ctgan(train: pandas.DataFrame) -> pandas.DataFrame:
    """Learns a table with ctgan's own settings."""
    from ctgan import CTGAN

    categories = [column for column in train if train[column].dtype.kind not in "if"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = CTGAN(enable_gpu=False, verbose=False)
        model.set_random_state(0)
        model.fit(train, categories)
        return model.sample(1000)


def measure() -> list[Row]:
    """Learns each table by every family and by ctgan, and compares the samples."""
    words = {
        "marginals": "distance of the marginals",
        "pairs": "difference of the correlations",
        "detection": "detection, AUC beyond ½",
        "use": "error when trained on samples",
    }
    rows = []
    for name in SETS:
        train, test = train_test_split(table_of(name), test_size=0.2, random_state=0)
        train, test = train.reset_index(drop=True), test.reset_index(drop=True)
        peer, peer_seconds = _timed(by_ctgan, train, test)
        real = scores(pandas.concat([train] * 3).sample(1000, replace=True, random_state=0), train, test)
        for family in FAMILIES:
            ours, seconds = _timed(partial(by_zoo, family), train, test)
            for key, what in words.items():
                note = f"real rows, drawn again: {getattr(real, key):.3f}" if key != "detection" else ""
                pair = max(getattr(ours, key), 1e-3), getattr(peer, key)
                rows.append(Row(f"{name}, {family}: {what}", "ctgan", *pair, 1.0, note, ""))
            what = f"{name}, {family}: CPU time to learn and draw 1,000 rows"
            rows.append(Row(what, "ctgan", seconds, peer_seconds, 3.0))
    return rows


def _timed(
    learn: Callable[[pandas.DataFrame], pandas.DataFrame], train: pandas.DataFrame, test: pandas.DataFrame
) -> tuple[Scores, float]:
    """Learns a table, and returns the scores of the samples and the CPU seconds."""
    began = time.process_time()
    made = learn(train)
    seconds = time.process_time() - began
    return scores(made, train, test), seconds


def _ks(a: np.ndarray, b: np.ndarray) -> float:
    """The Kolmogorov–Smirnov distance of two samples."""
    every = np.sort(np.r_[a, b])
    left, right = (np.searchsorted(np.sort(x), every, "right") / len(x) for x in (a, b))
    return float(np.abs(left - right).max())


if __name__ == "__main__":
    for row in measure():
        print(f"{row.what:66} {row.ours:8.4f} {row.theirs:8.4f} {row.ratio:6.2f} {row.note}")
